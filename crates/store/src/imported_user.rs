//! Users that an import brought: what the source held then and what we held, so that a later run knows who has changed
//! a row since.

use domain::time::Timestamp;
use domain::user::{User, UserId};

use crate::user::{Credentials, NewPassword, NewUser};
use crate::{Dialect, Param, Result, Tx};

/// The digests of a row at its last import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Of the row in the source.
    pub source_digest: Vec<u8>,
    /// Of the row here.
    pub our_digest: Vec<u8>,
}

const FIND: &str = "SELECT source_digest, our_digest FROM imported_users WHERE source = $1 AND user_id = $2";
const SAVE: &str = "INSERT INTO imported_users (source, user_id, source_digest, our_digest) VALUES ($1, $2, $3, $4) ON CONFLICT (source, user_id) DO UPDATE SET source_digest = excluded.source_digest, our_digest = excluded.our_digest";
const UPDATE_USER: &str = "UPDATE users SET username = $2, username_key = $3, username_claim = $4, email = $5, first_name = $6, last_name = $7, password_hash = $8, password_scheme = $9, password_trims = $10, is_staff = $11, is_superuser = $12, created_at = $13, last_login_at = $14, disabled_at = $15, not_before = $16, email_verified_at = CASE WHEN email = $5 THEN email_verified_at END, email_claim = CASE WHEN email = $5 THEN email_claim END, epoch = epoch + 1 WHERE id = $1 RETURNING epoch";
const FIND_CREDENTIALS_BY_ID: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at, password_hash, password_trims, login_failures FROM users WHERE id = $1";
const FIND_OTHER_WITH_NAME: &str = "SELECT id FROM users WHERE username = $1 AND id <> $2";
const FIND_OTHER_WITH_CLAIM: &str = "SELECT id FROM users WHERE username_claim = $1 AND id <> $2";
const RAISE_SEQUENCE: &str = "UPDATE sqlite_sequence SET seq = $1 WHERE name = 'users' AND seq < $1";
const START_SEQUENCE: &str = "INSERT INTO sqlite_sequence (name, seq) SELECT 'users', $1 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'users')";

const LOCK_CREDENTIALS_BY_ID: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at, password_hash, password_trims, login_failures FROM users WHERE id = $1 FOR NO KEY UPDATE";
const LAST_ID: &str = "SELECT last_value FROM users_id_seq";
const LOCK_USERS: &str = "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE";
const RAISE_LAST_ID: &str = "SELECT setval('users_id_seq', $1) FROM users_id_seq WHERE last_value < $1";

/// Every statement of this file that both engines read.
pub const STATEMENTS: &[&str] =
    &[FIND, SAVE, UPDATE_USER, FIND_CREDENTIALS_BY_ID, FIND_OTHER_WITH_NAME, FIND_OTHER_WITH_CLAIM];
/// Those for SQLite.
pub const SQLITE_STATEMENTS: &[&str] = &[RAISE_SEQUENCE, START_SEQUENCE];
/// Those for PostgreSQL.
pub const POSTGRES_STATEMENTS: &[&str] = &[LOCK_CREDENTIALS_BY_ID, LAST_ID, LOCK_USERS, RAISE_LAST_ID];

/// What is remembered of a row of `source`.
pub async fn find(tx: &mut Tx, source: &str, id: UserId) -> Result<Option<Memory>> {
    let Some(row) = tx.query_opt(FIND, &[source.into(), id.get().into()]).await? else { return Ok(None) };
    Ok(Some(Memory { source_digest: row.blob(0)?.to_vec(), our_digest: row.blob(1)?.to_vec() }))
}

/// Remembers a row of `source`.
pub async fn save(tx: &mut Tx, source: &str, id: UserId, memory: &Memory) -> Result<()> {
    let params =
        [source.into(), id.get().into(), Param::Blob(&memory.source_digest), Param::Blob(&memory.our_digest)];
    tx.execute(SAVE, &params).await.map(drop)
}

/// The account with this id, with its hash.
pub async fn find_credentials(tx: &mut Tx, id: UserId) -> Result<Option<Credentials>> {
    let row = tx.query_opt(FIND_CREDENTIALS_BY_ID, &[id.get().into()]).await?;
    row.as_ref().map(crate::user::read_credentials).transpose()
}

