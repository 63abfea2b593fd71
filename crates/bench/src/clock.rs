//! The one place of this crate that reads a clock: measuring time is what a benchmark is for.

use std::time::Instant;

/// The monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures real time; no product rule depends on it"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
