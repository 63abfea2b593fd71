//! Rates: so many at once, and then one in each interval (LG-08, DS-04), counted by several replicas together.

use std::time::Duration;

use crate::time::Timestamp;

/// A rate by the generic cell rate algorithm: all that is kept of somebody is the time at which their budget is whole again.
///
/// Replicas add up what they have let pass: each tells how many it took since it last told ([`Rate::untold`]), and takes what
/// all have told together with its own that is still untold ([`Rate::together`]). So all of them give out one budget, but for
/// what passes before they have heard of each other.
#[derive(Copy, Clone, Debug)]
pub struct Rate {
    burst: u32,
    interval: Duration,
}

impl Rate {
    /// A time further ahead than any that a full budget can reach was written under a clock that was wrong; clocks of
    /// replicas differ by less than this.
    const SKEW: Duration = Duration::from_secs(60);
    /// Replicas that have not heard of each other may let the same last one pass. So many that were too many are owed; what is
    /// beyond is forgiven, for those behind the same address did not do it.
    const OVERDRAFT: u32 = 10;

    /// So many at once (at least one), and then one in each interval.
    #[must_use]
    pub const fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval }
    }

    /// So many at once.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// Takes one from a budget that is whole at `whole_at`: answers when it is whole then.
    ///
    /// # Errors
    /// How long to wait: one interval at most, or ten more when several replicas together have let too many pass.
    pub fn take(self, whole_at: Timestamp, now: Timestamp) -> Result<Timestamp, Duration> {
        let next = self.bounded(whole_at, now) + self.interval;
        let wait = next.since(self.spent(now));
        if wait.is_zero() { Ok(next) } else { Err(wait) }
    }

    /// Counts one whether the budget has any left or not.
    #[must_use]
    pub fn charge(self, whole_at: Timestamp, now: Timestamp) -> Timestamp {
        let whole_at = self.bounded(whole_at, now);
        whole_at.max((whole_at + self.interval).min(self.spent(now)))
    }

    /// Gives one back, as far as it still counts: what has decayed since it was taken is not given twice.
    #[must_use]
    pub fn give_back(self, whole_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let whole_at = self.bounded(whole_at, now);
        (whole_at > now).then(|| (whole_at - self.interval).max(now))
    }

    /// How many of `takes` that nobody has been told of still count, with the budget whole at `whole_at`. Less than none are
    /// those that were given back.
    #[must_use]
    pub fn untold(self, takes: i32, whole_at: Timestamp, now: Timestamp) -> i32 {
        let debt = self.bounded(whole_at, now).since(now).as_micros();
        let counting = debt.div_ceil(self.interval.as_micros().max(1));
        if counting == 0 { 0 } else { takes.min(i32::try_from(counting).unwrap_or(i32::MAX)) }
    }

    /// When the budget is whole that all have told is whole at `told`, with so many takes more.
    #[must_use]
    pub fn together(self, told: Timestamp, takes: i32, now: Timestamp) -> Timestamp {
        let told = self.bounded(told, now);
        let moved = match takes {
            0.. => told + self.interval * takes.unsigned_abs(),
            _ => told - self.interval * takes.unsigned_abs(),
        };
        moved.clamp(now, self.latest(now))
    }

    /// The time that so many takes are worth, in microseconds.
    #[must_use]
    pub fn micros(self, takes: i32) -> i64 {
        let interval = i64::try_from(self.interval.as_micros()).unwrap_or(i64::MAX);
        interval.saturating_mul(i64::from(takes))
    }

    /// When a budget with nothing left is whole again.
    fn spent(self, now: Timestamp) -> Timestamp {
        now + self.interval * self.burst
    }

    /// When the budget of somebody who owes as much as anybody can is whole again.
    #[must_use]
    pub fn latest(self, now: Timestamp) -> Timestamp {
        self.spent(now) + self.interval * Self::OVERDRAFT
    }

    /// A time beyond this was written under a clock that was wrong: nobody shall wait for it to come true.
    #[must_use]
    pub fn wrong_after(self, now: Timestamp) -> Timestamp {
        self.latest(now) + Self::SKEW
    }

    fn bounded(self, whole_at: Timestamp, now: Timestamp) -> Timestamp {
        if whole_at > self.wrong_after(now) {
            return now;
        }
        whole_at.clamp(now, self.latest(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate::new(5, Duration::from_secs(6));

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }

    #[test]
    fn there_is_a_burst_and_then_a_rate() {
        // LG-08, DS-04
        let mut whole_at = at(-1000);
        for _ in 0..5 {
            whole_at = RATE.take(whole_at, at(0)).unwrap();
        }
        assert_eq!(RATE.take(whole_at, at(0)), Err(Duration::from_secs(6)));
        assert_eq!(RATE.take(whole_at, at(5)), Err(Duration::from_secs(1)));
        whole_at = RATE.take(whole_at, at(6)).unwrap();
        assert!(RATE.take(whole_at, at(6)).is_err());
    }

    #[test]
    fn a_clock_that_was_wrong_keeps_nobody_waiting() {
        // CR-08
        let mut whole_at = at(0);
        for _ in 0..5 {
            whole_at = RATE.take(whole_at, at(0)).unwrap();
        }
        assert_eq!(RATE.take(whole_at, at(-10)), Err(Duration::from_secs(16)), "a little: nothing is given");
        assert!(RATE.take(whole_at, at(-3600)).is_ok(), "an hour: nobody waits for it");
    }

    #[test]
    fn what_has_decayed_is_not_told_nor_given_back() {
        let whole_at = RATE.charge(at(0), at(0));
        assert_eq!(RATE.untold(1, whole_at, at(1)), 1);
        assert_eq!(RATE.untold(1, whole_at, at(6)), 0);
        assert_eq!(RATE.give_back(whole_at, at(6)), None);
        assert_eq!(RATE.give_back(whole_at, at(5)), Some(at(5)));
    }

    /// Replicas with a budget of their own each, and what all have told.
    struct Replicas {
        local: Vec<(Timestamp, i32)>,
        told: Timestamp,
    }

    impl Replicas {
        fn try_at(&mut self, who: usize, now: Timestamp) -> bool {
            let (whole_at, untold) = &mut self.local[who];
            let Ok(next) = RATE.take(*whole_at, now) else { return false };
            (*whole_at, *untold) = (next, *untold + 1);
            true
        }

        fn share(&mut self, now: Timestamp) {
            for (whole_at, untold) in &mut self.local {
                self.told = RATE.together(self.told, RATE.untold(*untold, *whole_at, now), now);
                *untold = 0;
            }
            for (whole_at, untold) in &mut self.local {
                *whole_at = RATE.together(self.told, *untold, now);
            }
        }
    }

    proptest! {
        // LG-08: what one network gets in any time is the burst and the rate, whatever its timing.
        #[test]
        fn one_replica_gives_no_more_than_the_rate(waits in prop::collection::vec(0..9_i64, 1..200)) {
            let (mut now, mut passed, mut whole_at) = (0, 0, at(-100));
            for wait in waits {
                now += wait;
                if let Ok(next) = RATE.take(whole_at, at(now)) {
                    whole_at = next;
                    passed += 1;
                }
            }
            prop_assert!(passed <= 5 + now / 6, "{passed} in {now} s");
        }

        // LG-08: replicas that look at each other every second give the rate of one, and a burst of each at most.
        #[test]
        fn replicas_together_give_one_budget(tries in prop::collection::vec((0..3_usize, 0..4_i64), 1..300)) {
            let mut replicas = Replicas { local: vec![(at(-100), 0); 3], told: at(-100) };
            let (mut now, mut passed) = (0, 0);
            for (who, wait) in tries {
                for second in 0..wait {
                    replicas.share(at(now + second + 1));
                }
                now += wait;
                passed += i64::from(replicas.try_at(who, at(now)));
            }
            prop_assert!(passed <= 3 * 5 + now / 6 + 1, "{passed} in {now} s");
        }

        #[test]
        fn looking_at_each_other_often_is_being_one(tries in prop::collection::vec((0..3_usize, 0..4_i64), 1..200)) {
            let mut replicas = Replicas { local: vec![(at(-100), 0); 3], told: at(-100) };
            let (mut now, mut alone) = (0, at(-100));
            for (who, wait) in tries {
                now += wait;
                let one = RATE.take(alone, at(now));
                alone = one.unwrap_or(alone);
                prop_assert_eq!(replicas.try_at(who, at(now)), one.is_ok());
                replicas.share(at(now));
            }
        }

        #[test]
        fn no_wait_is_long_and_whoever_waits_may(micros: i64, now: i64) {
            let (whole_at, now) = (Timestamp::from_micros(micros), Timestamp::from_micros(now / 2));
            if let Err(wait) = RATE.take(whole_at, now) {
                prop_assert!(wait <= Duration::from_secs(6) * 11);
                prop_assert!(RATE.take(RATE.together(whole_at, 0, now), now + wait).is_ok());
            }
        }
    }
}