/// The same, and nobody else changes the account until this transaction ends. On SQLite that is so anyway.
pub async fn lock_credentials(tx: &mut Tx, id: UserId) -> Result<Option<Credentials>> {
    let statement = match tx.dialect() {
        Dialect::Sqlite => FIND_CREDENTIALS_BY_ID,
        Dialect::Postgres => LOCK_CREDENTIALS_BY_ID,
    };
    tx.query_opt(statement, &[id.get().into()]).await?.as_ref().map(crate::user::read_credentials).transpose()
}

/// The account other than `id` that has exactly this name.
pub async fn other_with_name(tx: &mut Tx, name: &str, id: UserId) -> Result<Option<UserId>> {
    other(tx, FIND_OTHER_WITH_NAME, name, id).await
}

/// The account other than `id` that has claimed this case-folded name.
pub async fn other_with_claim(tx: &mut Tx, key: &str, id: UserId) -> Result<Option<UserId>> {
    other(tx, FIND_OTHER_WITH_CLAIM, key, id).await
}

async fn other(tx: &mut Tx, statement: &'static str, text: &str, id: UserId) -> Result<Option<UserId>> {
    let row = tx.query_opt(statement, &[text.into(), id.get().into()]).await?;
    row.map(|row| row.int(0).map(UserId::new)).transpose()
}

/// Overwrites an account by what the source says now and opens a new epoch; answers the epoch.
pub async fn update_user(tx: &mut Tx, id: UserId, new: &NewUser<'_>, now: Timestamp) -> Result<Option<u32>> {
    let key = new.username.key();
    let NewPassword { hash, scheme, trims } = new.password;
    let params = [
        id.get().into(),
        new.username.as_str().into(),
        key.as_str().into(),
        new.claims_key.then(|| key.as_str()).into(),
        new.email.as_str().into(),
        new.first_name.into(),
        new.last_name.into(),
        hash.into(),
        scheme.into(),
        trims.into(),
        new.is_staff.into(),
        new.is_superuser.into(),
        new.created_at.micros().into(),
        new.last_login_at.map(|at| at.micros()).into(),
        new.disabled_at.map(|at| at.micros()).into(),
        crate::user::first_good_second(now).into(),
    ];
    let row = tx.query_opt(UPDATE_USER, &params).await?;
    row.map(|row| crate::user::read_epoch(row.int(0)?)).transpose()
}

/// Makes the next id greater than `at_least`; never lowers it.
///
/// On PostgreSQL this holds from now on, whether the transaction commits or not, and waits for those that have added an
/// account: a sequence knows no transactions, and between looking and raising nobody may take a number.
pub async fn reserve_ids(tx: &mut Tx, at_least: i64) -> Result<()> {
    match tx.dialect() {
        Dialect::Sqlite => {
            tx.execute(START_SEQUENCE, &[at_least.into()]).await?;
            tx.execute(RAISE_SEQUENCE, &[at_least.into()]).await.map(drop)
        }
        Dialect::Postgres => {
            let last = tx.query_opt(LAST_ID, &[]).await?;
            if last.is_some_and(|row| row.int(0).is_ok_and(|last| last >= at_least)) {
                return Ok(()); // it only grows
            }
            tx.execute(LOCK_USERS, &[]).await?;
            tx.query(RAISE_LAST_ID, &[at_least.into()]).await.map(drop)
        }
    }
}

/// The fields of a stored account whose change means that somebody worked on it here; in one text, to be digested.
#[must_use]
pub fn fingerprint_text(stored: &Credentials) -> String {
    let User { username, email, first_name, last_name, is_staff, is_superuser, disabled_at, .. } =
        &stored.user;
    // While the mark to trim is there the password is the one that came; its hash may have been upgraded by a login.
    let password = if stored.password_trims { "as imported" } else { stored.password_hash.as_str() };
    let fields = [
        username.as_str(),
        email.as_str(),
        first_name,
        last_name,
        password,
        if *is_staff { "staff" } else { "" },
        if *is_superuser { "superuser" } else { "" },
        if disabled_at.is_some() { "disabled" } else { "" },
    ];
    fields.map(|field| format!("{}:{field}", field.len())).join(",")
}
