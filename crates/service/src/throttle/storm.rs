//! Storms of failed logins: what replicas have counted together, and who says that one has begun or ended.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use domain::audit::{Event, EventKind};
use domain::throttle::{COUNTED_FOR, Logins, Storm};
use domain::time::Timestamp;
use parking_lot::Mutex;
use store::{login_count, meta};

use crate::App;
use crate::audit::{self, By};
use crate::error::Result;

/// Logins are counted in periods of this length.
const PERIOD: Duration = Duration::from_secs(10);
/// Counts are kept for so long after they have mattered.
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);

/// What a replica has counted, and whether there is a storm.
pub(crate) struct StormWatch {
    /// Names this replica beside the others; random.
    replica: [u8; 16],
    state: Mutex<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    storm: Storm,
    /// All that this replica has counted up to the last look.
    seen: Logins,
    period: Option<Timestamp>,
    in_period: Logins,
    /// Whether the others have not been told of the period as it is.
    is_unsaved: bool,
}

impl Default for StormWatch {
    fn default() -> Self {
        Self { replica: crypto::random::fill(), state: Mutex::default() }
    }
}

impl StormWatch {
    /// Whether there is a storm, as of the last look.
    pub(crate) fn is_raging(&self) -> bool {
        self.state.lock().storm.is_raging()
    }

    /// Adds what has come since the last look to the present period; answers the period with its count, unless that is saved.
    fn count(&self, total: Logins, now: Timestamp) -> Option<(Timestamp, Logins)> {
        let mut state = self.state.lock();
        let come = Logins {
            failures: total.failures.saturating_sub(state.seen.failures),
            successes: total.successes.saturating_sub(state.seen.successes),
        };
        let period = begin_of_period(now);
        if state.period != Some(period) {
            (state.period, state.in_period, state.is_unsaved) = (Some(period), Logins::default(), false);
        }
        state.seen = total;
        state.in_period = state.in_period + come;
        state.is_unsaved |= come != Logins::default();
        state.is_unsaved.then_some((period, state.in_period))
    }

    fn saved(&self) {
        self.state.lock().is_unsaved = false;
    }
}

fn begin_of_period(now: Timestamp) -> Timestamp {
    let length = i64::try_from(PERIOD.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.micros().div_euclid(length) * length)
}

/// Tells the others what was counted here, adds up what all have counted, and judges whether there is a storm.
pub(crate) async fn look(app: &App, now: Timestamp) -> Result<()> {
    let total = Logins {
        failures: app.counters.failed_logins.load(Relaxed),
        successes: app.counters.logins.load(Relaxed),
    };
    if let Some((period, logins)) = app.storms.count(total, now) {
        let mut tx = app.db.begin().await?;
        login_count::save(&mut tx, period, &app.storms.replica, logins).await?;
        tx.commit().await?;
        app.storms.saved();
    }
    let mut tx = app.db.read().await?;
    let logins = login_count::sum(&mut tx, now - COUNTED_FOR, now).await?;
    let is_known = meta::get(&mut tx, meta::LOGIN_STORM).await?.is_some();
    drop(tx);
    judge(app, logins, is_known, now).await
}

/// All replicas see the same counts, one a moment before another; whoever is first says so to all.
async fn judge(app: &App, logins: Logins, is_known: bool, now: Timestamp) -> Result<()> {
    let before = match (app.storms.state.lock().storm, is_known) {
        (storm, known) if storm.is_raging() == known => storm,
        (_, true) => Storm::Raging { rough_at: now },
        (_, false) => Storm::None,
    };
    let storm = before.next(logins, now);
    if storm.is_raging() != is_known {
        say(app, storm, logins, now).await?;
    }
    app.storms.state.lock().storm = storm;
    Ok(())
}

/// Writes down that a storm has begun or ended, with its row in the audit trail, unless another replica was faster.
async fn say(app: &App, storm: Storm, logins: Logins, now: Timestamp) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let (is_first, kind) = match storm {
        Storm::Raging { .. } => {
            let ours = now.micros().to_string();
            (meta::add(&mut tx, meta::LOGIN_STORM, &ours).await?, EventKind::LoginStormBegan)
        }
        Storm::None => (meta::remove(&mut tx, meta::LOGIN_STORM).await?, EventKind::LoginStormEnded),
    };
    if !is_first {
        return Ok(());
    }
    let event = Event::new(kind).detail("failures", logins.failures).detail("successes", logins.successes);
    audit::record(&mut tx, &By::system(now), &event)?;
    tx.commit().await?;
    if storm.is_raging() {
        app.counters.login_storms.fetch_add(1, Relaxed);
        tracing::warn!(
            event = "login_storm_began",
            logins.failed = logins.failures,
            logins.succeeded = logins.successes,
            "many logins fail from many networks; strange networks have a smaller budget until it is over"
        );
    } else {
        tracing::info!(event = "login_storm_ended", "logins are as usual again");
    }
    Ok(())
}

/// Removes counts that matter no more.
pub(crate) async fn tidy(app: &App, now: Timestamp) -> Result<()> {
    let mut tx = app.db.begin().await?;
    if login_count::purge(&mut tx, now - COUNTED_FOR - KEPT_FOR, now + KEPT_FOR).await? > 0 {
        tx.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn logins(failures: u64, successes: u64) -> Logins {
        Logins { failures, successes }
    }

    #[test]
    fn what_comes_is_counted_in_the_period_in_which_it_is_seen() {
        let watch = StormWatch::default();
        assert_eq!(watch.count(logins(0, 0), at(100)), None);
        assert_eq!(watch.count(logins(2, 1), at(101)), Some((at(100), logins(2, 1))));
        assert!(watch.count(logins(2, 1), at(102)).is_some(), "it could not be saved");
        watch.saved();
        assert_eq!(watch.count(logins(2, 1), at(103)), None, "nothing new");
        assert_eq!(watch.count(logins(5, 1), at(109)), Some((at(100), logins(5, 1))));
        assert_eq!(watch.count(logins(6, 1), at(110)), Some((at(110), logins(1, 0))));
        assert_eq!(watch.count(logins(7, 1), at(-5)), Some((at(-10), logins(1, 0))));
    }
}
