//! Users: rows, the lookups that login and registration need, and the writes that must be atomic.

use domain::time::Timestamp;
use domain::user::{EmailAddress, NameKey, User, UserId, Username};

use crate::{Dialect, Error, Param, Result, Row, Tx};

/// What a login needs of a user and nobody else should hold: the user and the stored hash.
#[derive(Clone)]
pub struct Credentials {
    /// The account.
    pub user: User,
    /// The stored password hash, in PHC or Django form.
    pub password_hash: String,
    /// The password is checked as Django trimmed it (`domain::password::Password::as_django`).
    pub password_trims: bool,
    /// Encoded `domain::throttle::FailureLog`; none before the first failure.
    pub login_failures: Option<Vec<u8>>,
}

/// A user about to be stored.
pub struct NewUser<'a> {
    /// Given by an import that keeps the ids of its source; otherwise the next free one is taken.
    pub id: Option<UserId>,
    /// Canonical name.
    pub username: &'a Username,
    /// Claim the case-folded name, so that no later name may differ from this one by case alone.
    pub claims_key: bool,
    /// Address; may be blank.
    pub email: &'a EmailAddress,
    /// Given name; may be blank.
    pub first_name: &'a str,
    /// Family name; may be blank.
    pub last_name: &'a str,
    /// The password.
    pub password: NewPassword<'a>,
    /// Django's staff flag.
    pub is_staff: bool,
    /// Django's superuser flag.
    pub is_superuser: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// The last login, if any.
    pub last_login_at: Option<Timestamp>,
    /// Since when the account is disabled, if it is.
    pub disabled_at: Option<Timestamp>,
}

impl NewUser<'_> {
    /// The user that was stored.
    #[must_use]
    pub fn into_user(self, id: UserId) -> User {
        User {
            id,
            username: self.username.clone(),
            email: self.email.clone(),
            first_name: self.first_name.to_owned(),
            last_name: self.last_name.to_owned(),
            is_staff: self.is_staff,
            is_superuser: self.is_superuser,
            epoch: 0,
            created_at: self.created_at,
            last_login_at: self.last_login_at,
            disabled_at: self.disabled_at,
            not_before: None,
            email_verified_at: None,
            pending_email: None,
            delete_at: None,
        }
    }
}

/// A password hash with what must be stored beside it.
#[derive(Clone, Copy)]
pub struct NewPassword<'a> {
    /// The hash, in PHC or Django form.
    pub hash: &'a str,
    /// Its scheme and cost, as `crypto::password::scheme_of` names them.
    pub scheme: &'a str,
    /// Whether the password is trimmed as Django did before it is checked.
    pub trims: bool,
}

// The columns of a user in the order `read` expects; every SELECT below repeats it, because a statement is one literal.
const FIND_CREDENTIALS_BY_NAME: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at, password_hash, password_trims, login_failures FROM users WHERE username = $1 AND (username_claim = $2 OR (username_key = $2 AND username_claim IS DISTINCT FROM username_key))";
// An account without a claim shares its key with an older one; on SQLite each half has an index of its own.
const FIND_CREDENTIALS_BY_KEY: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at, password_hash, password_trims, login_failures FROM users WHERE username_claim = $1 OR (username_key = $1 AND username_claim IS DISTINCT FROM username_key) LIMIT 2";
const FIND_BY_ID: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at FROM users WHERE id = $1";
const LIST_AFTER: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at FROM users WHERE id > $1 ORDER BY id LIMIT $2";
const LIST_CREDENTIALS_AFTER: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at, password_hash, password_trims, login_failures FROM users WHERE id > $1 ORDER BY id LIMIT $2";
const NAME_TAKEN: &str = "SELECT 1 FROM users WHERE username_claim = $2 OR (username_key = $2 AND username_claim IS DISTINCT FROM username_key AND username = $1) LIMIT 1";
const EXACT_NAME: &str = "SELECT 1 FROM users WHERE username = $1 AND (username_claim = $2 OR (username_key = $2 AND username_claim IS DISTINCT FROM username_key)) LIMIT 1";
const INSERT: &str = "INSERT INTO users (username, username_key, username_claim, email, first_name, last_name, password_hash, password_scheme, password_trims, is_staff, is_superuser, created_at, last_login_at, disabled_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id";
const INSERT_WITH_ID: &str = "INSERT INTO users (username, username_key, username_claim, email, first_name, last_name, password_hash, password_scheme, password_trims, is_staff, is_superuser, created_at, last_login_at, disabled_at, id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING id";
const RECORD_LOGIN: &str = "UPDATE users SET last_login_at = $2, login_failures = $3, unproved_since = NULL WHERE id = $1 AND disabled_at IS NULL AND password_hash = $4 AND login_failures IS NOT DISTINCT FROM $5";
const UPGRADE_HASH: &str =
    "UPDATE users SET password_hash = $3, password_scheme = $4 WHERE id = $1 AND password_hash = $2";
