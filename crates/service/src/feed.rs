//! What every token check must know, in memory: sessions that ended and users that changed, fed from one table.
//!
//! Entries are kept for as long as an access token from before them may live, so memory is bounded by the rate of
//! changes and not by the number of users.
//!
//! Who commits a change takes it in at once and then announces it ([`announce`]), so that other replicas look without
//! delay; without a word they look often enough by themselves.

mod gaps;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use domain::session::SessionId;
use domain::time::Timestamp;
use domain::user::UserId;
use gaps::Gaps;
use parking_lot::{Mutex, RwLock};
use store::change::{self, Change, What};
use store::{Db, Tx};
use tokio::sync::Notify;

use crate::App;
use crate::error::Result;
use crate::names::Names;

/// Entries of the feed that are read at once.
const PAGE: i64 = 1_000;
/// So many places before the first one that a starting reader reads may belong to transactions that are still open.
const OVERLAP: i64 = 256;
/// Clocks of replicas and of the database may differ by this much.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// The changes of the recent past, and how recent our knowledge is.
pub struct Feed {
    recent: RwLock<Recent>,
    /// When the feed was last read to its end; microseconds.
    read_at: AtomicI64,
    /// How long an entry matters; microseconds.
    horizon: AtomicU64,
    /// What must be read again once a user has changed.
    names: Arc<Names>,
    /// Changes for the status lists, if there are any.
    passed_on: Mutex<Option<Vec<What>>>,
    /// Places below the last one that were empty so far. Held while reading, so that polls run one after another.
    gaps: tokio::sync::Mutex<Gaps>,
    /// A change of ours that others have not been told of.
    news: Notify,
    told: Mutex<bool>,
}

#[derive(Default)]
struct Recent {
    last_seq: i64,
    ended: HashMap<SessionId, Timestamp>,
    users: HashMap<UserId, UserState>,
}

struct UserState {
    seq: i64,
    at: Timestamp,
    epoch: u32,
    active: bool,
}

impl Feed {
    /// Reads all that matters from the database.
    pub(crate) async fn load(
        db: &Db,
        now: Timestamp,
        longest_access_lifetime: Duration,
        names: Arc<Names>,
    ) -> Result<Self> {
        let horizon = longest_access_lifetime + MARGIN;
        let mut tx = db.read().await?;
        let last_seq = change::last_before(&mut tx, now - horizon).await?;
        drop(tx);
        let recent = RwLock::new(Recent { last_seq, ..Recent::default() });
        let mut gaps = Gaps::default();
        gaps.note((last_seq - OVERLAP).max(0), last_seq + 1, now);
        let feed = Self {
            recent,
            read_at: AtomicI64::new(now.micros()),
            gaps: gaps.into(),
            names,
            ..Self::empty(horizon)
        };
        feed.poll(db, now).await?;
        Ok(feed)
    }

