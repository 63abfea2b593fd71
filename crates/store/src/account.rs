//! Accounts as their owners see and change them: names, proved addresses, and the day on which an account goes.

use domain::time::Timestamp;
use domain::user::{EmailAddress, EmailKey, UserId};

use crate::{Dialect, Param, Result, Tx, user};

const NAME_OF_CLAIM: &str =
    "SELECT id, username FROM users WHERE email_claim IN ($1, $2, $3, $4, $5) LIMIT 1";
// As their index is written: read are those that are answered and those that had a link lately, however many have the address.
const WITH_EMAIL_POSTGRES: &str = "SELECT CASE WHEN unproved_since IS NULL THEN 0 ELSE 1 END, COALESCE(reset_sent_at, 0), id FROM users WHERE lower(email) = $1 AND disabled_at IS NULL AND email_verified_at IS NULL AND COALESCE(reset_sent_at, 0) <= $2 ORDER BY CASE WHEN unproved_since IS NULL THEN 0 ELSE 1 END, COALESCE(reset_sent_at, 0), id LIMIT $3";
// On SQLite one index has all accounts of an address in the order of their turns, and after them those that have none.
const WITH_EMAIL_SQLITE: &str = "SELECT CASE WHEN disabled_at IS NOT NULL OR email_verified_at IS NOT NULL THEN 2 WHEN unproved_since IS NULL THEN 0 ELSE 1 END, COALESCE(reset_sent_at, 0), id FROM users WHERE lower(email) = $1 AND CASE WHEN disabled_at IS NOT NULL OR email_verified_at IS NOT NULL THEN 2 WHEN unproved_since IS NULL THEN 0 ELSE 1 END < 2 AND COALESCE(reset_sent_at, 0) <= $2 ORDER BY CASE WHEN disabled_at IS NOT NULL OR email_verified_at IS NOT NULL THEN 2 WHEN unproved_since IS NULL THEN 0 ELSE 1 END, COALESCE(reset_sent_at, 0), id LIMIT $3";
const SET_RESET_SENT: &str = "UPDATE users SET reset_sent_at = $2 WHERE id = $1";
const RESET_SENT_SINCE: &str = "SELECT 1 FROM users WHERE id = $1 AND reset_sent_at > $2";
const PROVE: &str = "UPDATE users SET email_verified_at = $2, email_claim = $3, unproved_since = NULL WHERE id = $1 AND email = $4 AND NOT EXISTS (SELECT 1 FROM users o WHERE o.email_claim IN ($3, $5, $6, $7, $8) AND o.id <> $1)";
const SET_EMAIL: &str = "UPDATE users SET email = $4, email_verified_at = $2, email_claim = $3, pending_email = NULL, unproved_since = NULL WHERE id = $1 AND pending_email = $4 AND NOT EXISTS (SELECT 1 FROM users o WHERE o.email_claim IN ($3, $5, $6, $7, $8) AND o.id <> $1)";
const SET_PENDING: &str = "UPDATE users SET pending_email = $2 WHERE id = $1";
const RENAME: &str = "UPDATE users SET first_name = COALESCE($2, first_name), last_name = COALESCE($3, last_name) WHERE id = $1";
const CLOSE: &str = "UPDATE users SET delete_at = $2, disabled_at = $3, epoch = epoch + 1, not_before = $4, pending_email = NULL WHERE id = $1 AND disabled_at IS NULL RETURNING epoch";
const KEEP: &str =
    "UPDATE users SET delete_at = NULL, disabled_at = NULL WHERE id = $1 AND delete_at > $2 RETURNING epoch";
