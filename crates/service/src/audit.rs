//! The audit trail: what happened is written in the transaction of the change itself, so that neither is ever there without
//! the other (LA-04).
//!
//! Rows wait in a table of their own until [`chain`] gives them their place in the chain of hashes; [`checkpoint`] states how
//! far it goes, [`verify`] checks all of it. Links and statements are under a key that is not in the database in the clear.
//!
//! To record something new: a kind in `domain::audit::EventKind`, and in the use case, before its `commit`,
//! `audit::record(&mut tx, &By::user(caller, id), &Event::new(kind).user(id))`.

pub mod chain;
pub mod checkpoint;
mod erasure;
pub(crate) mod key;
mod proof;
mod retention;
mod search;
pub mod verify;

pub use search::{EventRow, Filter, Place, export, search};

use std::sync::atomic::Ordering::Relaxed;

use domain::audit::{Actor, Event, Fields, SALT_LENGTH};
use domain::time::Timestamp;
use domain::user::UserId;
use store::Tx;

use crate::error::Result;
use crate::{App, Caller};

/// Who did something, when, and from where.
#[derive(Clone, Debug)]
pub struct By<'a> {
    actor: Actor,
    at: Timestamp,
    request: Option<&'a Caller>,
}

impl<'a> By<'a> {
    /// A request by this actor.
    #[must_use]
    pub fn request(caller: &'a Caller, actor: Actor) -> Self {
        Self { actor, at: caller.now, request: Some(caller) }
    }

    /// A request of a user, proved by a token.
    #[must_use]
    pub fn user(caller: &'a Caller, id: UserId) -> Self {
        Self::request(caller, Actor::User(id))
    }

    /// A request of somebody who has proved nothing.
    #[must_use]
    pub fn anonymous(caller: &'a Caller) -> Self {
        Self::request(caller, Actor::Anonymous)
    }

    /// A request of another service.
    #[must_use]
    pub fn service(caller: &'a Caller, name: &str) -> Self {
        Self::request(caller, Actor::Service(name.to_owned()))
    }

    /// A command of an operator's.
    #[must_use]
    pub fn operator(now: Timestamp) -> Self {
        Self { actor: Actor::Operator, at: now, request: None }
    }

    /// The service by itself.
    #[must_use]
    pub fn system(now: Timestamp) -> Self {
        Self { actor: Actor::System, at: now, request: None }
    }

    /// When.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }
}

/// Writes an event into the transaction of the change that it tells of. When it cannot be written, the change is not made
/// either: then this, a later statement or the commit answers an error.
///
/// # Errors
/// When the database cannot be written.
pub fn record(tx: &mut Tx, by: &By<'_>, event: &Event) -> Result<()> {
    let actor_id = by.actor.id(event.user);
    let detail = event.detail_text();
    let address = by.request.map(|caller| caller.address.to_string());
    let user_agent = by.request.map(Caller::short_user_agent).filter(|text| !text.is_empty());
    let salt: [u8; SALT_LENGTH] = crypto::random::fill();
    let row = Fields {
        at: by.at.micros(),
        kind: event.kind.as_str(),
        result: event.outcome.as_str(),
        actor: by.actor.kind(),
        actor_id: actor_id.as_deref(),
        user_id: event.user.map(UserId::get),
        session_id: event.session.as_ref().map(|id| id.as_bytes().as_slice()),
        address: address.as_deref(),
        user_agent: user_agent.as_deref(),
        request_id: by.request.map(|caller| caller.request_id.as_str()),
        detail: detail.as_deref(),
    };
    Ok(store::audit::record(tx, &salt, &row)?)
}

/// What the worker does every second: rows get their places, and when it is time the state is signed.
pub(crate) async fn keep(app: &App, now: Timestamp) -> Result<()> {
    chain::chain(app).await?;
    checkpoint::make_due(app, now).await
}

/// What the worker does every minute: erases the rows of deleted users and removes the oldest ones, in small steps.
pub(crate) async fn tidy(app: &App, now: Timestamp) -> Result<()> {
    tell_of_waiting(app, now).await?;
    erasure::erase(app, now).await?;
    retention::purge(app, now).await
}

/// Rows that wait for longer than they should are not proved yet, and not erased with their users.
async fn tell_of_waiting(app: &App, now: Timestamp) -> Result<()> {
    let mut tx = app.db.read().await?;
    let pending = store::audit::pending(&mut tx).await?;
    app.counters.audit_waiting.store(pending.as_ref().map_or(0, |pending| pending.rows), Relaxed);
    let Some(pending) = pending else { return Ok(()) };
    let seconds = now.since(pending.since).as_secs();
    if seconds > verify::PATIENCE.as_secs() {
        tracing::error!(
            event = "audit_waiting",
            audit.rows = pending.rows,
            audit.seconds = seconds,
            "rows of the audit trail wait for their places"
        );
    }
    Ok(())
}
