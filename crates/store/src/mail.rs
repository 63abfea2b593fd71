//! The outbox: a mail is a row, committed with the change that it tells of; its columns say what is still to be done.
//!
//! Who sends a mail first moves `next_attempt_at` to when others may try, in a statement that only one of them wins: a
//! replica that dies meanwhile has lost nothing but that time.

use domain::time::Timestamp;
use domain::user::UserId;

use crate::{Error, Param, Result, Row, Tx};

/// A mail to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Names it; random.
    pub id: [u8; 16],
    /// Whose account it is about; nobody's once that is deleted.
    pub user_id: Option<UserId>,
    /// Which text.
    pub template: String,
    /// In which language.
    pub language: String,
    /// Where it goes.
    pub recipient: String,
    /// What the text leaves open, as JSON.
    pub content: String,
    /// What its link's token is derived from, if it has one.
    pub link_seed: Option<[u8; 32]>,
    /// When it was written.
    pub created_at: Timestamp,
    /// From when on it is not worth sending.
    pub expires_at: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
}

/// What is left of a mail: that there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Which text.
    pub template: String,
    /// Where it went, or was to go.
    pub recipient: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When a server took it.
    pub sent_at: Option<Timestamp>,
    /// When it was given up.
    pub failed_at: Option<Timestamp>,
}

const INSERT: &str = "INSERT INTO mails (id, user_id, template, language, recipient, content, link_seed, created_at, expires_at, attempts, next_attempt_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $8)";
const DUE: &str = "SELECT id, user_id, template, language, recipient, content, link_seed, created_at, expires_at, attempts FROM mails WHERE next_attempt_at <= $1 ORDER BY next_attempt_at, id LIMIT $2";
const CLAIM: &str = "UPDATE mails SET attempts = attempts + 1, next_attempt_at = $3 WHERE id = $1 AND attempts = $2 AND next_attempt_at IS NOT NULL";
const SENT: &str = "UPDATE mails SET sent_at = $2, next_attempt_at = NULL, content = '', link_seed = NULL, recipient = CASE WHEN user_id IS NULL THEN '' ELSE recipient END WHERE id = $1 AND sent_at IS NULL";
const RETRY: &str =
    "UPDATE mails SET next_attempt_at = $3 WHERE id = $1 AND attempts = $2 AND next_attempt_at IS NOT NULL";
const GIVE_UP: &str = "UPDATE mails SET failed_at = $3, next_attempt_at = NULL, content = '', link_seed = NULL, recipient = CASE WHEN user_id IS NULL THEN '' ELSE recipient END WHERE id = $1 AND attempts = $2 AND next_attempt_at IS NOT NULL";
const EXPIRE: &str = "UPDATE mails SET failed_at = $1, next_attempt_at = NULL, content = '', link_seed = NULL, recipient = CASE WHEN user_id IS NULL THEN '' ELSE recipient END WHERE id IN (SELECT id FROM mails WHERE next_attempt_at <= $1 AND expires_at <= $1 LIMIT $2)";
const WAITING: &str =
    "SELECT COUNT(*) FROM (SELECT 1 FROM mails WHERE next_attempt_at IS NOT NULL LIMIT $1) AS waiting";
const OF_USER: &str = "SELECT template, recipient, created_at, sent_at, failed_at FROM mails WHERE user_id = $1 ORDER BY created_at DESC LIMIT $2";
const PURGE: &str = "DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE created_at < $1 AND next_attempt_at IS NULL ORDER BY created_at LIMIT $2)";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[INSERT, DUE, CLAIM, SENT, RETRY, GIVE_UP, EXPIRE, WAITING, OF_USER, PURGE];

/// Puts a mail into the outbox; it is due at once.
pub async fn insert(tx: &mut Tx, mail: &Mail) -> Result<()> {
    let params = [
        Param::Blob(&mail.id),
        mail.user_id.map(UserId::get).into(),
        mail.template.as_str().into(),
        mail.language.as_str().into(),
        mail.recipient.as_str().into(),
        mail.content.as_str().into(),
        mail.link_seed.as_ref().into(),
        mail.created_at.micros().into(),
        mail.expires_at.micros().into(),
    ];
    tx.execute(INSERT, &params).await.map(drop)
}

