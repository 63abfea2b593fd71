//! API keys: digests of what their holders have.

use domain::api_key::{ApiKey, ApiKeyId, Scope};
use domain::session::SessionId;
use domain::time::Timestamp;
use domain::user::UserId;

use crate::{Error, Result, Row, Tx};

/// A key with what only an exchange needs of it.
#[derive(Clone)]
pub struct Stored {
    /// The key.
    pub key: ApiKey,
    /// SHA-256 of its text.
    pub digest: Vec<u8>,
    /// The session of the tokens that it was exchanged for.
    pub session: Option<SessionId>,
}

const FIND: &str = "SELECT id, user_id, name, scope, created_at, expires_at, last_used_at, revoked_at, digest, session_id FROM api_keys WHERE id = $1";
const LIST: &str = "SELECT id, user_id, name, scope, created_at, expires_at, last_used_at, revoked_at, digest, session_id FROM api_keys WHERE id > $1 ORDER BY id LIMIT $2";
const LIST_OF_USER: &str = "SELECT id, user_id, name, scope, created_at, expires_at, last_used_at, revoked_at, digest, session_id FROM api_keys WHERE user_id = $3 AND id > $1 ORDER BY id LIMIT $2";
const INSERT: &str = "INSERT INTO api_keys (id, user_id, name, scope, created_at, expires_at, digest) VALUES ($1, $2, $3, $4, $5, $6, $7)";
const USE: &str = "UPDATE api_keys SET last_used_at = $2, session_id = $3 WHERE id = $1 AND revoked_at IS NULL AND expires_at > $4 AND session_id IS NOT DISTINCT FROM $5";
const REVOKE: &str =
    "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING session_id";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[FIND, LIST, LIST_OF_USER, INSERT, USE, REVOKE];

/// The key with this id.
pub async fn find(tx: &mut Tx, id: &ApiKeyId) -> Result<Option<Stored>> {
    tx.query_opt(FIND, &[id.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// At most `limit` keys with ids above `after`, of an account or of all, by id.
pub async fn list(tx: &mut Tx, user: Option<UserId>, after: &str, limit: i64) -> Result<Vec<ApiKey>> {
    let rows = match user {
        None => tx.query(LIST, &[after.into(), limit.into()]).await?,
        Some(user) => tx.query(LIST_OF_USER, &[after.into(), limit.into(), user.get().into()]).await?,
    };
    rows.iter().map(|row| read(row).map(|stored| stored.key)).collect()
}

/// Stores a new key.
///
/// # Errors
/// [`Error::Constraint`] when there is no such account.
pub async fn insert(tx: &mut Tx, key: &ApiKey, digest: &[u8]) -> Result<()> {
    let scope = key.scope.to_string();
    let params = [
        key.id.as_str().into(),
        key.user.get().into(),
        key.name.as_str().into(),
        scope.as_str().into(),
        key.created_at.micros().into(),
        key.expires_at.micros().into(),
        digest.into(),
    ];
    tx.execute(INSERT, &params).await.map(drop)
}

/// Notes a use and the session of its tokens, if the key is still good and its session is the one that was read.
pub async fn note_use(
    tx: &mut Tx,
    read: &Stored,
    session: SessionId,
    used_at: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    let params = [
        read.key.id.as_str().into(),
        used_at.micros().into(),
        session.as_bytes().into(),
        now.micros().into(),
        read.session.as_ref().map(|id| id.as_bytes().as_slice()).into(),
    ];
    Ok(tx.execute(USE, &params).await? == 1)
}

/// Revokes a key. Answers its session, if it has one; nothing when there is no such key that was good.
pub async fn revoke(tx: &mut Tx, id: &ApiKeyId, now: Timestamp) -> Result<Option<Option<SessionId>>> {
    let row = tx.query_opt(REVOKE, &[id.as_str().into(), now.micros().into()]).await?;
    row.map(|row| row.opt_blob(0)?.map(crate::session::read_id).transpose()).transpose()
}

fn read(row: &Row) -> Result<Stored> {
    let time = |i| row.int(i).map(Timestamp::from_micros);
    let opt_time = |i| row.opt_int(i).map(|time| time.map(Timestamp::from_micros));
    let scope = row.text(3)?;
    let key = ApiKey {
        id: ApiKeyId::from_stored(row.text(0)?.to_owned()),
        user: UserId::new(row.int(1)?),
        name: row.text(2)?.to_owned(),
        scope: Scope::parse(scope).ok_or_else(|| Error::Corrupt(format!("{scope:?} is no scope").into()))?,
        created_at: time(4)?,
        expires_at: time(5)?,
        last_used_at: opt_time(6)?,
        revoked_at: opt_time(7)?,
    };
    let session = row.opt_blob(9)?.map(crate::session::read_id).transpose()?;
    Ok(Stored { key, digest: row.blob(8)?.to_vec(), session })
}
