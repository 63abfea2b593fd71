//! Accounts as administrators look for them: page by page, each found by an index.

use domain::user::{User, UserId};

use crate::{Dialect, Result, Tx, user};

/// Which accounts are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All.
    Any,
    /// Those that are enabled.
    Active,
    /// Those that are disabled.
    Disabled,
    /// Staff.
    Staff,
    /// Superusers.
    Superuser,
}

impl State {
    const fn number(self) -> i64 {
        match self {
            Self::Any => 0,
            Self::Active => 1,
            Self::Disabled => 2,
            Self::Staff => 3,
            Self::Superuser => 4,
        }
    }
}

const BY_ID: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at FROM users WHERE id > $1 AND (CAST($2 AS BIGINT) = 0 OR ($2 = 1 AND disabled_at IS NULL) OR ($2 = 2 AND disabled_at IS NOT NULL) OR ($2 = 3 AND is_staff = 1) OR ($2 = 4 AND is_superuser = 1)) ORDER BY id LIMIT $3";
const BY_NAME_POSTGRES: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at FROM users WHERE username_key >= $4 AND username_key < $5 AND (username_key, id) > ($6, $1) AND (CAST($2 AS BIGINT) = 0 OR ($2 = 1 AND disabled_at IS NULL) OR ($2 = 2 AND disabled_at IS NOT NULL) OR ($2 = 3 AND is_staff = 1) OR ($2 = 4 AND is_superuser = 1)) ORDER BY username_key, id LIMIT $3";
// On SQLite the accounts that claim their key and those that share another's have an index each; both are read in order.
const BY_NAME_SQLITE: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at, username_claim AS key FROM users WHERE username_claim >= $4 AND username_claim < $5 AND (username_claim, id) > ($6, $1) AND (CAST($2 AS BIGINT) = 0 OR ($2 = 1 AND disabled_at IS NULL) OR ($2 = 2 AND disabled_at IS NOT NULL) OR ($2 = 3 AND is_staff = 1) OR ($2 = 4 AND is_superuser = 1)) UNION ALL SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at, username_key FROM users WHERE username_claim IS DISTINCT FROM username_key AND username_key >= $4 AND username_key < $5 AND (username_key, id) > ($6, $1) AND (CAST($2 AS BIGINT) = 0 OR ($2 = 1 AND disabled_at IS NULL) OR ($2 = 2 AND disabled_at IS NOT NULL) OR ($2 = 3 AND is_staff = 1) OR ($2 = 4 AND is_superuser = 1)) ORDER BY key, id LIMIT $3";
// Accounts with one address stand in the index in the order of their turns (`account`), so SQLite sorts them.
const BY_EMAIL_SQLITE: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at FROM users WHERE lower(email) >= $4 AND lower(email) < $5 AND (lower(email), id) > ($6, $1) AND (CAST($2 AS BIGINT) = 0 OR ($2 = 1 AND disabled_at IS NULL) OR ($2 = 2 AND disabled_at IS NOT NULL) OR ($2 = 3 AND is_staff = 1) OR ($2 = 4 AND is_superuser = 1)) ORDER BY lower(email), id LIMIT $3";
// The collation "C" makes lower() touch ASCII alone and compares byte by byte, as SQLite does.
const BY_EMAIL_POSTGRES: &str = "SELECT id, username, email, first_name, last_name, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, email_verified_at, pending_email, delete_at FROM users WHERE lower(email COLLATE \"C\") >= $4 AND lower(email COLLATE \"C\") < $5 AND (lower(email COLLATE \"C\"), id) > ($6, $1) AND (CAST($2 AS BIGINT) = 0 OR ($2 = 1 AND disabled_at IS NULL) OR ($2 = 2 AND disabled_at IS NOT NULL) OR ($2 = 3 AND is_staff = 1) OR ($2 = 4 AND is_superuser = 1)) ORDER BY lower(email COLLATE \"C\"), id LIMIT $3";

/// Every statement of this file that both engines read.
pub const STATEMENTS: &[&str] = &[BY_ID];
/// Those for SQLite.
pub const SQLITE_STATEMENTS: &[&str] = &[BY_NAME_SQLITE, BY_EMAIL_SQLITE];
/// Those for PostgreSQL.
pub const POSTGRES_STATEMENTS: &[&str] = &[BY_NAME_POSTGRES, BY_EMAIL_POSTGRES];

/// The beginning of a text, and where a page before this one ended: at the text and the id of its last account.
#[derive(Clone, Copy, Debug)]
pub struct Prefix<'a> {
    /// The beginning.
    pub of: &'a str,
    /// The text of the last account of the page before; empty for the first page.
    pub after: &'a str,
}

/// At most `limit` accounts with ids above `after`, by id.
pub async fn by_id(tx: &mut Tx, after: UserId, state: State, limit: i64) -> Result<Vec<User>> {
    let params = [after.get().into(), state.number().into(), limit.into()];
    tx.query(BY_ID, &params).await?.iter().map(user::read).collect()
}

/// At most `limit` accounts whose case-folded name begins so, by that name and id.
pub async fn by_name(
    tx: &mut Tx,
    prefix: Prefix<'_>,
    after: UserId,
    state: State,
    limit: i64,
) -> Result<Vec<User>> {
    let statement = match tx.dialect() {
        Dialect::Sqlite => BY_NAME_SQLITE,
        Dialect::Postgres => BY_NAME_POSTGRES,
    };
    by_prefix(tx, statement, prefix, after, state, limit).await
}

/// At most `limit` accounts whose address, in lower case as far as ASCII goes, begins so, by that and id.
pub async fn by_email(
    tx: &mut Tx,
    prefix: Prefix<'_>,
    after: UserId,
    state: State,
    limit: i64,
) -> Result<Vec<User>> {
    let statement = match tx.dialect() {
        Dialect::Sqlite => BY_EMAIL_SQLITE,
        Dialect::Postgres => BY_EMAIL_POSTGRES,
    };
    by_prefix(tx, statement, prefix, after, state, limit).await
}

async fn by_prefix(
    tx: &mut Tx,
    statement: &'static str,
    prefix: Prefix<'_>,
    after: UserId,
    state: State,
    limit: i64,
) -> Result<Vec<User>> {
    // Behind everything that begins so: no text has the last code point, which is not a character, at that place.
    let end = format!("{}\u{10ffff}", prefix.of);
    // A page begins where the one before it ended: the engines take one lower bound to the index, and check the other row by row.
    let start = prefix.of.max(prefix.after);
    let params = [
        after.get().into(),
        state.number().into(),
        limit.into(),
        start.into(),
        end.as_str().into(),
        prefix.after.into(),
    ];
    tx.query(statement, &params).await?.iter().map(user::read).collect()
}
