//! When a mail that was not taken is tried again, and when it is given up.

use std::time::Duration;

use crate::time::Timestamp;

/// A mail is tried so often at most.
pub const MOST_ATTEMPTS: u32 = 16;
/// The longest pause after the first attempt; it doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(2 * 60 * 60);

/// What becomes of a mail that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is tried again then.
    At(Timestamp),
    /// It is given up.
    GiveUp,
}

/// What becomes of a mail after so many attempts, the last of which failed at `now`. The pause grows exponentially; `chance`,
/// a random byte, takes up to half of it away, so that mails which failed together do not come back together.
#[must_use]
pub fn after_failure(attempts: u32, expires_at: Timestamp, now: Timestamp, chance: u8) -> Next {
    if attempts >= MOST_ATTEMPTS {
        return Next::GiveUp;
    }
    let doubled = 1 << attempts.saturating_sub(1).min(16);
    let pause = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
    let at = now + (pause - pause * u32::from(chance) / 512);
    if at < expires_at { Next::At(at) } else { Next::GiveUp }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
    const NEVER: Timestamp = Timestamp::from_micros(i64::MAX);

    #[test]
    fn pauses_double_up_to_two_hours() {
        let pauses: Vec<u64> = (1..MOST_ATTEMPTS)
            .map(|attempts| match after_failure(attempts, NEVER, NOW, 0) {
                Next::At(at) => at.since(NOW).as_secs(),
                Next::GiveUp => 0,
            })
            .collect();
        assert_eq!(pauses[..10], [15, 30, 60, 120, 240, 480, 960, 1_920, 3_840, 7_200]);
        assert_eq!(pauses[14], 7_200);
        assert_eq!(after_failure(MOST_ATTEMPTS, NEVER, NOW, 0), Next::GiveUp);
    }

    #[test]
    fn nothing_is_tried_once_it_is_not_worth_it() {
        assert_eq!(after_failure(1, NOW + Duration::from_secs(15), NOW, 0), Next::GiveUp);
        assert_ne!(after_failure(1, NOW + Duration::from_secs(16), NOW, 0), Next::GiveUp);
    }

    proptest! {
        #[test]
        fn chance_shortens_a_pause_by_half_at_most(attempts in 0_u32..20, chance in any::<u8>()) {
            let (Next::At(longest), Next::At(at)) =
                (after_failure(attempts, NEVER, NOW, 0), after_failure(attempts, NEVER, NOW, chance))
            else { return Ok(()) };
            prop_assert!(at <= longest && at.since(NOW) >= longest.since(NOW) / 2);
        }
    }
}
