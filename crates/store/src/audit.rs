//! The audit trail: rows as they are written with a change, moved to the end of the chain, read, erased and removed.

use std::ops::Range;

use domain::audit::{EventKind, Fields, GENESIS, Hash, State, open_bytes, personal_bytes};
use domain::time::Timestamp;
use domain::user::UserId;

use crate::param::Seen;
use crate::{Dialect, Error, Param, Result, Row, Tx};

const RECORD: &str = "INSERT INTO audit_pending (at, kind, result, actor, actor_id, user_id, session_id, address, user_agent, request_id, detail, salt) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const ANY_PENDING: &str = "SELECT 1 FROM audit_pending LIMIT 1";
const COUNT_PENDING: &str = "SELECT COUNT(*) FROM audit_pending";
const FIRST_PENDING: &str = "SELECT at FROM audit_pending ORDER BY id LIMIT 1";
const LEFTOVER: &str = "SELECT position FROM audit_events WHERE position <= $1 ORDER BY position LIMIT 1";
const TAKE: &str = "DELETE FROM audit_pending WHERE id IN (SELECT id FROM audit_pending ORDER BY id LIMIT $1) RETURNING at, kind, result, actor, actor_id, user_id, session_id, address, user_agent, request_id, detail, salt, id";
const APPEND: &str = "INSERT INTO audit_events (position, at, kind, result, actor, actor_id, user_id, session_id, address, user_agent, request_id, detail, salt, personal, commitment, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
const HEAD: &str = "SELECT position, hash, purged_position, purged_hash FROM audit_head WHERE id = 1";
const HEAD_FOR_ME: &str =
    "SELECT position, hash, purged_position, purged_hash FROM audit_head WHERE id = 1 FOR UPDATE SKIP LOCKED";
const OPEN_HEAD: &str = "INSERT INTO audit_head (id, position, hash, purged_position, purged_hash) VALUES (1, 0, $1, 0, $1) ON CONFLICT (id) DO NOTHING";
const MOVE_END: &str =
    "UPDATE audit_head SET position = $1, hash = $2 WHERE id = 1 AND position = $3 AND hash = $4";
const MOVE_START: &str = "UPDATE audit_head SET purged_position = $1, purged_hash = $2 WHERE id = 1";
const WALK: &str = "SELECT at, kind, result, actor, actor_id, user_id, session_id, address, user_agent, request_id, detail, salt, position, personal, commitment, hash, erased_at FROM audit_events WHERE position > $1 ORDER BY position LIMIT $2";
const LATEST: &str = "SELECT at, kind, result, actor, actor_id, user_id, session_id, address, user_agent, request_id, detail, salt, position FROM audit_events WHERE at >= $1 AND at < $2 AND (at, position) < ($3, $4) AND position > COALESCE((SELECT purged_position FROM audit_head WHERE id = 1), 0) ORDER BY at DESC, position DESC LIMIT $5";
const LATEST_OF_KIND: &str = "SELECT at, kind, result, actor, actor_id, user_id, session_id, address, user_agent, request_id, detail, salt, position FROM audit_events WHERE at >= $1 AND at < $2 AND (at, position) < ($3, $4) AND position > COALESCE((SELECT purged_position FROM audit_head WHERE id = 1), 0) AND kind = $6 ORDER BY at DESC, position DESC LIMIT $5";
const LATEST_OF_USER: &str = "SELECT at, kind, result, actor, actor_id, user_id, session_id, address, user_agent, request_id, detail, salt, position FROM audit_events WHERE at >= $1 AND at < $2 AND (at, position) < ($3, $4) AND position > COALESCE((SELECT purged_position FROM audit_head WHERE id = 1), 0) AND user_id = $6 ORDER BY at DESC, position DESC LIMIT $5";
const LATEST_OF_BOTH: &str = "SELECT at, kind, result, actor, actor_id, user_id, session_id, address, user_agent, request_id, detail, salt, position FROM audit_events WHERE at >= $1 AND at < $2 AND (at, position) < ($3, $4) AND position > COALESCE((SELECT purged_position FROM audit_head WHERE id = 1), 0) AND user_id = $6 AND kind = $7 ORDER BY at DESC, position DESC LIMIT $5";
const PURGE: &str = "DELETE FROM audit_events WHERE position > $1 AND position <= $2";
const REQUEST_ERASURE: &str =
    "INSERT INTO audit_erasures (user_id, requested_at) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING";
