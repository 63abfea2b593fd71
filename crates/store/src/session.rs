//! Sessions: one row each, moved on by one conditional UPDATE.

pub(crate) mod together;

use std::fmt::Write as _;

use domain::session::{Jti, Session, SessionId};
use domain::time::Timestamp;
use domain::user::UserId;

use crate::db::Kind;
use crate::postgres::Transaction;
use crate::user::read_epoch;
use crate::{Db, Error, Result, Row, Tx};

/// A session with what its user's row says about it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The session.
    pub session: Session,
    /// The user's epoch; sessions of earlier epochs have ended.
    pub user_epoch: u32,
    /// Whether the account is enabled.
    pub user_active: bool,
}

const FIND: &str = "SELECT s.id, s.user_id, s.generation, s.jti, s.previous_jti, s.created_at, s.last_used_at, s.rotated_at, s.idle_expires_at, s.expires_at, s.revoked_at, s.address, s.user_agent, u.epoch, u.disabled_at, s.status_list, s.status_place FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1";
const INSERT: &str = "INSERT INTO sessions (id, user_id, generation, jti, previous_jti, created_at, last_used_at, rotated_at, idle_expires_at, expires_at, keep_until, revoked_at, address, user_agent, status_list, status_place) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, NULL, $12, $13, $14, $15) ON CONFLICT (id) DO NOTHING";
const ROTATE: &str = "UPDATE sessions SET generation = generation + 1, jti = $3, previous_jti = $4, last_used_at = $5, rotated_at = $5, idle_expires_at = $6 WHERE id = $1 AND generation = $2 AND revoked_at IS NULL";
// The usual refresh in one statement. What stands in the WHERE is when `domain::session::decide` says Rotate, and what is set is
// `domain::session::rotate`; a test holds them together. PostgreSQL has the same for many sessions at once, in `together`.
const ADVANCE: &str = "UPDATE sessions SET generation = generation + 1, jti = $3, previous_jti = jti, last_used_at = $4, rotated_at = $4, idle_expires_at = CASE WHEN expires_at < $5 THEN expires_at ELSE $5 END WHERE id = $1 AND jti = $2 AND revoked_at IS NULL AND idle_expires_at > $4 AND expires_at > $4 AND EXISTS (SELECT 1 FROM users u WHERE u.id = sessions.user_id AND u.id = $6 AND u.epoch <= $7 AND u.disabled_at IS NULL) RETURNING id, user_id, generation, jti, previous_jti, created_at, last_used_at, rotated_at, idle_expires_at, expires_at, revoked_at, address, user_agent, status_list, status_place";
const ADVANCE_ALL: &str = "WITH asked AS (SELECT * FROM unnest(CAST(CAST($1 AS TEXT) AS BYTEA[]), CAST(CAST($2 AS TEXT) AS BYTEA[]), CAST(CAST($3 AS TEXT) AS BYTEA[]), CAST(CAST($4 AS TEXT) AS BIGINT[]), CAST(CAST($5 AS TEXT) AS BIGINT[]), CAST(CAST($6 AS TEXT) AS BIGINT[]), CAST(CAST($7 AS TEXT) AS BIGINT[]), CAST(CAST($8 AS TEXT) AS BIGINT[])) AS a (id, presented, next, now, idle_expires_at, user_id, epoch, rotated_at)), free AS (SELECT id FROM sessions WHERE id IN (SELECT id FROM asked) FOR NO KEY UPDATE SKIP LOCKED) UPDATE sessions SET generation = generation + 1, jti = asked.next, previous_jti = jti, last_used_at = asked.now, rotated_at = asked.rotated_at, idle_expires_at = LEAST(sessions.expires_at, asked.idle_expires_at) FROM asked JOIN free ON free.id = asked.id WHERE sessions.id = asked.id AND jti = asked.presented AND revoked_at IS NULL AND sessions.idle_expires_at > asked.now AND expires_at > asked.now AND EXISTS (SELECT 1 FROM users u WHERE u.id = sessions.user_id AND u.id = asked.user_id AND u.epoch <= asked.epoch AND u.disabled_at IS NULL) RETURNING sessions.id, sessions.user_id, generation, jti, previous_jti, created_at, last_used_at, sessions.rotated_at, sessions.idle_expires_at, expires_at, revoked_at, address, user_agent, status_list, status_place";
const TOUCH: &str = "UPDATE sessions SET last_used_at = $2 WHERE id = $1 AND revoked_at IS NULL";
const REVOKE: &str = "UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
// The last four bytes of an id are the epoch of its login, so that what ended with an epoch is left out by the database.
const LIST_LIVE: &str = "SELECT s.id, s.user_id, s.generation, s.jti, s.previous_jti, s.created_at, s.last_used_at, s.rotated_at, s.idle_expires_at, s.expires_at, s.revoked_at, s.address, s.user_agent, u.epoch, u.disabled_at, s.status_list, s.status_place FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.user_id = $1 AND s.revoked_at IS NULL AND s.idle_expires_at > $2 AND s.expires_at > $2 AND substr(s.id, 13) >= $3 AND (s.created_at, s.id) < ($4, $5) ORDER BY s.created_at DESC, s.id DESC LIMIT $6";
const PURGE: &str = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE keep_until < $1 ORDER BY keep_until LIMIT $2)";

