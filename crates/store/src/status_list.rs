//! Status lists: which place each session has in which list.

use domain::session::SessionId;
use domain::status::StatusPlace;
use domain::time::Timestamp;
use domain::user::UserId;

use crate::user::read_epoch;
use crate::{Error, Result, Row, Tx};

/// The place of a session in a list, and what is known of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which place.
    pub place: u32,
    /// Whether the session has ended before its time.
    pub ended: bool,
}

/// A session's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The session.
    pub session: SessionId,
    /// Its place.
    pub place: StatusPlace,
}

const LISTS: &str = "SELECT id, opened_at FROM status_lists ORDER BY id";
const OPEN: &str = "INSERT INTO status_lists (id, opened_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
const TAKE: &str = "INSERT INTO status_entries (list, place, session_id, user_id, keep_until) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (list, place) DO NOTHING";
// A deleted user's sessions are gone; their places are not.
const PAGE: &str = "SELECT e.place, s.id, s.revoked_at, u.epoch, u.disabled_at FROM status_entries e LEFT JOIN sessions s ON s.id = e.session_id LEFT JOIN users u ON u.id = e.user_id WHERE e.list = $1 AND e.place > $2 ORDER BY e.place LIMIT $3";
const OF_SESSION: &str = "SELECT status_list, status_place FROM sessions WHERE id = $1";
const OF_USER: &str = "SELECT session_id, list, place FROM status_entries WHERE user_id = $1 AND (list, place) > ($2, $3) ORDER BY list, place LIMIT $4";
const LIVES: &str = "SELECT 1 FROM status_entries WHERE list = $1 AND keep_until >= $2 LIMIT 1";
const EMPTY: &str = "DELETE FROM status_entries WHERE list = $1 AND place IN (SELECT place FROM status_entries WHERE list = $1 ORDER BY place LIMIT $2)";
const CLOSE: &str = "DELETE FROM status_lists WHERE id = $1";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[LISTS, OPEN, TAKE, PAGE, OF_SESSION, OF_USER, LIVES, EMPTY, CLOSE];

/// The lists there are, in order, with when they were opened. There are few: one is opened in weeks.
pub async fn lists(tx: &mut Tx) -> Result<Vec<(i64, Timestamp)>> {
    let rows = tx.query(LISTS, &[]).await?;
    rows.iter().map(|row| Ok((row.int(0)?, Timestamp::from_micros(row.int(1)?)))).collect()
}

/// Opens a list, unless there is one of that id.
pub async fn open(tx: &mut Tx, id: i64, now: Timestamp) -> Result<()> {
    tx.execute(OPEN, &[id.into(), now.micros().into()]).await.map(drop)
}

/// Gives a place to a session; false when it is taken.
pub async fn take(
    tx: &mut Tx,
    place: StatusPlace,
    session: SessionId,
    user: UserId,
    keep_until: Timestamp,
) -> Result<bool> {
    let params = [
        place.list.into(),
        i64::from(place.place).into(),
        session.as_bytes().as_slice().into(),
        user.get().into(),
        keep_until.micros().into(),
    ];
    Ok(tx.execute(TAKE, &params).await? == 1)
}

/// At most `limit` entries of a list behind `after`, by place.
pub async fn page(tx: &mut Tx, list: i64, after: Option<u32>, limit: i64) -> Result<Vec<Entry>> {
    let params = [list.into(), after.map_or(-1, i64::from).into(), limit.into()];
    tx.query(PAGE, &params).await?.iter().map(entry).collect()
}

/// The place of a session, if it has one.
pub async fn of_session(tx: &mut Tx, id: SessionId) -> Result<Option<StatusPlace>> {
    match tx.query_opt(OF_SESSION, &[id.as_bytes().as_slice().into()]).await? {
        Some(row) => read_place(&row, 0),
        None => Ok(None),
    }
}

/// At most `limit` places of a user's sessions behind `after`, also of sessions that are gone.
pub async fn of_user(tx: &mut Tx, id: UserId, after: Option<StatusPlace>, limit: i64) -> Result<Vec<Held>> {
    let (list, place) = after.map_or((-1, -1), |after| (after.list, i64::from(after.place)));
    let rows = tx.query(OF_USER, &[id.get().into(), list.into(), place.into(), limit.into()]).await?;
    rows.iter().map(held).collect()
}

/// Whether a token may still carry a place of the list.
pub async fn lives(tx: &mut Tx, list: i64, now: Timestamp) -> Result<bool> {
    Ok(tx.query_opt(LIVES, &[list.into(), now.micros().into()]).await?.is_some())
}

/// Removes at most `limit` places of a list that no token carries any more, and the list with its last one; true then.
pub async fn close(tx: &mut Tx, list: i64, limit: i64) -> Result<bool> {
    if tx.execute(EMPTY, &[list.into(), limit.into()]).await? > 0 {
        return Ok(false);
    }
    Ok(tx.execute(CLOSE, &[list.into()]).await? == 1)
}

/// The place in two columns of a row that begin at `column`.
pub(crate) fn read_place(row: &Row, column: usize) -> Result<Option<StatusPlace>> {
    match (row.opt_int(column)?, row.opt_int(column + 1)?) {
        (Some(list), Some(place)) => Ok(Some(StatusPlace { list, place: number(place)? })),
        _ => Ok(None),
    }
}

fn entry(row: &Row) -> Result<Entry> {
    let ended = match (row.opt_blob(1)?, row.opt_int(3)?) {
        (Some(id), Some(epoch)) => {
            let revoked = row.opt_int(2)?.is_some() || row.opt_int(4)?.is_some();
            revoked || crate::session::read_id(id)?.epoch() < read_epoch(epoch)?
        }
        _ => true,
    };
    Ok(Entry { place: number(row.int(0)?)?, ended })
}

fn held(row: &Row) -> Result<Held> {
    let place = StatusPlace { list: row.int(1)?, place: number(row.int(2)?)? };
    Ok(Held { session: crate::session::read_id(row.blob(0)?)?, place })
}

fn number(place: i64) -> Result<u32> {
    u32::try_from(place).map_err(|_| Error::Corrupt(format!("{place} is no place in a list").into()))
}