const ERASURES: &str =
    "SELECT user_id, requested_at FROM audit_erasures ORDER BY requested_at, user_id LIMIT $1";
const ERASE_OF_USER: &str = "UPDATE audit_events SET salt = NULL, session_id = NULL, address = NULL, user_agent = NULL, request_id = NULL, detail = NULL, erased_at = $2 WHERE position IN (SELECT position FROM audit_events WHERE user_id = $1 AND erased_at IS NULL LIMIT $3)";
const ERASE_BY_USER: &str = "UPDATE audit_events SET salt = NULL, session_id = NULL, address = NULL, user_agent = NULL, request_id = NULL, detail = NULL, erased_at = $2 WHERE position IN (SELECT position FROM audit_events WHERE actor_id = $1 AND actor = 'user' AND erased_at IS NULL LIMIT $3)";
const PENDING_OF: &str =
    "SELECT 1 FROM audit_pending WHERE user_id = $1 OR (actor = 'user' AND actor_id = $2) LIMIT 1";
const ERASED: &str = "DELETE FROM audit_erasures WHERE user_id = $1";
const INSERT_CHECKPOINT: &str = "INSERT INTO audit_checkpoints (position, at, statement) VALUES ($1, $2, $3) ON CONFLICT (position) DO NOTHING";
const CHECKPOINTS: &str =
    "SELECT position, at, statement FROM audit_checkpoints WHERE position > $1 ORDER BY position LIMIT $2";
const LAST_CHECKPOINT: &str =
    "SELECT position, at, statement FROM audit_checkpoints ORDER BY position DESC LIMIT 1";
const PURGE_CHECKPOINTS: &str = "DELETE FROM audit_checkpoints WHERE position <= $1";

/// Every statement of this file that both engines read.
pub const STATEMENTS: &[&str] = &[
    RECORD,
    ANY_PENDING,
    COUNT_PENDING,
    FIRST_PENDING,
    LEFTOVER,
    TAKE,
    APPEND,
    HEAD,
    OPEN_HEAD,
    MOVE_END,
    MOVE_START,
    WALK,
    LATEST,
    LATEST_OF_KIND,
    LATEST_OF_USER,
    LATEST_OF_BOTH,
    PURGE,
    REQUEST_ERASURE,
    ERASURES,
    ERASE_OF_USER,
    ERASE_BY_USER,
    PENDING_OF,
    ERASED,
    INSERT_CHECKPOINT,
    CHECKPOINTS,
    LAST_CHECKPOINT,
    PURGE_CHECKPOINTS,
];
/// Those for PostgreSQL.
pub const POSTGRES_STATEMENTS: &[&str] = &[HEAD_FOR_ME];

/// Writes a row with the change that the transaction makes. It costs no round trip of its own, so what is wrong with it may
/// come to light with the next statement or the commit.
///
/// # Errors
/// As [`Tx::execute_later`].
pub fn record(tx: &mut Tx, salt: &[u8], row: &Fields<'_>) -> Result<()> {
    let params = [
        row.at.into(),
        row.kind.into(),
        row.result.into(),
        row.actor.into(),
        row.actor_id.into(),
        row.user_id.into(),
        row.session_id.into(),
        row.address.into(),
        row.user_agent.into(),
        row.request_id.into(),
        row.detail.into(),
        salt.into(),
    ];
    tx.execute_later(RECORD, &params)
}

/// Whether any row waits for its place.
pub async fn any_pending(tx: &mut Tx) -> Result<bool> {
    Ok(tx.query_opt(ANY_PENDING, &[]).await?.is_some())
}

/// Rows that wait for their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// How many.
    pub rows: u64,
    /// When the one that was written first happened.
    pub since: Timestamp,
}

/// What waits; `None` when nothing does.
pub async fn pending(tx: &mut Tx) -> Result<Option<Pending>> {
    let Some(first) = tx.query_opt(FIRST_PENDING, &[]).await? else { return Ok(None) };
    let count = tx.query_opt(COUNT_PENDING, &[]).await?;
    let rows = count.map(|row| row.int(0)).transpose()?.unwrap_or(0).unsigned_abs();
    Ok(Some(Pending { rows, since: Timestamp::from_micros(first.int(0)?) }))
}

