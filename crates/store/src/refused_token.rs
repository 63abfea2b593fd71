//! Refresh tokens without a session that the service which minted them had refused before we took its place.

use domain::session::Jti;
use domain::time::Timestamp;

use crate::{Result, Tx};

const FIND: &str = "SELECT 1 FROM refused_tokens WHERE jti = $1";
const INSERT: &str =
    "INSERT INTO refused_tokens (jti, expires_at) VALUES ($1, $2) ON CONFLICT (jti) DO NOTHING";
const PURGE: &str = "DELETE FROM refused_tokens WHERE jti IN (SELECT jti FROM refused_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[FIND, INSERT, PURGE];

/// Whether the token with this id is refused.
pub async fn is_refused(tx: &mut Tx, jti: Jti) -> Result<bool> {
    Ok(tx.query_opt(FIND, &[jti.as_bytes().as_slice().into()]).await?.is_some())
}

/// Remembers a token until it expires; false when it is known.
pub async fn insert(tx: &mut Tx, jti: Jti, expires_at: Timestamp) -> Result<bool> {
    Ok(tx.execute(INSERT, &[jti.as_bytes().as_slice().into(), expires_at.micros().into()]).await? == 1)
}

/// Forgets at most `limit` tokens that have expired before `before`; answers how many.
pub async fn purge(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(PURGE, &[before.micros().into(), limit.into()]).await
}