    fn empty(horizon: Duration) -> Self {
        Self {
            recent: RwLock::default(),
            read_at: AtomicI64::new(0),
            horizon: AtomicU64::new(micros(horizon)),
            names: Arc::default(),
            passed_on: Mutex::new(None),
            gaps: tokio::sync::Mutex::default(),
            news: Notify::new(),
            told: Mutex::new(true),
        }
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// When the database cannot be read; the feed then grows stale.
    pub async fn poll(&self, db: &Db, now: Timestamp) -> Result<()> {
        let mut gaps = self.gaps.lock().await;
        let mut tx = db.read().await?;
        self.read_gaps(&mut tx, &mut gaps, now).await?;
        loop {
            let after = self.recent.read().last_seq;
            let page = change::read_after(&mut tx, after, PAGE).await?;
            let full = page.len() as i64 == PAGE;
            self.follow(&page, after, &mut gaps, now);
            if !full {
                break;
            }
        }
        gaps.forget(now);
        // Not the maximum: after the clock has been set back, our knowledge must still age.
        self.read_at.store(now.micros(), Ordering::Release);
        Ok(())
    }

    /// Asks again for places that were empty.
    async fn read_gaps(&self, tx: &mut Tx, gaps: &mut Gaps, now: Timestamp) -> Result<()> {
        for (mut first, last) in gaps.questions() {
            while first <= last {
                let page = change::read_between(tx, first, last, PAGE).await?;
                let full = page.len() as i64 == PAGE;
                first = page.last().filter(|_| full).map_or(i64::MAX, |change| change.seq + 1);
                let mut recent = self.recent.write();
                for change in &page {
                    recent.apply(change, now);
                    self.pass_on(change);
                    gaps.fill(change.seq);
                }
            }
        }
        Ok(())
    }

    fn follow(&self, page: &[Change], mut after: i64, gaps: &mut Gaps, now: Timestamp) {
        let mut recent = self.recent.write();
        for change in page {
            gaps.note(after, change.seq, now);
            after = change.seq;
            recent.apply(change, now);
            self.pass_on(change);
        }
        recent.last_seq = recent.last_seq.max(after);
    }

    /// Takes in a change that this process has just committed, so that it holds here at once.
    pub(crate) fn apply(&self, change: &Change, now: Timestamp) {
        self.recent.write().apply(change, now);
        self.pass_on(change);
        self.note_news();
    }

    /// Something was committed here that other replicas should look at.
    pub(crate) fn note_news(&self) {
        *self.told.lock() = false;
        self.news.notify_one();
    }

    /// Tells the others in this process who keep something that a change makes untrue.
    fn pass_on(&self, change: &Change) {
        if let What::User { id, .. } = change.what {
            self.names.forget(id);
        }
        if let Some(changes) = &mut *self.passed_on.lock() {
            changes.push(change.what.clone());
        }
    }

    /// From now on changes are kept for [`Feed::take_changes`].
    pub(crate) fn pass_on_changes(&self) {
        *self.passed_on.lock() = Some(Vec::new());
    }

    /// The changes since the last time.
    pub(crate) fn take_changes(&self) -> Vec<What> {
        self.passed_on.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Changes that could not be used yet.
    pub(crate) fn give_back_changes(&self, mut changes: Vec<What>) {
        if let Some(since) = &mut *self.passed_on.lock() {
            changes.append(since);
            *since = changes;
        }
    }

    /// Waits until a change of ours has to be announced.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// How old our knowledge is.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(Timestamp::from_micros(self.read_at.load(Ordering::Acquire)))
    }

    /// Whether an access token of this session and user may still be good.
    pub(crate) fn allows(&self, session: SessionId, user: UserId) -> bool {
        let recent = self.recent.read();
        if recent.ended.contains_key(&session) {
            return false;
        }
        recent.users.get(&user).is_none_or(|state| state.active && session.epoch() >= state.epoch)
    }

    /// How long an entry matters: nothing older is needed in memory or in the table.
    #[must_use]
    pub fn horizon(&self) -> Duration {
        Duration::from_micros(self.horizon.load(Ordering::Relaxed))
    }

    /// Keeps entries for longer when a replica has begun to issue tokens that live for so long. Tokens from before have
    /// their old lifetime, so nothing that has been forgotten by now is missed.
    pub(crate) fn widen(&self, longest_access_lifetime: Duration) {
        self.horizon.fetch_max(micros(longest_access_lifetime + MARGIN), Ordering::Relaxed);
    }

    /// Entries held in memory, for metrics.
    #[must_use]
    pub fn len(&self) -> usize {
        let recent = self.recent.read();
        recent.ended.len() + recent.users.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets what no living token can ask for.
    pub(crate) fn prune(&self, now: Timestamp) {
        let oldest = now - self.horizon();
        let mut recent = self.recent.write();
        recent.ended.retain(|_, at| *at >= oldest);
        recent.users.retain(|_, state| state.at >= oldest);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Recent {
    /// Takes in a change heard of at `now`. An entry counts from then, or from its own time if that is later: a wrong
    /// clock elsewhere cannot make it be forgotten too early.
    ///
    /// Applying a change twice, or after a later one, changes nothing: epochs only grow, and `active` is the word of
    /// the latest entry.
    fn apply(&mut self, change: &Change, now: Timestamp) {
        let at = change.at.max(now);
        match change.what {
            What::SessionEnded(id) => {
                self.ended.insert(id, at);
            }
            What::User { id, epoch, active } => match self.users.get_mut(&id) {
                Some(state) if state.seq > change.seq => {}
                Some(state) => {
                    *state = UserState { seq: change.seq, at, epoch: state.epoch.max(epoch), active };
                }
                None => {
                    self.users.insert(id, UserState { seq: change.seq, at, epoch, active });
                }
            },
        }
    }
}

/// Reads the feed of a running service to its end, and the signing keys if they have changed; the worker does so all the time.
///
/// # Errors
/// When the database cannot be read.
pub async fn poll(app: &App) -> Result<()> {
    let now = app.clock.now();
    // Keys first: knowledge counts as fresh only when both were read.
    crate::signing_key::poll(app).await?;
    app.feed.poll(&app.db, now).await?;
    crate::status_list::follow(app).await
}

/// Tells the other replicas of changes that were committed here since the last time, if there are any: once for all of
/// them. A command does so before it ends, the worker all the time.
pub async fn announce(app: &App) {
    let nothing_new = std::mem::replace(&mut *app.feed.told.lock(), true);
    if nothing_new || !app.settings.feed_notify {
        return;
    }
    // They look by themselves as well, so a word that is lost costs a moment.
    if let Err(error) = app.db.announce().await {
        tracing::debug!(event = "announcement_lost", error = %error, "others were not told of a change");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn user(at: i64, epoch: u32, active: bool) -> Change {
        let what = What::User { id: UserId::new(7), epoch, active };
        Change { seq: at, at: Timestamp::from_seconds(at), what }
    }

    fn feed() -> Feed {
        Feed::empty(Duration::from_secs(100))
    }

    #[test]
    fn sessions_of_earlier_epochs_have_ended_and_stay_so_when_the_account_is_enabled_again() {
        // TK-14, SE-03
        let feed = feed();
        let (old, new) = (SessionId::new([1; 12], 0), SessionId::new([2; 12], 1));
        assert!(feed.allows(old, UserId::new(7)));
        feed.apply(&user(10, 1, false), NOW);
        assert!(!feed.allows(old, UserId::new(7)) && !feed.allows(new, UserId::new(7)));
        feed.apply(&user(11, 1, true), NOW);
        assert!(!feed.allows(old, UserId::new(7)) && feed.allows(new, UserId::new(7)));
        feed.apply(&user(10, 1, false), NOW); // again, late
        assert!(feed.allows(new, UserId::new(7)));
        assert!(feed.allows(old, UserId::new(8)), "other users are not touched");
    }

    #[test]
    fn entries_are_forgotten_only_after_the_horizon() {
        // DS-03
        let feed = feed();
        let id = SessionId::new([3; 12], 0);
        let change = |at| Change { seq: 1, at: Timestamp::from_seconds(at), what: What::SessionEnded(id) };
        for written_at in [1_000, 3] {
            feed.apply(&change(written_at), NOW); // the second was written by a clock that is wrong
            feed.prune(Timestamp::from_seconds(1_100));
            assert!(!feed.allows(id, UserId::new(1)));
            feed.prune(Timestamp::from_seconds(1_101));
            assert!(feed.is_empty());
        }
    }
}
