//! The audit trail, to be read.

use domain::admin::Right;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::Administrator;
use crate::App;
use crate::audit::{self, EventRow, Filter, Place};
use crate::cursor::{self, Page, Wanted};
use crate::error::Result;

/// Time and position of the last row of a page.
#[derive(Serialize, Deserialize)]
struct At(i64, i64);

/// A page of what happened, the latest first.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::Invalid`] for a cursor of another list.
pub async fn search(
    app: &App,
    admin: &Administrator,
    filter: &Filter,
    wanted: &Wanted,
) -> Result<Page<EventRow>> {
    admin.require(Right::ViewAuditEvent)?;
    let list = format!("events\0{filter:?}");
    let after = wanted.place(&app.index_key, &list)?;
    let after = after.map(|At(at, position)| Place { at: Timestamp::from_micros(at), position });
    let rows = audit::search(app, filter, after, wanted.limit + 1).await?;
    Ok(cursor::page(&app.index_key, &list, rows, wanted.limit, |row| At(row.at.micros(), row.position)))
}
