//! Waiting in tests: for a condition, never for a time in the hope that it was long enough.
//!
//! The only place of the tests that reads the machine's clock or sleeps.

use std::time::{Duration, Instant};

/// A moment after which waiting ends.
#[derive(Copy, Clone, Debug)]
pub struct Deadline {
    began: Instant,
    limit: Duration,
}

impl Deadline {
    /// The moment `limit` from now.
    #[expect(
        clippy::disallowed_methods,
        reason = "tests wait for real processes: real time is what they are bounded by"
    )]
    pub fn after(limit: Duration) -> Self {
        Self { began: Instant::now(), limit }
    }

    /// Whether the moment has come.
    pub fn passed(&self) -> bool {
        self.elapsed() >= self.limit
    }

    /// Time since this deadline was made.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// Sleeps: between two looks at a condition, or for as long as a load is to run.
#[expect(clippy::disallowed_methods, reason = "the one sleep of the tests")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Looks at `condition` every few milliseconds until it holds, and says how long that took.
///
/// # Panics
/// When it does not hold within `limit`; `what` says what was waited for.
pub fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let deadline = Deadline::after(limit);
    while !condition() {
        assert!(!deadline.passed(), "waited {limit:?} in vain: {what}");
        pause(Duration::from_millis(5));
    }
    deadline.elapsed()
}