const KNOWS_AGENT: &str = "SELECT 1 FROM sessions WHERE user_id = $1 AND user_agent = $2 LIMIT 1";

/// Every statement of this file that both engines read.
pub const STATEMENTS: &[&str] =
    &[FIND, INSERT, ROTATE, ADVANCE, TOUCH, REVOKE, LIST_LIVE, PURGE, KNOWS_AGENT];
/// Those for PostgreSQL.
pub const POSTGRES_STATEMENTS: &[&str] = &[ADVANCE_ALL];

/// The session with this id, and its user's state.
pub async fn find(tx: &mut Tx, id: SessionId) -> Result<Option<Found>> {
    tx.query_opt(FIND, &[id.as_bytes().as_slice().into()]).await?.as_ref().map(read).transpose()
}

/// Stores a new session; false when the id exists already. `keep_until` is when no token can name it any more.
pub async fn insert(tx: &mut Tx, session: &Session, keep_until: Timestamp) -> Result<bool> {
    let params = [
        session.id.as_bytes().as_slice().into(),
        session.user_id.get().into(),
        session.generation.into(),
        session.jti.as_bytes().as_slice().into(),
        session.previous_jti.as_ref().map(|jti| jti.as_bytes().as_slice()).into(),
        session.created_at.micros().into(),
        session.last_used_at.micros().into(),
        session.rotated_at.micros().into(),
        session.idle_expires_at.micros().into(),
        session.expires_at.micros().into(),
        keep_until.micros().into(),
        session.address.as_str().into(),
        session.user_agent.as_str().into(),
        session.status.map(|status| status.list).into(),
        session.status.map(|status| i64::from(status.place)).into(),
    ];
    Ok(tx.execute(INSERT, &params).await? == 1)
}

/// Moves a session from the generation before `rotated` to it, if nobody else has: check and consume are one statement (RF-02).
pub async fn rotate(tx: &mut Tx, rotated: &Session) -> Result<bool> {
    let params = [
        rotated.id.as_bytes().as_slice().into(),
        (rotated.generation - 1).into(),
        rotated.jti.as_bytes().as_slice().into(),
        rotated.previous_jti.as_ref().map(|jti| jti.as_bytes().as_slice()).into(),
        rotated.rotated_at.micros().into(),
        rotated.idle_expires_at.micros().into(),
    ];
    Ok(tx.execute(ROTATE, &params).await? == 1)
}

/// A refresh as its token asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Advance {
    /// The session that the token names.
    pub id: SessionId,
    /// The user that it names.
    pub user: UserId,
    /// The token's id: only that of the generation in force will do.
    pub presented: Jti,
    /// The id of its successor; nobody else's, as it also says whose answer is whose.
    pub next: Jti,
    /// When it is asked.
    pub now: Timestamp,
    /// How long the successor is good, if the session is.
    pub idle_expires_at: Timestamp,
}

/// Moves a good session of an enabled user to its next generation, durably. It has a transaction of its own, on
/// PostgreSQL together with other callers. `None`, and nothing has changed by this, when anything is not as
/// it has to be, or when somebody else is at this session just now: [`find`] says what.
///
/// # Errors
/// As [`Db::begin`], [`Tx::execute`] and [`Tx::commit`].
pub async fn advance(db: &Db, asked: Advance) -> Result<Option<Session>> {
    match db.engine() {
        Kind::Sqlite(_) => advance_alone(db.begin().await?, &asked).await,
        Kind::Postgres(engine) => together::advance(engine, asked).await,
    }
}

async fn advance_alone(mut tx: Tx, asked: &Advance) -> Result<Option<Session>> {
    let params = [
        asked.id.as_bytes().as_slice().into(),
        asked.presented.as_bytes().as_slice().into(),
        asked.next.as_bytes().as_slice().into(),
        asked.now.micros().into(),
        asked.idle_expires_at.micros().into(),
        asked.user.get().into(),
        i64::from(asked.id.epoch()).into(),
    ];
    let Some(row) = tx.query_opt(ADVANCE, &params).await? else { return Ok(None) };
    tx.commit().await?;
    read_session(&row, 13).map(Some)
}

/// As [`advance`], for many sessions in one statement; answers those that it has moved on. With each stands the time that counts
/// as that of its rotation.
async fn advance_all(tx: Transaction, all: &[(Advance, Timestamp)]) -> Result<Vec<Session>> {
    let bytes = |of: fn(&Advance) -> &[u8; 16]| byte_list(all.iter().map(|(asked, _)| of(asked)));
    let numbers = |of: fn(&Advance) -> i64| number_list(all.iter().map(|(asked, _)| of(asked)));
    let lists = [
        bytes(|asked| asked.id.as_bytes()),
        bytes(|asked| asked.presented.as_bytes()),
        bytes(|asked| asked.next.as_bytes()),
        numbers(|asked| asked.now.micros()),
        numbers(|asked| asked.idle_expires_at.micros()),
        numbers(|asked| asked.user.get()),
        numbers(|asked| asked.id.epoch().into()),
        number_list(all.iter().map(|(_, rotated_at)| rotated_at.micros())),
    ];
    let rows = tx.query_alone(ADVANCE_ALL, &lists.each_ref().map(Into::into)).await?;
    // A row that cannot be read is an answer for nobody: its caller looks at it, and hears what is wrong with it.
    Ok(rows.iter().filter_map(|row| read_session(row, 13).ok()).collect())
}

