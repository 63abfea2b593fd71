//! What must hold after a server's own tools have put a backup in place. The rules are those of `restore` for a file.

use domain::time::Timestamp;

use super::restore::UNKNOWN_IDS;
use crate::db::Kind;
use crate::postgres::of_driver;
use crate::{Db, Error, Result};

const END_SESSIONS: &str = "UPDATE sessions SET revoked_at = $1 WHERE revoked_at IS NULL";
// What was proved since the backup was made is not known: no account goes for want of a proof.
const OPEN_EPOCH: &str = "UPDATE users SET epoch = epoch + 1, unproved_since = NULL";
const SET_NOT_BEFORE: &str = "INSERT INTO meta (key, value) VALUES ('tokens_not_before', $1) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value \
    WHERE CAST(meta.value AS BIGINT) < CAST(excluded.value AS BIGINT)";
// One of them may have been dropped since the backup; the next start makes new ones.
const DROP_KEYS: &str = "DELETE FROM signing_keys";
const RECORD: &str = "INSERT INTO audit_pending (at, kind, result, actor, salt) \
    VALUES ($1, 'database.restored', 'done', 'operator', decode(replace(CAST(gen_random_uuid() AS TEXT), '-', ''), 'hex'))";
const LAST_ID: &str =
    "SELECT GREATEST((SELECT last_value FROM users_id_seq), (SELECT COALESCE(MAX(id), 0) FROM users))";
const RAISE_ID: &str = "SELECT setval('users_id_seq', $1)";

/// Ends every session, refuses every token from before, removes the signing keys, and counts every user id up to `last_user_id` as issued; without
/// that, a million ids are left out. Answers the last id that counts as issued. To be run while no service runs.
///
/// # Errors
/// [`Error::Refused`] for an embedded database, which has its own restore; what the server answers.
pub async fn settle_restored(db: &Db, last_user_id: Option<i64>, now: Timestamp) -> Result<i64> {
    let Kind::Postgres(engine) = db.engine() else {
        return Err(Error::Refused("an embedded database is settled by `restore` itself".into()));
    };
    let client = engine.session().await?;
    let work = async {
        client.batch_execute("BEGIN; LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE").await?;
        client.execute(END_SESSIONS, &[&now.micros()]).await?;
        client.execute(OPEN_EPOCH, &[]).await?;
        client.execute(SET_NOT_BEFORE, &[&(now.seconds() + 1).to_string()]).await?;
        client.execute(DROP_KEYS, &[]).await?;
        client.execute(RECORD, &[&now.micros()]).await?;
        let stored: i64 = client.query_one(LAST_ID, &[]).await?.try_get(0)?;
        let last = last_user_id.map_or(stored.saturating_add(UNKNOWN_IDS), |last| last.max(stored));
        client.query_one(RAISE_ID, &[&last.max(1)]).await?;
        client.batch_execute("COMMIT").await?;
        Ok(last)
    };
    let last = work.await.map_err(of_driver)?;
    // Tokens carry whole seconds: when this returns no new one has the second of `now`.
    let within = now.micros().rem_euclid(1_000_000).unsigned_abs();
    tokio::time::sleep(std::time::Duration::from_micros(1_000_000 - within)).await;
    Ok(last)
}