const SAVE_FAILURES: &str =
    "UPDATE users SET login_failures = $3 WHERE id = $1 AND login_failures IS NOT DISTINCT FROM $2";
const DISABLE: &str = "UPDATE users SET disabled_at = $2, epoch = epoch + 1, not_before = $3 WHERE id = $1 AND disabled_at IS NULL RETURNING epoch";
const ENABLE: &str = "UPDATE users SET disabled_at = NULL, delete_at = NULL, unproved_since = NULL WHERE id = $1 AND disabled_at IS NOT NULL RETURNING epoch";
const SET_PASSWORD: &str = "UPDATE users SET password_hash = $2, password_scheme = $3, password_trims = $4, login_failures = NULL, unproved_since = NULL, epoch = epoch + 1, not_before = $5 WHERE id = $1 RETURNING epoch";
const END_SESSIONS: &str =
    "UPDATE users SET epoch = epoch + 1, not_before = $2 WHERE id = $1 RETURNING epoch, disabled_at";
const DELETE: &str = "DELETE FROM users WHERE id = $1 RETURNING epoch";
const BURY: &str = "INSERT INTO deleted_users (id, deleted_at) VALUES ($1, $2)";
const IS_DELETED: &str = "SELECT 1 FROM deleted_users WHERE id = $1";
const NEXT_SCHEME: &str =
    "SELECT password_scheme FROM users WHERE password_scheme > $1 ORDER BY password_scheme LIMIT 1";

/// Every statement of this file, for the test that prepares them all.
pub const STATEMENTS: &[&str] = &[
    FIND_CREDENTIALS_BY_NAME,
    FIND_CREDENTIALS_BY_KEY,
    FIND_BY_ID,
    LIST_AFTER,
    LIST_CREDENTIALS_AFTER,
    NAME_TAKEN,
    EXACT_NAME,
    INSERT,
    INSERT_WITH_ID,
    RECORD_LOGIN,
    UPGRADE_HASH,
    SAVE_FAILURES,
    DISABLE,
    ENABLE,
    SET_PASSWORD,
    END_SESSIONS,
    DELETE,
    BURY,
    IS_DELETED,
    NEXT_SCHEME,
];

/// Finds an account by its exact name, or else by its case-folded name if exactly one account has it.
pub async fn find_credentials(tx: &mut Tx, name: &str, key: &NameKey) -> Result<Option<Credentials>> {
    if let Some(row) = tx.query_opt(FIND_CREDENTIALS_BY_NAME, &[name.into(), key.as_str().into()]).await? {
        return read_credentials(&row).map(Some);
    }
    match tx.query(FIND_CREDENTIALS_BY_KEY, &[key.as_str().into()]).await?.as_slice() {
        [row] => read_credentials(row).map(Some),
        _ => Ok(None),
    }
}

/// The user with this id.
pub async fn find(tx: &mut Tx, id: UserId) -> Result<Option<User>> {
    tx.query_opt(FIND_BY_ID, &[id.get().into()]).await?.as_ref().map(read).transpose()
}

/// At most `limit` users with ids above `after`, by id.
pub async fn list(tx: &mut Tx, after: UserId, limit: i64) -> Result<Vec<User>> {
    tx.query(LIST_AFTER, &[after.get().into(), limit.into()]).await?.iter().map(read).collect()
}