/// An array of bytes as PostgreSQL reads it.
fn byte_list<'a>(items: impl Iterator<Item = &'a [u8; 16]>) -> String {
    let mut list = String::from("{");
    for item in items {
        let start = if list.len() == 1 { "\"\\\\x" } else { ",\"\\\\x" };
        _ = write!(list, "{start}{:032x}\"", u128::from_be_bytes(*item));
    }
    list.push('}');
    list
}

/// An array of numbers as PostgreSQL reads it.
fn number_list(items: impl Iterator<Item = i64>) -> String {
    let mut list = String::from("{");
    for item in items {
        let comma = if list.len() == 1 { "" } else { "," };
        _ = write!(list, "{comma}{item}");
    }
    list.push('}');
    list
}

/// Notes a use that does not rotate.
pub async fn touch(tx: &mut Tx, id: SessionId, now: Timestamp) -> Result<bool> {
    let params = [id.as_bytes().as_slice().into(), now.micros().into()];
    Ok(tx.execute(TOUCH, &params).await? == 1)
}

/// Ends a session; false when it had ended, or is none.
pub async fn revoke(tx: &mut Tx, id: SessionId, now: Timestamp) -> Result<bool> {
    Ok(tx.execute(REVOKE, &[id.as_bytes().as_slice().into(), now.micros().into()]).await? == 1)
}

/// Where a page of a user's sessions ends: the login of its last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When that session was opened.
    pub created_at: Timestamp,
    /// Which it is.
    pub id: SessionId,
}

/// At most `limit` sessions of a user in this epoch that have neither ended nor expired, the latest login first.
/// Begins behind `after`.
pub async fn list_live(
    tx: &mut Tx,
    user: UserId,
    epoch: u32,
    after: Option<Place>,
    limit: i64,
    now: Timestamp,
) -> Result<Vec<Session>> {
    let place = after.unwrap_or(Place {
        created_at: Timestamp::from_micros(i64::MAX),
        id: SessionId::from_bytes([u8::MAX; 16]),
    });
    let epoch = epoch.to_be_bytes();
    let params = [
        user.get().into(),
        now.micros().into(),
        epoch.as_slice().into(),
        place.created_at.micros().into(),
        place.id.as_bytes().as_slice().into(),
        limit.into(),
    ];
    tx.query(LIST_LIVE, &params).await?.iter().map(|row| read(row).map(|found| found.session)).collect()
}

/// Whether a user has, or lately had, a session opened by this user agent.
pub async fn knows_agent(tx: &mut Tx, user: UserId, agent: &str) -> Result<bool> {
    Ok(tx.query_opt(KNOWS_AGENT, &[user.get().into(), agent.into()]).await?.is_some())
}

/// Removes at most `limit` sessions that no token names any more; answers how many.
pub async fn purge(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(PURGE, &[now.micros().into(), limit.into()]).await
}

pub(crate) fn read_id(bytes: &[u8]) -> Result<SessionId> {
    Ok(SessionId::from_bytes(sixteen(bytes)?))
}

fn sixteen(bytes: &[u8]) -> Result<[u8; 16]> {
    bytes.try_into().map_err(|_| Error::Corrupt(format!("{} bytes where 16 should be", bytes.len()).into()))
}

fn read(row: &Row) -> Result<Found> {
    let session = read_session(row, 15)?;
    Ok(Found { session, user_epoch: read_epoch(row.int(13)?)?, user_active: row.opt_int(14)?.is_none() })
}

/// Reads a session from the first columns of a row, and its place in a status list from column `status` and the next.
fn read_session(row: &Row, status: usize) -> Result<Session> {
    let time = |i| row.int(i).map(Timestamp::from_micros);
    Ok(Session {
        id: read_id(row.blob(0)?)?,
        user_id: UserId::new(row.int(1)?),
        generation: row.int(2)?,
        jti: Jti::from_bytes(sixteen(row.blob(3)?)?),
        previous_jti: row.opt_blob(4)?.map(sixteen).transpose()?.map(Jti::from_bytes),
        created_at: time(5)?,
        last_used_at: time(6)?,
        rotated_at: time(7)?,
        idle_expires_at: time(8)?,
        expires_at: time(9)?,
        revoked_at: row.opt_int(10)?.map(Timestamp::from_micros),
        status: crate::status_list::read_place(row, status)?,
        address: row.text(11)?.to_owned(),
        user_agent: row.text(12)?.to_owned(),
    })
}
