//! A user's sessions: seen and ended by their owner.

use domain::audit::{Event, EventKind};
use domain::session::{Session, SessionId};
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
    let mut tx = app.db.read().await?;
    let Some(user) = store::user::find(&mut tx, who.user_id).await? else {
        return Ok(Page { sessions: Vec::new(), next: None });
    };
    let sessions = store::session::list_live(&mut tx, user.id, user.epoch, after, PAGE, caller.now).await?;
    let full = sessions.len() as i64 == PAGE;
    let last = sessions.last().filter(|_| full);
    let next = last.map(|session| Place { created_at: session.created_at, id: session.id });
    Ok(Page { sessions, next })
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
    let found = store::session::find(&mut tx, id).await?;
    let own = found.filter(|found| {
        let session = &found.session;
        session.user_id == who.user_id
            && !session.is_ended(found.user_epoch)
            && !session.is_expired(caller.now)
    });
    let event = ended(id, who.user_id, "list");
    if own.is_none() || !revoke(app, tx, id, &By::user(caller, who.user_id), &event).await? {
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