const CLOSED: &str = "SELECT id FROM users WHERE delete_at <= $1 ORDER BY delete_at, id LIMIT $2";
// Writes nothing new; whoever else wants to change the row waits, or is seen.
const HOLD_CLOSED: &str = "UPDATE users SET delete_at = delete_at WHERE id = $1 AND delete_at <= $2";
const SET_UNPROVED: &str = "UPDATE users SET unproved_since = $2 WHERE id = $1";
// Never one that somebody has used, or that somebody else has vouched for by giving it something.
const UNPROVED: &str = "SELECT id FROM users WHERE unproved_since <= $1 AND email_verified_at IS NULL AND last_login_at IS NULL AND disabled_at IS NULL AND is_staff = 0 AND is_superuser = 0 AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = users.id) AND NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.user_id = users.id) AND NOT EXISTS (SELECT 1 FROM user_groups g WHERE g.user_id = users.id) AND NOT EXISTS (SELECT 1 FROM user_permissions p WHERE p.user_id = users.id) ORDER BY unproved_since, id LIMIT $2";
const HOLD_UNPROVED: &str = "UPDATE users SET unproved_since = unproved_since WHERE id = $1 AND unproved_since <= $2 AND email_verified_at IS NULL AND last_login_at IS NULL AND disabled_at IS NULL AND is_staff = 0 AND is_superuser = 0 AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = users.id) AND NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.user_id = users.id) AND NOT EXISTS (SELECT 1 FROM user_groups g WHERE g.user_id = users.id) AND NOT EXISTS (SELECT 1 FROM user_permissions p WHERE p.user_id = users.id)";
const IS_UNPROVED: &str = "SELECT 1 FROM users WHERE id = $1 AND unproved_since IS NOT NULL";
const VOUCH: &str = "UPDATE users SET unproved_since = NULL WHERE id = $1 AND unproved_since IS NOT NULL";

/// Every statement of this file that both engines read.
pub const STATEMENTS: &[&str] = &[
    NAME_OF_CLAIM,
    SET_RESET_SENT,
    RESET_SENT_SINCE,
    PROVE,
    SET_EMAIL,
    SET_PENDING,
    RENAME,
    CLOSE,
    KEEP,
    CLOSED,
    HOLD_CLOSED,
    SET_UNPROVED,
    UNPROVED,
    HOLD_UNPROVED,
    IS_UNPROVED,
    VOUCH,
];
/// Those for SQLite.
pub const SQLITE_STATEMENTS: &[&str] = &[WITH_EMAIL_SQLITE];
/// Those for PostgreSQL.
pub const POSTGRES_STATEMENTS: &[&str] = &[WITH_EMAIL_POSTGRES];

/// The account that has proved this address, and its name.
pub async fn of_proved_email(tx: &mut Tx, key: &EmailKey) -> Result<Option<(UserId, String)>> {
    let row = tx.query_opt(NAME_OF_CLAIM, &spellings(key).map(Param::from)).await?;
    row.map(|row| Ok((UserId::new(row.int(0)?), row.text(1)?.to_owned()))).transpose()
}

/// The spellings of an address for a statement that takes as many as there can be: the last repeated where there are fewer.
fn spellings(key: &EmailKey) -> [&str; EmailKey::MOST_SPELLINGS] {
    let mut all = [key.as_str(); EmailKey::MOST_SPELLINGS];
    for (place, spelling) in all.iter_mut().zip(key.spellings()) {
        *place = spelling;
    }
    all
}

/// At most `limit` enabled accounts with this address that have not proved it and were sent no link for a new password after `since`:
/// those that registered themselves and were not used go last, then whoever was sent one lately, then the younger.
pub async fn with_email(tx: &mut Tx, key: &EmailKey, since: Timestamp, limit: i64) -> Result<Vec<UserId>> {
    let statement = match tx.dialect() {
        Dialect::Sqlite => WITH_EMAIL_SQLITE,
        Dialect::Postgres => WITH_EMAIL_POSTGRES,
    };
    let mut found = Vec::new();
    for spelling in key.spellings() {
        for row in tx.query(statement, &[spelling.into(), since.micros().into(), limit.into()]).await? {
            found.push((row.int(0)?, row.int(1)?, row.int(2)?));
        }
    }
    found.sort_unstable();
    found.dedup();
    let wanted = usize::try_from(limit).unwrap_or(0);
    Ok(found.into_iter().take(wanted).map(|(_, _, id)| UserId::new(id)).collect())
}

