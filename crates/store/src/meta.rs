//! What an installation remembers of itself: a few named values.

use crate::{Result, Tx};

/// `dev` in a database that the development mode made.
pub const MODE: &str = "mode";
/// When a service first started on this database; microseconds.
pub const FIRST_STARTED_AT: &str = "first_started_at";
/// Unix seconds: no token issued before it is good any more. Set by a restore.
pub const TOKENS_NOT_BEFORE: &str = "tokens_not_before";
/// The longest lifetime an access token was ever given here; microseconds.
pub const LONGEST_ACCESS_LIFETIME: &str = "longest_access_lifetime";
/// The longest lifetime a refresh token was ever given here; microseconds.
pub const LONGEST_REFRESH_LIFETIME: &str = "longest_refresh_lifetime";
/// Another random text with every change of the signing keys: replicas look at it to know when to read them again.
pub const KEYS_VERSION: &str = "keys_version";
/// Since when public keys sign instead of the shared secret; microseconds. Empty while the secret signs.
pub const PUBLIC_KEYS_SINCE: &str = "public_keys_since";
/// Names the copy of this database to another; random, made by its first run.
pub const COPY_ID: &str = "copy_id";
/// In a copy that is not complete: which one it is.
pub const COPYING_FROM: &str = "copying_from";
/// In one that is.
pub const COPIED_FROM: &str = "copied_from";
/// In a database that was copied and handed over: where to, without a password.
pub const MOVED_TO: &str = "moved_to";
/// Names the installation in what it signs about itself; random, kept through copies and restores.
pub const INSTALLATION: &str = "installation";
/// Another random text with every change of who may administer what: so such changes run one after another.
pub const ROLES_VERSION: &str = "roles_version";
/// The digest of the token that makes the first administrator, a colon, and until when it is good (microseconds).
pub const BOOTSTRAP: &str = "bootstrap";
/// The key of the audit trail, sealed, in hexadecimal digits.
pub const AUDIT_KEY: &str = "audit_key";
/// Since when a storm of failed logins rages; microseconds. There is no such value while there is none.
pub const LOGIN_STORM: &str = "login_storm";
/// Counts the probes of whether the database takes writes.
pub const PROBE: &str = "probe";

const GET: &str = "SELECT value FROM meta WHERE key = $1";
const SET: &str =
    "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const SET_ONCE: &str = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";

const RAISE: &str = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE CAST(meta.value AS BIGINT) < CAST(excluded.value AS BIGINT)";

const REMOVE: &str = "DELETE FROM meta WHERE key = $1";

const TAKE: &str = "DELETE FROM meta WHERE key = $1 AND value = $2";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[GET, SET, SET_ONCE, RAISE, REMOVE, TAKE];

/// The value of a key.
pub async fn get(tx: &mut Tx, key: &str) -> Result<Option<String>> {
    let row = tx.query_opt(GET, &[key.into()]).await?;
    row.map(|row| row.text(0).map(str::to_owned)).transpose()
}

/// Sets a value.
pub async fn set(tx: &mut Tx, key: &str, value: &str) -> Result<()> {
    tx.execute(SET, &[key.into(), value.into()]).await.map(drop)
}

/// Sets a value unless there is one; whether there was none.
pub async fn add(tx: &mut Tx, key: &str, value: &str) -> Result<bool> {
    Ok(tx.execute(SET_ONCE, &[key.into(), value.into()]).await? == 1)
}

/// Sets a value unless there is one; answers the one that holds now.
pub async fn set_once(tx: &mut Tx, key: &str, value: &str) -> Result<String> {
    add(tx, key, value).await?;
    Ok(get(tx, key).await?.unwrap_or_else(|| value.to_owned()))
}

/// Sets a number unless there is a greater one; answers the one that holds now.
pub async fn raise(tx: &mut Tx, key: &str, value: i64) -> Result<i64> {
    tx.execute(RAISE, &[key.into(), (&value.to_string()).into()]).await?;
    let stored = get(tx, key).await?;
    Ok(stored.and_then(|stored| stored.parse().ok()).unwrap_or(value))
}

/// Removes a value; whether there was one.
pub async fn remove(tx: &mut Tx, key: &str) -> Result<bool> {
    Ok(tx.execute(REMOVE, &[key.into()]).await? == 1)
}

/// Removes a value if it still is this one; of several who try, one hears that it did.
pub async fn take(tx: &mut Tx, key: &str, value: &str) -> Result<bool> {
    Ok(tx.execute(TAKE, &[key.into(), value.into()]).await? == 1)
}
