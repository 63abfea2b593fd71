//! The only reader of the system clock, and of the database's. Everything else takes the time as an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::time::Timestamp;
use store::Db;

use crate::error::Result;

/// Tells the time: the system's, corrected to the database's where that has one, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System(Arc<Correction>),
    Manual(Arc<AtomicI64>),
}

/// How far the database's clock is ahead of ours, in microseconds; shared by all clones of a clock.
#[derive(Debug, Default)]
struct Correction {
    micros: AtomicI64,
    measured: AtomicBool,
}

impl Clock {
    /// The system's clock, until [`Clock::follow`] has asked a database that has one of its own.
    #[must_use]
    pub fn system() -> Self {
        Self(Kind::System(Arc::default()))
    }

    /// A clock that stands still at `start` until it is moved.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Kind::Manual(Arc::new(AtomicI64::new(start.micros()))))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::Manual(micros) => Timestamp::from_micros(micros.load(Ordering::SeqCst)),
            Kind::System(correction) => {
                let ahead = correction.micros.load(Ordering::Relaxed);
                Timestamp::from_micros(system_time().micros().saturating_add(ahead))
            }
        }
    }

    /// Asks the database's clock, so that all replicas judge by one clock without asking it for every request. A manual
    /// clock is left alone, and so is every clock where the database has none but the system's.
    ///
    /// # Errors
    /// When the database does not answer; the correction stays as it is.
    pub async fn follow(&self, db: &Db) -> Result<()> {
        let Kind::System(correction) = &self.0 else { return Ok(()) };
        let asked = system_time();
        if let Some(there) = db.now().await? {
            correction.correct(asked, there, system_time());
        }
        Ok(())
    }

    /// Moves a manual clock. A system clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual(micros) = &self.0 {
            let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            micros.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Sets a manual clock, also back. A system clock is left alone.
    pub fn set(&self, now: Timestamp) {
        if let Kind::Manual(micros) = &self.0 {
            micros.store(now.micros(), Ordering::SeqCst);
        }
    }
}

impl Correction {
    /// The database's clock said `there` at some moment between two of ours. A correction that agrees with that stays:
    /// what is left is the way of the question, not the clocks, and time is not to tremble with every measurement.
    fn correct(&self, asked: Timestamp, there: Timestamp, answered: Timestamp) {
        let least = there.micros() - answered.micros();
        let most = there.micros() - asked.micros();
        if least > most {
            return; // our own clock was set back meanwhile
        }
        let ahead = match self.measured.swap(true, Ordering::Relaxed) {
            true => self.micros.load(Ordering::Relaxed).clamp(least, most),
            false => least + (most - least) / 2,
        };
        self.micros.store(ahead, Ordering::Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system clock")]
fn system_time() -> Timestamp {
    let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
    };
    Timestamp::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Timestamp::from_seconds(1_000));
        assert_eq!(clock.now(), Timestamp::from_seconds(1_000));
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(clock.now(), Timestamp::from_micros(1_001_500_000));
        clock.set(Timestamp::from_seconds(5));
        assert_eq!(clock.now().seconds(), 5);
    }

    #[test]
    fn the_system_clock_tells_this_century() {
        assert!(Clock::system().now() > Timestamp::from_seconds(1_700_000_000));
    }

    #[test]
    fn the_correction_is_the_middle_at_first_and_then_moves_no_more_than_it_must() {
        let at = Timestamp::from_micros;
        let correction = Correction::default();
        let measured = |asked, there, answered| {
            correction.correct(at(asked), at(there), at(answered));
            correction.micros.load(Ordering::Relaxed)
        };
        assert_eq!(measured(1_000, 6_000, 3_000), 4_000, "between 3000 and 5000");
        assert_eq!(measured(11_000, 15_500, 12_000), 4_000, "3500 to 4500 agrees");
        assert_eq!(measured(21_000, 25_900, 21_200), 4_700, "it must be 4700 to 4900");
        assert_eq!(measured(31_000, 30_000, 31_000), -1_000, "the database's clock was set back");
        assert_eq!(measured(41_000, 90_000, 40_000), -1_000, "ours was, while we asked: nothing was learnt");
    }

    #[tokio::test]
    async fn a_manual_clock_and_a_clock_beside_a_file_follow_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open_sqlite(store::SqliteOptions::new(folder.path().join("auth.db"))).await.unwrap();
        let manual = Clock::manual(Timestamp::from_seconds(5));
        manual.follow(&db).await.unwrap();
        assert_eq!(manual.now().seconds(), 5);
        let system = Clock::system();
        system.follow(&db).await.unwrap();
        let Kind::System(correction) = system.0 else { panic!("it is the system's") };
        assert_eq!(correction.micros.load(Ordering::Relaxed), 0);
    }
}
