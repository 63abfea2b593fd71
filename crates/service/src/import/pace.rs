//! How many rows a transaction has: enough to share its costs, few enough that others who write need not wait for long.

use domain::time::Timestamp;

/// Rows of the first one: what a slow disk can take, too.
const FIRST: usize = 2_000;
/// None has fewer.
const LEAST: usize = 500;
/// One grows to at most this many times the one before it.
const GROWTH: i64 = 4;
/// How long one should take where others write too, in microseconds.
const AIM: i64 = 1_000_000;
/// And as long as nobody else was seen to write. Who begins to then waits for so long, once: less than the five seconds after which
/// a writer gives up, and than the fifteen after which a transaction is taken back.
const AIM_ALONE: i64 = 3_000_000;

/// The size of the next transaction, by how long the last one took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    rows: usize,
    most: usize,
    aim: i64,
}

impl Pace {
    /// A pace of at most `most` rows.
    pub(super) fn up_to(most: usize) -> Self {
        Self { rows: FIRST.min(most), most, aim: AIM_ALONE }
    }

    /// Rows of the next transaction.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether a transaction has as many rows as it should, or has taken as long: the source may be slow.
    pub(super) fn is_enough(&self, rows: usize, began: Timestamp, now: Timestamp) -> bool {
        rows >= self.rows || now.micros().saturating_sub(began.micros()) >= self.aim
    }

    /// Others write too: from now on they wait for less.
    pub(super) fn share(&mut self) {
        if self.aim != AIM {
            self.aim = AIM;
            self.rows = (self.rows / 3).clamp(LEAST.min(self.most), self.most);
        }
    }

    /// Notes how long a transaction took. One that is not as large as it might have been says little, unless it took too long.
    pub(super) fn note(&mut self, rows: usize, began: Timestamp, ended: Timestamp) {
        let took = ended.micros().saturating_sub(began.micros());
        if rows < self.rows && took <= self.aim {
            return;
        }
        let took = took.max(self.aim / GROWTH);
        let fitting = i64::try_from(rows).unwrap_or(i64::MAX).saturating_mul(self.aim) / took;
        let fitting = usize::try_from(fitting).unwrap_or(self.most);
        self.rows = fitting.clamp(LEAST.min(self.most), self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pace: &mut Pace, millis: i64) -> usize {
        pace.note(pace.rows(), Timestamp::from_micros(0), Timestamp::from_micros(millis * 1_000));
        pace.rows()
    }

    #[test]
    fn transactions_grow_while_they_are_quick_and_shrink_when_they_are_slow() {
        let mut pace = Pace::up_to(50_000);
        assert_eq!(pace.rows(), 2_000);
        assert_eq!(after(&mut pace, 10), 8_000, "four times at most");
        assert_eq!(after(&mut pace, 1_500), 16_000);
        assert_eq!(after(&mut pace, 100), 50_000);
        assert_eq!(after(&mut pace, 3_000), 50_000);
        assert_eq!(after(&mut pace, 15_000), 10_000);
        assert_eq!(after(&mut pace, 3_600_000), 500, "never nothing");
        assert_eq!(after(&mut pace, -5), 2_000, "a clock that is set back is as good as a quick transaction");
    }

    #[test]
    fn they_are_shorter_once_others_write() {
        let mut pace = Pace::up_to(50_000);
        assert_eq!(after(&mut pace, 1), 8_000);
        pace.share();
        assert_eq!(pace.rows(), 2_666);
        pace.share();
        assert_eq!(pace.rows(), 2_666, "said once is enough");
        assert_eq!(after(&mut pace, 1_000), 2_666);
        assert_eq!(after(&mut pace, 2_000), 1_333);
    }

    #[test]
    fn a_slow_source_keeps_nobody_waiting() {
        let pace = Pace::up_to(50_000);
        let at = Timestamp::from_micros;
        assert!(!pace.is_enough(1_999, at(0), at(2_999_999)));
        assert!(pace.is_enough(2_000, at(0), at(0)) && pace.is_enough(1, at(0), at(3_000_000)));
        assert!(!pace.is_enough(1, at(5), at(0)), "a clock that is set back says nothing");
    }

    #[test]
    fn a_small_one_says_nothing_unless_it_took_long() {
        let mut pace = Pace::up_to(5_000);
        pace.note(1, Timestamp::from_micros(0), Timestamp::from_micros(1));
        pace.note(1_999, Timestamp::from_micros(0), Timestamp::from_micros(3_000_000));
        assert_eq!(pace.rows(), 2_000);
        // Three seconds for its rows, and three more for its commit.
        pace.note(1_800, Timestamp::from_micros(0), Timestamp::from_micros(6_000_000));
        assert_eq!(pace.rows(), 900);
        pace.note(0, Timestamp::from_micros(0), Timestamp::from_micros(i64::MAX));
        assert_eq!(pace.rows(), 500);
        assert_eq!(Pace::up_to(100).rows(), 100);
    }
}