/// The first row at or before a position.
pub async fn leftover(tx: &mut Tx, position: i64) -> Result<Option<i64>> {
    tx.query_opt(LEFTOVER, &[position.into()]).await?.map(|row| row.int(0)).transpose()
}

/// A row.
pub struct Stored(Row);

impl Stored {
    /// What it holds.
    pub fn fields(&self) -> Result<Fields<'_>> {
        fields(&Seen::Kept(&self.0))
    }

    /// Its salt, unless it was erased.
    pub fn salt(&self) -> Result<Option<&[u8]>> {
        self.0.opt_blob(SALT)
    }

    /// Its position in the chain; of a row that waits, its place in the line.
    pub fn position(&self) -> Result<i64> {
        self.0.int(POSITION)
    }
}

/// Columns behind those of [`fields`].
const SALT: usize = 11;
const POSITION: usize = 12;

fn fields<'a>(row: &Seen<'a>) -> Result<Fields<'a>> {
    Ok(Fields {
        at: row.int(0)?,
        kind: row.text(1)?,
        result: row.text(2)?,
        actor: row.text(3)?,
        actor_id: row.opt_text(4)?,
        user_id: row.opt_int(5)?,
        session_id: row.opt_blob(6)?,
        address: row.opt_text(7)?,
        user_agent: row.opt_text(8)?,
        request_id: row.opt_text(9)?,
        detail: row.opt_text(10)?,
    })
}

/// The two ends of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The position of the last row.
    pub position: i64,
    /// Its hash.
    pub hash: Hash,
    /// The position of the last row that was removed.
    pub purged_position: i64,
    /// Its hash.
    pub purged_hash: Hash,
}

impl Default for Head {
    fn default() -> Self {
        Self { position: 0, hash: GENESIS, purged_position: 0, purged_hash: GENESIS }
    }
}

/// The ends of the chain.
pub async fn head(tx: &mut Tx) -> Result<Head> {
    Ok(tx.query_opt(HEAD, &[]).await?.as_ref().map(read_head).transpose()?.unwrap_or_default())
}

/// The ends of the chain, for who is to move them: nobody else does until this transaction ends. `None` when somebody
/// else is at it.
pub async fn head_for_me(tx: &mut Tx) -> Result<Option<Head>> {
    let statement = match tx.dialect() {
        Dialect::Sqlite => HEAD,
        Dialect::Postgres => HEAD_FOR_ME,
    };
    if let Some(row) = tx.query_opt(statement, &[]).await? {
        return read_head(&row).map(Some);
    }
    if tx.query_opt(HEAD, &[]).await?.is_some() {
        return Ok(None);
    }
    tx.execute(OPEN_HEAD, &[(&GENESIS).into()]).await?;
    tx.query_opt(statement, &[]).await?.as_ref().map(read_head).transpose()
}

fn read_head(row: &Row) -> Result<Head> {
    Ok(Head {
        position: row.int(0)?,
        hash: hash_of(row.blob(1)?)?,
        purged_position: row.int(2)?,
        purged_hash: hash_of(row.blob(3)?)?,
    })
}

fn hash_of(bytes: &[u8]) -> Result<Hash> {
    bytes.try_into().map_err(|_| Error::Corrupt(format!("{} bytes where 32 should be", bytes.len()).into()))
}

/// Takes at most `limit` rows that wait, in the order in which they were written.
pub async fn take(tx: &mut Tx, limit: i64) -> Result<Vec<Stored>> {
    let mut rows: Vec<Stored> = tx.query(TAKE, &[limit.into()]).await?.into_iter().map(Stored).collect();
    let mut fault = None;
    rows.sort_by_key(|row| row.position().map_err(|error| fault = Some(error)).unwrap_or(0));
    fault.map_or(Ok(rows), Err)
}

/// What proves a row in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The digest of its personal part.
    pub personal: Hash,
    /// The digest of that and of the rest.
    pub commitment: Hash,
    /// The link to the row before.
    pub hash: Hash,
}

/// Puts a row at the end of the chain.
///
/// # Errors
/// As [`Tx::execute_later`].
pub fn append(tx: &mut Tx, position: i64, row: &Stored, proof: &Proof) -> Result<()> {
    let fields = row.fields()?;
    let params = [
        position.into(),
        fields.at.into(),
        fields.kind.into(),
        fields.result.into(),
        fields.actor.into(),
        fields.actor_id.into(),
        fields.user_id.into(),
        fields.session_id.into(),
        fields.address.into(),
        fields.user_agent.into(),
        fields.request_id.into(),
        fields.detail.into(),
        row.salt()?.into(),
        (&proof.personal).into(),
        (&proof.commitment).into(),
        (&proof.hash).into(),
    ];
    tx.execute_later(APPEND, &params)
}