/// Notes that an account was sent a link for a new password.
pub async fn set_reset_sent(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<()> {
    tx.execute(SET_RESET_SENT, &[id.get().into(), now.micros().into()]).await.map(drop)
}

/// Whether an account was sent a link for a new password after `since`, whatever has become of it.
pub async fn reset_sent_since(tx: &mut Tx, id: UserId, since: Timestamp) -> Result<bool> {
    Ok(tx.query_opt(RESET_SENT_SINCE, &[id.get().into(), since.micros().into()]).await?.is_some())
}

/// Notes that the account's address was proved; false when it is another by now, or is another account's.
///
/// # Errors
/// [`crate::Error::Conflict`] when another account proves it at the same moment.
pub async fn prove(tx: &mut Tx, id: UserId, email: &EmailAddress, now: Timestamp) -> Result<bool> {
    set(tx, PROVE, id, email, now).await
}

/// Gives an account the address that was asked for, proved; false when another was asked for since, or it is another account's.
///
/// # Errors
/// As [`prove`].
pub async fn set_email(tx: &mut Tx, id: UserId, email: &EmailAddress, now: Timestamp) -> Result<bool> {
    set(tx, SET_EMAIL, id, email, now).await
}

async fn set(
    tx: &mut Tx,
    statement: &'static str,
    id: UserId,
    email: &EmailAddress,
    now: Timestamp,
) -> Result<bool> {
    let key = email.key();
    let [claim, others @ ..] = spellings(&key).map(Param::from);
    let mut params = vec![id.get().into(), now.micros().into(), claim, email.as_str().into()];
    params.extend(others);
    Ok(tx.execute(statement, &params).await? == 1)
}

/// Notes the address that an account is to have once it is proved, or that none is asked for.
pub async fn set_pending(tx: &mut Tx, id: UserId, email: Option<&EmailAddress>) -> Result<()> {
    tx.execute(SET_PENDING, &[id.get().into(), email.map(EmailAddress::as_str).into()]).await.map(drop)
}

/// Changes the names that are given; false when there is no such account.
pub async fn rename(tx: &mut Tx, id: UserId, first: Option<&str>, last: Option<&str>) -> Result<bool> {
    Ok(tx.execute(RENAME, &[id.get().into(), first.into(), last.into()]).await? == 1)
}

/// Closes an account until it is deleted at `delete_at`, and opens a new epoch, so that all its sessions have ended. Answers the
/// epoch, or nothing when there is no such enabled account.
pub async fn close(tx: &mut Tx, id: UserId, delete_at: Timestamp, now: Timestamp) -> Result<Option<u32>> {
    let params = [
        id.get().into(),
        delete_at.micros().into(),
        now.micros().into(),
        user::first_good_second(now).into(),
    ];
    let row = tx.query_opt(CLOSE, &params).await?;
    row.map(|row| user::read_epoch(row.int(0)?)).transpose()
}

/// Opens a closed account again, if its day has not come. Answers the epoch.
pub async fn keep(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<Option<u32>> {
    let row = tx.query_opt(KEEP, &[id.get().into(), now.micros().into()]).await?;
    row.map(|row| user::read_epoch(row.int(0)?)).transpose()
}

/// At most `limit` closed accounts whose day has come.
pub async fn closed(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<Vec<UserId>> {
    let rows = tx.query(CLOSED, &[now.micros().into(), limit.into()]).await?;
    rows.iter().map(|row| row.int(0).map(UserId::new)).collect()
}

/// Holds a closed account whose day has come, so that nobody opens it again before this transaction ends; false when somebody has.
pub async fn hold_closed(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<bool> {
    Ok(tx.execute(HOLD_CLOSED, &[id.get().into(), now.micros().into()]).await? == 1)
}

/// Notes that an account registered itself at `now`: nobody has proved its address, used it or vouched for it yet.
pub async fn set_unproved(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<()> {
    tx.execute(SET_UNPROVED, &[id.get().into(), now.micros().into()]).await.map(drop)
}

/// Whether an account registered itself and was neither proved nor used since, nor did anybody vouch for it.
pub async fn is_unproved(tx: &mut Tx, id: UserId) -> Result<bool> {
    Ok(tx.query_opt(IS_UNPROVED, &[id.get().into()]).await?.is_some())
}

/// Notes that somebody else vouches for an account, by giving it something.
pub async fn vouch(tx: &mut Tx, id: UserId) -> Result<()> {
    tx.execute(VOUCH, &[id.get().into()]).await.map(drop)
}

/// At most `limit` accounts that were registered by `until`, and whose address nobody has proved since.
pub async fn unproved(tx: &mut Tx, until: Timestamp, limit: i64) -> Result<Vec<UserId>> {
    let rows = tx.query(UNPROVED, &[until.micros().into(), limit.into()]).await?;
    rows.iter().map(|row| row.int(0).map(UserId::new)).collect()
}

/// Holds such an account, so that nobody proves its address before this transaction ends; false when somebody has.
pub async fn hold_unproved(tx: &mut Tx, id: UserId, until: Timestamp) -> Result<bool> {
    Ok(tx.execute(HOLD_UNPROVED, &[id.get().into(), until.micros().into()]).await? == 1)
}
