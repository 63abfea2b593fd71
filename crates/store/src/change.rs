//! The feed of changes that every replica follows, so that access tokens are checked in memory.

use domain::session::SessionId;
use domain::time::Timestamp;
use domain::user::UserId;

use crate::user::read_epoch;
use crate::{Error, Result, Row, Tx};

/// One entry of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Place in the feed; grows.
    pub seq: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub what: What,
}

/// What a token check must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// This session has ended.
    SessionEnded(SessionId),
    /// This user changed: sessions of earlier epochs have ended, and with `active` false no token is good.
    User {
        /// Who.
        id: UserId,
        /// The first epoch whose sessions may be good.
        epoch: u32,
        /// Whether the account is enabled.
        active: bool,
    },
}

const APPEND: &str =
    "INSERT INTO changes (at, session_id, user_id, epoch, active) VALUES ($1, $2, $3, $4, $5) RETURNING seq";
const READ_AFTER: &str =
    "SELECT seq, at, session_id, user_id, epoch, active FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2";
const READ_BETWEEN: &str = "SELECT seq, at, session_id, user_id, epoch, active FROM changes WHERE seq >= $1 AND seq <= $2 ORDER BY seq LIMIT $3";
const LAST_BEFORE: &str =
    "SELECT COALESCE((SELECT MIN(seq) - 1 FROM changes WHERE at >= $1), (SELECT MAX(seq) FROM changes), 0)";
const PURGE: &str =
    "DELETE FROM changes WHERE seq IN (SELECT seq FROM changes WHERE at < $1 ORDER BY at LIMIT $2)";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[APPEND, READ_AFTER, READ_BETWEEN, LAST_BEFORE, PURGE];

/// Adds an entry, in the transaction that makes the change, and answers it.
pub async fn append(tx: &mut Tx, at: Timestamp, what: What) -> Result<Change> {
    let session;
    let params = match &what {
        What::SessionEnded(id) => {
            session = *id;
            [
                at.micros().into(),
                session.as_bytes().as_slice().into(),
                None::<i64>.into(),
                None::<i64>.into(),
                None::<i64>.into(),
            ]
        }
        What::User { id, epoch, active } => [
            at.micros().into(),
            None::<&[u8]>.into(),
            id.get().into(),
            i64::from(*epoch).into(),
            i64::from(*active).into(),
        ],
    };
    let row =
        tx.query_opt(APPEND, &params).await?.ok_or(Error::Corrupt("an INSERT returned no row".into()))?;
    Ok(Change { seq: row.int(0)?, at, what })
}

/// At most `limit` entries after `seq`, in order.
pub async fn read_after(tx: &mut Tx, seq: i64, limit: i64) -> Result<Vec<Change>> {
    tx.query(READ_AFTER, &[seq.into(), limit.into()]).await?.iter().map(read).collect()
}

/// At most `limit` entries from `first` to `last`, in order: for places that a reader has passed while they were empty.
/// Places are given when an entry is written, and on PostgreSQL entries appear when their transactions commit, which is
/// not in that order.
pub async fn read_between(tx: &mut Tx, first: i64, last: i64, limit: i64) -> Result<Vec<Change>> {
    tx.query(READ_BETWEEN, &[first.into(), last.into(), limit.into()]).await?.iter().map(read).collect()
}

/// The place before the first entry that is not older than `at`: a reader that starts there misses none of them, even
/// where times do not grow with places because a clock was set back.
pub async fn last_before(tx: &mut Tx, at: Timestamp) -> Result<i64> {
    match tx.query_opt(LAST_BEFORE, &[at.micros().into()]).await? {
        Some(row) => row.int(0),
        None => Ok(0),
    }
}

/// Removes at most `limit` entries older than `before`; answers how many.
pub async fn purge(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(PURGE, &[before.micros().into(), limit.into()]).await
}

fn read(row: &Row) -> Result<Change> {
    let what = match row.opt_blob(2)? {
        Some(id) => What::SessionEnded(crate::session::read_id(id)?),
        None => {
            What::User { id: UserId::new(row.int(3)?), epoch: read_epoch(row.int(4)?)?, active: row.flag(5)? }
        }
    };
    Ok(Change { seq: row.int(0)?, at: Timestamp::from_micros(row.int(1)?), what })
}