/// Moves the end of the chain, if it still is where it was read.
pub async fn move_end(tx: &mut Tx, from: &Head, position: i64, hash: &Hash) -> Result<bool> {
    let params = [position.into(), hash.into(), from.position.into(), (&from.hash).into()];
    Ok(tx.execute(MOVE_END, &params).await? == 1)
}

/// Rows as they are checked: what each holds in the bytes that are hashed, one behind the other.
#[derive(Default)]
pub struct Packed {
    /// The bytes of all rows.
    pub bytes: Vec<u8>,
    /// The rows.
    pub rows: Vec<PackedRow>,
}

/// One of them.
pub struct PackedRow {
    /// Its position.
    pub position: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What is stored to prove it.
    pub proof: Proof,
    /// Whether it is whole.
    pub state: State,
    /// Where the bytes of its personal part are; none without a salt.
    pub personal: Option<Range<usize>>,
    /// Where the bytes of the rest are, behind the digest of the personal part as it is stored.
    pub open: Range<usize>,
    /// Whose account it is about.
    pub user: Option<i64>,
    /// Which user had acted, if another.
    pub by: Option<i64>,
    /// Whether it says that the account was deleted.
    pub is_deletion: bool,
}

/// At most `limit` rows behind a position, in the order of the chain.
pub async fn walk(tx: &mut Tx, after: i64, limit: i64) -> Result<Packed> {
    let mut packed = Packed::default();
    let mut fault = None;
    let mut look = |row: &Seen<'_>| {
        if let Err(error) = pack(row, &mut packed) {
            fault.get_or_insert(error);
        }
    };
    tx.visit(WALK, &[after.into(), limit.into()], &mut look).await?;
    fault.map_or(Ok(packed), Err)
}

fn pack(row: &Seen<'_>, packed: &mut Packed) -> Result<()> {
    let (salt, fields) = (row.opt_blob(SALT)?, fields(row)?);
    let hash = |column: usize| hash_of(row.blob(POSITION + column)?);
    let proof = Proof { personal: hash(1)?, commitment: hash(2)?, hash: hash(3)? };
    let start = packed.bytes.len();
    if let Some(salt) = salt {
        personal_bytes(salt, &fields, &mut packed.bytes);
    }
    let middle = packed.bytes.len();
    open_bytes(&proof.personal, &fields, &mut packed.bytes);
    let state = match (salt, row.opt_int(POSITION + 4)?) {
        (Some(_), None) => State::Whole,
        (None, Some(_)) if !fields.has_personal() => State::Erased,
        _ => State::Torn,
    };
    packed.rows.push(PackedRow {
        position: row.int(POSITION)?,
        at: Timestamp::from_micros(fields.at),
        proof,
        state,
        personal: salt.map(|_| start..middle),
        open: middle..packed.bytes.len(),
        user: fields.user_id,
        by: fields.actor_id.filter(|_| fields.actor == "user").and_then(|id| id.parse().ok()),
        is_deletion: fields.kind == EventKind::UserDeleted.as_str(),
    });
    Ok(())
}

/// Which rows are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Those about this account.
    pub user: Option<UserId>,
    /// Those of this kind.
    pub kind: Option<String>,
    /// From this time on.
    pub from: Timestamp,
    /// Before this time.
    pub until: Timestamp,
}

impl Default for Filter {
    fn default() -> Self {
        let (from, until) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
        Self { user: None, kind: None, from, until }
    }
}

/// Where a page ends: its last row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its time.
    pub at: Timestamp,
    /// Its position.
    pub position: i64,
}