/// At most `limit` mails that should be sent now, those that have waited longest first.
pub async fn due(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<Vec<Mail>> {
    tx.query(DUE, &[now.micros().into(), limit.into()]).await?.iter().map(read).collect()
}

/// Takes a mail as it was read, so that nobody else sends it before `until`; false when somebody was faster.
pub async fn claim(tx: &mut Tx, mail: &Mail, until: Timestamp) -> Result<bool> {
    let params = [Param::Blob(&mail.id), mail.attempts.into(), until.micros().into()];
    Ok(tx.execute(CLAIM, &params).await? == 1)
}

/// Notes that a mail was sent, and forgets what stood in it.
pub async fn sent(tx: &mut Tx, id: &[u8; 16], now: Timestamp) -> Result<bool> {
    Ok(tx.execute(SENT, &[Param::Blob(id), now.micros().into()]).await? == 1)
}

/// Notes when to try again, unless somebody else has taken the mail since attempt `attempts`.
pub async fn retry(tx: &mut Tx, id: &[u8; 16], attempts: u32, at: Timestamp) -> Result<bool> {
    Ok(tx.execute(RETRY, &[Param::Blob(id), attempts.into(), at.micros().into()]).await? == 1)
}

/// Gives a mail up, unless somebody else has taken it since attempt `attempts`.
pub async fn give_up(tx: &mut Tx, id: &[u8; 16], attempts: u32, now: Timestamp) -> Result<bool> {
    Ok(tx.execute(GIVE_UP, &[Param::Blob(id), attempts.into(), now.micros().into()]).await? == 1)
}

/// Gives up at most `limit` mails that nobody sent in their time; answers how many.
pub async fn expire(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(EXPIRE, &[now.micros().into(), limit.into()]).await
}

/// How many mails are still to be sent; counts no further than `limit`.
pub async fn waiting(tx: &mut Tx, limit: i64) -> Result<i64> {
    tx.query_opt(WAITING, &[limit.into()]).await?.map_or(Ok(0), |row| row.int(0))
}

/// The mails about an account, at most `limit`, the latest first.
pub async fn of_user(tx: &mut Tx, user: UserId, limit: i64) -> Result<Vec<Trace>> {
    let rows = tx.query(OF_USER, &[user.get().into(), limit.into()]).await?;
    let time = |row: &Row, column| row.opt_int(column).map(|time| time.map(Timestamp::from_micros));
    let read = |row: &Row| {
        Ok(Trace {
            template: row.text(0)?.to_owned(),
            recipient: row.text(1)?.to_owned(),
            created_at: Timestamp::from_micros(row.int(2)?),
            sent_at: time(row, 3)?,
            failed_at: time(row, 4)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Removes at most `limit` mails from before `before` that are done with; answers how many.
pub async fn purge(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(PURGE, &[before.micros().into(), limit.into()]).await
}

fn read(row: &Row) -> Result<Mail> {
    let attempts = row.int(9)?;
    Ok(Mail {
        id: bytes(row.blob(0)?)?,
        user_id: row.opt_int(1)?.map(UserId::new),
        template: row.text(2)?.to_owned(),
        language: row.text(3)?.to_owned(),
        recipient: row.text(4)?.to_owned(),
        content: row.text(5)?.to_owned(),
        link_seed: row.opt_blob(6)?.map(bytes).transpose()?,
        created_at: Timestamp::from_micros(row.int(7)?),
        expires_at: Timestamp::from_micros(row.int(8)?),
        attempts: u32::try_from(attempts)
            .map_err(|_| Error::Corrupt(format!("{attempts} attempts").into()))?,
    })
}

fn bytes<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Error::Corrupt(format!("{} bytes where {N} should be", bytes.len()).into()))
}
