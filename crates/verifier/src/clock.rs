//! Time, as an argument: milliseconds since 1970.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time since 1970-01-01 UTC.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A time or a length of time in milliseconds.
pub(crate) type Millis = u64;

/// How far the clock may be set back without what was fetched "later" counting as too old to use.
const SET_BACK: Millis = 60_000;

/// The system's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place here that reads the clock; everything else is given it"
)]
pub(crate) fn system_clock() -> Clock {
    Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Whole milliseconds of a length of time; what does not fit is as long as can be said.
pub(crate) fn millis(length: Duration) -> Millis {
    Millis::try_from(length.as_millis()).unwrap_or(Millis::MAX)
}

/// What has passed since `then`. A `then` far in the future is infinitely long ago, so that a clock that was set back
/// makes us fetch anew and never makes us trust for longer.
pub(crate) fn since(then: Millis, now: Millis) -> Millis {
    match now.checked_sub(then) {
        Some(passed) => passed,
        None if then - now <= SET_BACK => 0,
        None => Millis::MAX,
    }
}