/// At most `limit` rows of the chain, the latest first. Begins behind `after`.
pub async fn latest(tx: &mut Tx, filter: &Filter, after: Option<Place>, limit: i64) -> Result<Vec<Stored>> {
    let after = after.unwrap_or(Place { at: Timestamp::from_micros(i64::MAX), position: i64::MAX });
    let mut params = vec![
        filter.from.micros().into(),
        filter.until.micros().into(),
        after.at.micros().into(),
        after.position.into(),
        limit.into(),
    ];
    params.extend(filter.user.map(|user| Param::Int(user.get())));
    params.extend(filter.kind.as_deref().map(Param::Text));
    let statement = match (filter.user, &filter.kind) {
        (None, None) => LATEST,
        (None, Some(_)) => LATEST_OF_KIND,
        (Some(_), None) => LATEST_OF_USER,
        (Some(_), Some(_)) => LATEST_OF_BOTH,
    };
    Ok(tx.query(statement, &params).await?.into_iter().map(Stored).collect())
}

/// At most `limit` rows behind a position, in the order of the chain.
pub async fn read_after(tx: &mut Tx, after: i64, limit: i64) -> Result<Vec<Stored>> {
    Ok(tx.query(WALK, &[after.into(), limit.into()]).await?.into_iter().map(Stored).collect())
}

/// Removes the oldest rows up to a position, and the checkpoints about them.
pub async fn purge(tx: &mut Tx, from: &Head, position: i64, hash: &Hash) -> Result<u64> {
    let removed = tx.execute(PURGE, &[from.purged_position.into(), position.into()]).await?;
    tx.execute(PURGE_CHECKPOINTS, &[position.into()]).await?;
    tx.execute(MOVE_START, &[position.into(), hash.into()]).await?;
    Ok(removed)
}

/// Notes that the rows of a deleted user are to be erased.
pub async fn request_erasure(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    tx.execute(REQUEST_ERASURE, &[user.get().into(), now.micros().into()]).await.map(drop)
}

/// At most `limit` users whose rows are to be erased, and since when.
pub async fn erasures(tx: &mut Tx, limit: i64) -> Result<Vec<(UserId, Timestamp)>> {
    let rows = tx.query(ERASURES, &[limit.into()]).await?;
    rows.iter().map(|row| Ok((UserId::new(row.int(0)?), Timestamp::from_micros(row.int(1)?)))).collect()
}

/// Erases the salt and the personal data of at most `limit` rows of the chain about a user, and as many by that user.
/// Answers how many.
pub async fn erase(tx: &mut Tx, user: UserId, now: Timestamp, limit: i64) -> Result<u64> {
    let of = tx.execute(ERASE_OF_USER, &[user.get().into(), now.micros().into(), limit.into()]).await?;
    let id = user.to_string();
    Ok(of + tx.execute(ERASE_BY_USER, &[(&id).into(), now.micros().into(), limit.into()]).await?)
}

/// Whether a row about a user, or by that user, waits for its place.
pub async fn any_pending_of(tx: &mut Tx, user: UserId) -> Result<bool> {
    let id = user.to_string();
    Ok(tx.query_opt(PENDING_OF, &[user.get().into(), (&id).into()]).await?.is_some())
}

/// Notes that the rows of a user are erased.
pub async fn erased(tx: &mut Tx, user: UserId) -> Result<()> {
    tx.execute(ERASED, &[user.get().into()]).await.map(drop)
}

/// A statement about the chain under the service's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The position that it is about.
    pub position: i64,
    /// When it was made.
    pub at: Timestamp,
    /// A compact JWS.
    pub statement: String,
}

/// Keeps a checkpoint, unless there is one about its position.
pub async fn insert_checkpoint(tx: &mut Tx, checkpoint: &Checkpoint) -> Result<()> {
    let params = [checkpoint.position.into(), checkpoint.at.micros().into(), (&checkpoint.statement).into()];
    tx.execute(INSERT_CHECKPOINT, &params).await.map(drop)
}

/// At most `limit` checkpoints behind a position.
pub async fn checkpoints(tx: &mut Tx, after: i64, limit: i64) -> Result<Vec<Checkpoint>> {
    tx.query(CHECKPOINTS, &[after.into(), limit.into()]).await?.iter().map(read_checkpoint).collect()
}

/// The checkpoint about the last position.
pub async fn last_checkpoint(tx: &mut Tx) -> Result<Option<Checkpoint>> {
    tx.query_opt(LAST_CHECKPOINT, &[]).await?.as_ref().map(read_checkpoint).transpose()
}

fn read_checkpoint(row: &Row) -> Result<Checkpoint> {
    Ok(Checkpoint {
        position: row.int(0)?,
        at: Timestamp::from_micros(row.int(1)?),
        statement: row.text(2)?.to_owned(),
    })
}
