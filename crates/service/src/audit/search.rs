//! Reading the trail: the latest rows of an account, of a kind, of a time; or all of it, in order.

use domain::session::SessionId;
use domain::time::Timestamp;
use domain::user::UserId;
use store::audit::Stored;
pub use store::audit::{Filter, Place};

use crate::App;
use crate::error::{Error, Result};

/// A row, as it is told to people. Kinds and actors are text: a program shows rows of a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its position in the chain: its id.
    pub position: i64,
    /// When.
    pub at: Timestamp,
    /// What happened: the name of a `domain::audit::EventKind`.
    pub kind: String,
    /// How it ended.
    pub result: String,
    /// What sort of actor.
    pub actor: String,
    /// Which one, where that is not the user.
    pub actor_id: Option<String>,
    /// Whose account it is about.
    pub user: Option<UserId>,
    /// Which session it is about.
    pub session: Option<SessionId>,
    /// From where.
    pub address: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
    /// Names the request in logs.
    pub request_id: Option<String>,
    /// A JSON object.
    pub detail: Option<String>,
    /// Whether its personal data were erased with its user.
    pub erased: bool,
}

impl EventRow {
    /// Where a page ends whose last row this is.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { at: self.at, position: self.position }
    }
}

/// Rows on a page at most.
const MOST: u32 = 1_000;

/// At most `limit` rows (and 1,000, and one more that tells whether there are more) that the filter takes, the latest first, behind `after`: pass the [`EventRow::place`] of a
/// page's last row for the next page. What happened within the last second or so may not have its place yet.
///
/// # Errors
/// When the database cannot be read.
pub async fn search(app: &App, filter: &Filter, after: Option<Place>, limit: u32) -> Result<Vec<EventRow>> {
    let mut tx = app.db.read().await?;
    let rows = store::audit::latest(&mut tx, filter, after, i64::from(limit.min(MOST + 1))).await?;
    rows.iter().map(read).collect()
}

/// The next rows of the chain behind a position, in its order, at most 1,000: from 0 on all of it, page by page.
///
/// # Errors
/// When the database cannot be read.
pub async fn export(app: &App, after: i64) -> Result<Vec<EventRow>> {
    let mut tx = app.db.read().await?;
    let after = after.max(store::audit::head(&mut tx).await?.purged_position);
    store::audit::read_after(&mut tx, after, i64::from(MOST)).await?.iter().map(read).collect()
}

fn read(row: &Stored) -> Result<EventRow> {
    let fields = row.fields()?;
    let text = |text: Option<&str>| text.map(str::to_owned);
    let session = fields.session_id.map(|id| {
        let bytes = id.try_into().map_err(|_| Error::internal("a session id in the audit trail is not one"));
        bytes.map(SessionId::from_bytes)
    });
    Ok(EventRow {
        position: row.position()?,
        at: Timestamp::from_micros(fields.at),
        kind: fields.kind.to_owned(),
        result: fields.result.to_owned(),
        actor: fields.actor.to_owned(),
        actor_id: text(fields.actor_id),
        user: fields.user_id.map(UserId::new),
        session: session.transpose()?,
        address: text(fields.address),
        user_agent: text(fields.user_agent),
        request_id: text(fields.request_id),
        detail: text(fields.detail),
        erased: row.salt()?.is_none(),
    })
}
