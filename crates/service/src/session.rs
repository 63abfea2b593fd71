//! A user's sessions: seen and ended by their owner.

use domain::audit::{Event, EventKind};
use domain::session::{Session, SessionId};
use domain::time::Timestamp;
use domain::user::UserId;
use store::Tx;
use store::change::{self, What};
pub use store::session::Place;

use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::verify::Identity;
use crate::{App, Caller, retry};

/// Sessions on one page.
const PAGE: i64 = 100;

/// Some of a user's sessions, the latest login first.
pub struct Page {
    /// Those that are good now.
    pub sessions: Vec<Session>,
    /// Where the next page begins, if there may be one.
    pub next: Option<Place>,
}

/// The sessions of a user that have neither ended nor expired, at most 100 of them.
///
/// # Errors
/// [`crate::Kind::Unavailable`].
pub async fn list(app: &App, caller: &Caller, who: Identity, after: Option<Place>) -> Result<Page> {
    let page = list_of(app, caller, who.user_id, after).await?;
    Ok(page.unwrap_or(Page { sessions: Vec::new(), next: None }))
}

/// The same by the user's id; nothing when there is no such user.
pub(crate) async fn list_of(
    app: &App,
    caller: &Caller,
    id: UserId,
    after: Option<Place>,
) -> Result<Option<Page>> {
    let mut tx = app.db.read().await?;
    let Some(user) = store::user::find(&mut tx, id).await? else { return Ok(None) };
    let sessions = store::session::list_live(&mut tx, user.id, user.epoch, after, PAGE, caller.now).await?;
    let full = sessions.len() as i64 == PAGE;
    let last = sessions.last().filter(|_| full);
    let next = last.map(|session| Place { created_at: session.created_at, id: session.id });
    Ok(Some(Page { sessions, next }))
}

/// Ends a session of a user.
///
/// # Errors
/// [`crate::Kind::NotFound`] when the user has no such session, or it has ended; [`crate::Kind::Unavailable`].
pub async fn end(app: &App, caller: &Caller, who: Identity, id: SessionId) -> Result<()> {
    let mut turn = 0;
    loop {
        let done = try_to_end(app, caller, who, id).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_end(app: &App, caller: &Caller, who: Identity, id: SessionId) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let live = is_live(&mut tx, id, who.user_id, caller.now).await?;
    let event = ended(id, who.user_id, "list");
    if !live || !revoke(app, tx, id, &By::user(caller, who.user_id), &event).await? {
        return Err(Error::not_found("There is no such session."));
    }
    tracing::info!(
        event = "session_ended",
        session.id = %id,
        user.id = %who.user_id,
        request.id = caller.request_id,
        "a session was ended by its owner"
    );
    Ok(())
}

/// Whether a user has this session, and it has neither ended nor expired.
pub(crate) async fn is_live(tx: &mut Tx, id: SessionId, user: UserId, now: Timestamp) -> Result<bool> {
    let found = store::session::find(tx, id).await?;
    Ok(found.is_some_and(|found| {
        let session = &found.session;
        session.user_id == user && !session.is_ended(found.user_epoch) && !session.is_expired(now)
    }))
}

/// A session that was ended, and by which means.
pub(crate) fn ended(id: SessionId, user: UserId, by: &'static str) -> Event {
    Event::new(EventKind::SessionEnded).user(user).session(id).detail("by", by)
}

/// Ends a session, commits, and tells every replica: this one at once. False when it had ended already; nothing is
/// committed then.
pub(crate) async fn revoke(app: &App, mut tx: Tx, id: SessionId, by: &By<'_>, event: &Event) -> Result<bool> {
    let now = by.at();
    if !store::session::revoke(&mut tx, id, now).await? {
        return Ok(false);
    }
    audit::record(&mut tx, by, event)?;
    let change = change::append(&mut tx, now, What::SessionEnded(id)).await?;
    tx.commit().await?;
    app.feed.apply(&change, now);
    Ok(true)
}
