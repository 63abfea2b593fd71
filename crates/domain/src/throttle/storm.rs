//! Storms: many more failed logins over all accounts than people make, from many networks, each of which does little (LG-08).

use std::ops::Add;
use std::time::Duration;

use crate::time::Timestamp;

/// Logins over all accounts and replicas in [`COUNTED_FOR`].
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Logins {
    /// Whose password was not right.
    pub failures: u64,
    /// That gave tokens.
    pub successes: u64,
}

/// Logins of so long make up the signal.
pub const COUNTED_FOR: Duration = Duration::from_secs(60);
/// No storm has fewer failures than this: it takes three networks at their limits, so one mistaken program is none.
const FEWEST: u64 = 300;
/// So many failures come with one success in a storm. People fail less often than they succeed; lists of stolen passwords
/// succeed in one of a hundred.
const FAILURES_TO_ONE_SUCCESS: u64 = 2;
/// A storm is over when it has been calm for so long.
const CALM_FOR: Duration = Duration::from_secs(5 * 60);

impl Logins {
    /// Whether these begin a storm.
    fn is_storm(self) -> bool {
        self.failures >= FEWEST && self.failures >= self.successes.saturating_mul(FAILURES_TO_ONE_SUCCESS)
    }

    /// Whether a storm lies down in these: half of what begins one, so that it does not come and go.
    fn is_calm(self) -> bool {
        self.failures < FEWEST / 2 || self.failures < self.successes
    }
}

impl Add for Logins {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            failures: self.failures.saturating_add(other.failures),
            successes: self.successes.saturating_add(other.successes),
        }
    }
}

/// Whether there is a storm.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Storm {
    /// There is none.
    #[default]
    None,
    /// There is one.
    Raging {
        /// When it was last not calm.
        rough_at: Timestamp,
    },
}

impl Storm {
    /// Whether there is one.
    #[must_use]
    pub const fn is_raging(self) -> bool {
        matches!(self, Self::Raging { .. })
    }

    /// What the logins of the last [`COUNTED_FOR`] make of it.
    #[must_use]
    pub fn next(self, logins: Logins, now: Timestamp) -> Self {
        match self {
            Self::None if logins.is_storm() => Self::Raging { rough_at: now },
            Self::None => Self::None,
            Self::Raging { .. } if !logins.is_calm() => Self::Raging { rough_at: now },
            Self::Raging { rough_at } if now.since(rough_at) >= CALM_FOR => Self::None,
            // A clock that was set back does not make it longer.
            Self::Raging { rough_at } => Self::Raging { rough_at: rough_at.min(now) },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROUGH: Logins = Logins { failures: 1_000, successes: 10 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn begins(failures: u64, successes: u64) -> bool {
        Storm::None.next(Logins { failures, successes }, at(0)).is_raging()
    }

    #[test]
    fn a_storm_has_many_failures_and_few_successes() {
        // LG-08
        assert!(begins(FEWEST, 0));
        assert!(begins(1_000, 500));
        assert!(!begins(FEWEST - 1, 0), "few of them are no storm");
        assert!(!begins(1_000, 501), "nor are many where many succeed");
        assert!(!begins(0, 0));
    }

    #[test]
    fn it_is_over_after_five_calm_minutes() {
        let calm = Logins::default();
        let mut storm = Storm::None.next(ROUGH, at(0));
        storm = storm.next(calm, at(200)).next(ROUGH, at(299)).next(calm, at(598));
        assert!(storm.is_raging());
        assert_eq!(storm.next(calm, at(599)), Storm::None);
        assert!(
            storm.next(Logins { failures: 200, successes: 0 }, at(599)).is_raging(),
            "half of a storm keeps it up"
        );
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_storm_longer() {
        // CR-08
        let storm = Storm::None.next(ROUGH, at(1_000_000)).next(Logins::default(), at(0));
        assert!(storm.is_raging());
        assert_eq!(storm.next(Logins::default(), at(300)), Storm::None);
    }

    proptest! {
        #[test]
        fn more_failures_never_end_a_storm_and_more_successes_never_begin_one(
            failures in 0..5_000_u64, successes in 0..5_000_u64, more in 0..5_000_u64,
        ) {
            let (less, worse) = (Logins { failures, successes }, Logins { failures: failures + more, successes });
            let better = Logins { failures, successes: successes + more };
            prop_assert!(!less.is_storm() || worse.is_storm());
            prop_assert!(less.is_storm() || !better.is_storm());
            prop_assert!(!(less.is_storm() && less.is_calm()), "what begins a storm does not end it");
        }

        #[test]
        fn every_storm_ends_when_it_is_calm(steps in prop::collection::vec((0..1_000_u64, 0..500_u64, 1..100_i64), 0..50)) {
            let (mut storm, mut now) = (Storm::None, 0);
            for (failures, successes, wait) in steps {
                now += wait;
                storm = storm.next(Logins { failures, successes }, at(now));
            }
            let calm = storm.next(Logins::default(), at(now + 300));
            prop_assert_eq!(calm, Storm::None);
        }
    }
}