/// The same with their hashes.
pub async fn list_credentials(tx: &mut Tx, after: UserId, limit: i64) -> Result<Vec<Credentials>> {
    let rows = tx.query(LIST_CREDENTIALS_AFTER, &[after.get().into(), limit.into()]).await?;
    rows.iter().map(read_credentials).collect()
}

/// Whether a new account may not have this name: it exists, or an account has claimed it but for case.
pub async fn name_taken(tx: &mut Tx, name: &Username) -> Result<bool> {
    let found = tx.query_opt(NAME_TAKEN, &[name.as_str().into(), name.key().as_str().into()]).await?;
    Ok(found.is_some())
}

/// Whether an account has exactly this name.
async fn exact_name_taken(tx: &mut Tx, name: &Username, key: &NameKey) -> Result<bool> {
    Ok(tx.query_opt(EXACT_NAME, &[name.as_str().into(), key.as_str().into()]).await?.is_some())
}

/// Stores a new user and answers its id.
///
/// # Errors
/// [`Error::Conflict`] when the name, the claimed key or the given id is taken.
pub async fn insert(tx: &mut Tx, new: &NewUser<'_>) -> Result<UserId> {
    let key = new.username.key();
    // On SQLite no index has the exact names of all accounts, and nobody else writes meanwhile.
    if tx.dialect() == Dialect::Sqlite && exact_name_taken(tx, new.username, &key).await? {
        return Err(Error::Conflict);
    }
    let claim = new.claims_key.then(|| key.as_str());
    let mut params = vec![
        new.username.as_str().into(),
        key.as_str().into(),
        claim.into(),
        new.email.as_str().into(),
        new.first_name.into(),
        new.last_name.into(),
        new.password.hash.into(),
        new.password.scheme.into(),
        new.password.trims.into(),
        new.is_staff.into(),
        new.is_superuser.into(),
        new.created_at.micros().into(),
        new.last_login_at.map(Timestamp::micros).into(),
        new.disabled_at.map(Timestamp::micros).into(),
    ];
    let statement = match new.id {
        Some(id) => {
            params.push(id.get().into());
            INSERT_WITH_ID
        }
        None => INSERT,
    };
    let row =
        tx.query_opt(statement, &params).await?.ok_or(Error::Corrupt("an INSERT returned no id".into()))?;
    Ok(UserId::new(row.int(0)?))
}

/// Notes a successful login and what it leaves of the log of failures, if the row is still as `read` has it:
/// enabled, with the password that was checked, and without another attempt in between.
pub async fn record_login(tx: &mut Tx, read: &Credentials, failures: &[u8], now: Timestamp) -> Result<bool> {
    let params = [
        read.user.id.get().into(),
        now.micros().into(),
        Param::Blob(failures),
        read.password_hash.as_str().into(),
        read.login_failures.as_deref().into(),
    ];
    Ok(tx.execute(RECORD_LOGIN, &params).await? == 1)
}

/// Replaces a hash by a stronger one of the same password, unless the password has changed meanwhile.
pub async fn upgrade_hash(tx: &mut Tx, id: UserId, old_hash: &str, hash: &str, scheme: &str) -> Result<bool> {
    let params = [id.get().into(), old_hash.into(), hash.into(), scheme.into()];
    Ok(tx.execute(UPGRADE_HASH, &params).await? == 1)
}

/// Writes the log of failed logins, if it is still what `old` says; another attempt may have been faster.
pub async fn save_failures(tx: &mut Tx, id: UserId, old: Option<&[u8]>, new: &[u8]) -> Result<bool> {
    Ok(tx.execute(SAVE_FAILURES, &[id.get().into(), old.into(), Param::Blob(new)]).await? == 1)
}

