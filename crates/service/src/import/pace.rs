//! How many rows a batch has: enough to share its costs, few enough that others who write wait for about a second at most.

use domain::time::Timestamp;

/// Rows of the first batch: what a slow disk can take, too.
const FIRST: usize = 2_000;
/// A batch has no fewer.
const LEAST: usize = 500;
/// A batch grows to at most this many times the one before it.
const GROWTH: i64 = 4;
/// How long a batch should take, in microseconds. A transaction of fifteen seconds would be taken back.
const AIM: i64 = 1_000_000;

/// The size of the next batch, by how long the last one took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    rows: usize,
    most: usize,
}

impl Pace {
    /// A pace of at most `most` rows.
    #[must_use]
    pub fn up_to(most: usize) -> Self {
        Self { rows: FIRST.min(most), most }
    }

    /// Rows of the next batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Most rows that a batch may ever have.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// Notes how long a batch took. One that is not as large as it might have been says little, and changes nothing.
    pub fn note(&mut self, rows: usize, began: Timestamp, ended: Timestamp) {
        if rows < self.rows {
            return;
        }
        let took = ended.micros().saturating_sub(began.micros()).max(AIM / GROWTH);
        let fitting = i64::try_from(rows).unwrap_or(i64::MAX).saturating_mul(AIM) / took;
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
    fn batches_grow_while_they_are_quick_and_shrink_when_they_are_slow() {
        let mut pace = Pace::up_to(50_000);
        assert_eq!(pace.rows(), 2_000);
        assert_eq!(after(&mut pace, 10), 8_000, "four times at most");
        assert_eq!(after(&mut pace, 500), 16_000);
        assert_eq!(after(&mut pace, 100), 50_000);
        assert_eq!(after(&mut pace, 1_000), 50_000);
        assert_eq!(after(&mut pace, 5_000), 10_000);
        assert_eq!(after(&mut pace, 3_600_000), 500, "never nothing");
        assert_eq!(after(&mut pace, -5), 2_000, "a clock that is set back is as good as a quick batch");
    }

    #[test]
    fn a_small_batch_says_nothing() {
        let mut pace = Pace::up_to(5_000);
        pace.note(1, Timestamp::from_micros(0), Timestamp::from_micros(1));
        pace.note(0, Timestamp::from_micros(0), Timestamp::from_micros(i64::MAX));
        assert_eq!((pace.rows(), pace.most()), (2_000, 5_000));
        assert_eq!(Pace::up_to(100).rows(), 100);
    }
}
