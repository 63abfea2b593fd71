//! Links in mails: what a token is for, whose it is, and until when. The token itself is nowhere; its SHA-256 is the key.
//!
//! Using a token is deleting its row, in the transaction of what it is used for: of many at once one wins.

use domain::action::Purpose;
use domain::time::Timestamp;
use domain::user::UserId;

use crate::{Param, Result, Row, Tx};

/// A token that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionToken {
    /// Whose account it is about.
    pub user_id: UserId,
    /// The address that it was sent to.
    pub address: String,
}

const INSERT: &str = "INSERT INTO action_tokens (digest, user_id, purpose, address, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)";
const FIND: &str =
    "SELECT user_id, address FROM action_tokens WHERE digest = $1 AND purpose = $2 AND expires_at > $3";
const REDEEM: &str = "DELETE FROM action_tokens WHERE digest = $1 AND purpose = $2 AND expires_at > $3 RETURNING user_id, address";
const ANY_SINCE: &str =
    "SELECT 1 FROM action_tokens WHERE user_id = $1 AND purpose = $2 AND created_at > $3 LIMIT 1";
const KILL: &str = "DELETE FROM action_tokens WHERE user_id = $1 AND purpose = $2";
const PURGE: &str = "DELETE FROM action_tokens WHERE digest IN (SELECT digest FROM action_tokens WHERE expires_at <= $1 LIMIT $2)";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[INSERT, FIND, REDEEM, ANY_SINCE, KILL, PURGE];

/// A token about to be stored.
pub struct NewToken<'a> {
    /// SHA-256 of the token.
    pub digest: &'a [u8; 32],
    /// Whose account it is about.
    pub user_id: UserId,
    /// What it is for.
    pub purpose: Purpose,
    /// The address that it is sent to.
    pub address: &'a str,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is good for nothing.
    pub expires_at: Timestamp,
}

/// Stores a token; those of the same account and purpose from before are good for nothing from now on.
pub async fn insert(tx: &mut Tx, new: &NewToken<'_>) -> Result<()> {
    kill(tx, new.user_id, new.purpose).await?;
    let params = [
        Param::Blob(new.digest),
        new.user_id.get().into(),
        new.purpose.as_str().into(),
        new.address.into(),
        new.created_at.micros().into(),
        new.expires_at.micros().into(),
    ];
    tx.execute(INSERT, &params).await.map(drop)
}

/// The good token with this digest and purpose; it stays.
pub async fn find(
    tx: &mut Tx,
    digest: &[u8; 32],
    purpose: Purpose,
    now: Timestamp,
) -> Result<Option<ActionToken>> {
    let params = [Param::Blob(digest), purpose.as_str().into(), now.micros().into()];
    tx.query_opt(FIND, &params).await?.as_ref().map(read).transpose()
}

/// Uses a token up.
pub async fn redeem(
    tx: &mut Tx,
    digest: &[u8; 32],
    purpose: Purpose,
    now: Timestamp,
) -> Result<Option<ActionToken>> {
    let params = [Param::Blob(digest), purpose.as_str().into(), now.micros().into()];
    tx.query_opt(REDEEM, &params).await?.as_ref().map(read).transpose()
}

/// Whether an account has a token of this purpose that was made after `since`.
pub async fn any_since(tx: &mut Tx, user: UserId, purpose: Purpose, since: Timestamp) -> Result<bool> {
    let params = [user.get().into(), purpose.as_str().into(), since.micros().into()];
    Ok(tx.query_opt(ANY_SINCE, &params).await?.is_some())
}

/// Makes an account's tokens of this purpose good for nothing; answers how many there were.
pub async fn kill(tx: &mut Tx, user: UserId, purpose: Purpose) -> Result<u64> {
    tx.execute(KILL, &[user.get().into(), purpose.as_str().into()]).await
}

/// Removes at most `limit` tokens that have expired; answers how many.
pub async fn purge(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(PURGE, &[now.micros().into(), limit.into()]).await
}

fn read(row: &Row) -> Result<ActionToken> {
    Ok(ActionToken { user_id: UserId::new(row.int(0)?), address: row.text(1)?.to_owned() })
}