/// Disables an account and opens a new epoch, so that all its sessions have ended. Answers the epoch,
/// or nothing when there is no such enabled account.
pub async fn disable(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<Option<u32>> {
    let params = [id.get().into(), now.micros().into(), first_good_second(now).into()];
    epoch(tx.query_opt(DISABLE, &params).await?)
}

/// Enables a disabled account. Sessions that ended stay ended.
pub async fn enable(tx: &mut Tx, id: UserId) -> Result<Option<u32>> {
    epoch(tx.query_opt(ENABLE, &[id.get().into()]).await?)
}

/// Sets a password and opens a new epoch.
pub async fn set_password(
    tx: &mut Tx,
    id: UserId,
    password: NewPassword<'_>,
    now: Timestamp,
) -> Result<Option<u32>> {
    let params = [
        id.get().into(),
        password.hash.into(),
        password.scheme.into(),
        password.trims.into(),
        first_good_second(now).into(),
    ];
    epoch(tx.query_opt(SET_PASSWORD, &params).await?)
}

/// Opens a new epoch, so that all sessions of a user have ended. Answers the epoch and whether the account is enabled.
pub async fn end_sessions(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<Option<(u32, bool)>> {
    let row = tx.query_opt(END_SESSIONS, &[id.get().into(), first_good_second(now).into()]).await?;
    row.map(|row| Ok((read_epoch(row.int(0)?)?, row.opt_int(1)?.is_none()))).transpose()
}

/// Deletes an account with its sessions and remembers that its id was used.
pub async fn delete(tx: &mut Tx, id: UserId, now: Timestamp) -> Result<Option<u32>> {
    let last = epoch(tx.query_opt(DELETE, &[id.get().into()]).await?)?;
    if last.is_some() {
        tx.execute(BURY, &[id.get().into(), now.micros().into()]).await?;
    }
    Ok(last)
}

/// Whether an account with this id was deleted here.
pub async fn is_deleted(tx: &mut Tx, id: UserId) -> Result<bool> {
    Ok(tx.query_opt(IS_DELETED, &[id.get().into()]).await?.is_some())
}

/// The password schemes that occur, at most `limit`: one index probe for each, however many users there are.
pub async fn schemes(tx: &mut Tx, limit: usize) -> Result<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    while found.len() < limit {
        let last = found.last().map_or("", String::as_str);
        let Some(row) = tx.query_opt(NEXT_SCHEME, &[last.into()]).await? else { break };
        found.push(row.text(0)?.to_owned());
    }
    Ok(found)
}

/// The first second in which a token without a session was surely issued after `now`: such tokens carry whole seconds, and
/// the clock of the service that mints them may be ahead by as much as we allow.
pub(crate) fn first_good_second(now: Timestamp) -> i64 {
    now.seconds() + 1 + domain::token::CLOCK_SKEW
}

fn epoch(row: Option<Row>) -> Result<Option<u32>> {
    row.map(|row| read_epoch(row.int(0)?)).transpose()
}

pub(crate) fn read_epoch(value: i64) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::Corrupt(format!("{value} is no epoch").into()))
}

pub(crate) fn read(row: &Row) -> Result<User> {
    Ok(User {
        id: UserId::new(row.int(0)?),
        username: Username::from_stored(row.text(1)?.to_owned()),
        email: EmailAddress::from_stored(row.text(2)?.to_owned()),
        first_name: row.text(3)?.to_owned(),
        last_name: row.text(4)?.to_owned(),
        is_staff: row.flag(5)?,
        is_superuser: row.flag(6)?,
        epoch: read_epoch(row.int(7)?)?,
        not_before: row.opt_int(8)?,
        created_at: Timestamp::from_micros(row.int(9)?),
        last_login_at: row.opt_int(10)?.map(Timestamp::from_micros),
        disabled_at: row.opt_int(11)?.map(Timestamp::from_micros),
        email_verified_at: row.opt_int(12)?.map(Timestamp::from_micros),
        pending_email: row.opt_text(13)?.map(|text| EmailAddress::from_stored(text.to_owned())),
        delete_at: row.opt_int(14)?.map(Timestamp::from_micros),
    })
}

pub(crate) fn read_credentials(row: &Row) -> Result<Credentials> {
    Ok(Credentials {
        user: read(row)?,
        password_hash: row.text(15)?.to_owned(),
        password_trims: row.flag(16)?,
        login_failures: row.opt_blob(17)?.map(<[u8]>::to_vec),
    })
}
