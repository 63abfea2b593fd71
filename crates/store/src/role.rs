//! The flags of an account that say whether it administers.

use domain::admin::Role;
use domain::user::UserId;

use crate::user::read_epoch;
use crate::{Result, Tx};

const SET_STAFF: &str = "UPDATE users SET is_staff = $2, unproved_since = NULL WHERE id = $1 AND is_staff <> $2 RETURNING epoch, disabled_at";
const SET_SUPERUSER: &str = "UPDATE users SET is_superuser = $2, unproved_since = NULL WHERE id = $1 AND is_superuser <> $2 RETURNING epoch, disabled_at";
const OTHER_SUPERUSER: &str =
    "SELECT 1 FROM users WHERE is_superuser = 1 AND disabled_at IS NULL AND id <> $1 LIMIT 1";
const ANY_SUPERUSER: &str = "SELECT 1 FROM users WHERE is_superuser = 1 AND disabled_at IS NULL LIMIT 1";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[SET_STAFF, SET_SUPERUSER, OTHER_SUPERUSER, ANY_SUPERUSER];

/// Gives an account a role or takes it. Answers its epoch and whether it is enabled; nothing when there is no such account or
/// nothing changed.
pub async fn set(tx: &mut Tx, id: UserId, role: Role, has: bool) -> Result<Option<(u32, bool)>> {
    let statement = match role {
        Role::Staff => SET_STAFF,
        Role::Superuser => SET_SUPERUSER,
    };
    let row = tx.query_opt(statement, &[id.get().into(), has.into()]).await?;
    row.map(|row| Ok((read_epoch(row.int(0)?)?, row.opt_int(1)?.is_none()))).transpose()
}

/// Whether there is an enabled superuser beside this account.
pub async fn other_superuser(tx: &mut Tx, than: UserId) -> Result<bool> {
    Ok(tx.query_opt(OTHER_SUPERUSER, &[than.get().into()]).await?.is_some())
}

/// Whether there is an enabled superuser.
pub async fn any_superuser(tx: &mut Tx) -> Result<bool> {
    Ok(tx.query_opt(ANY_SUPERUSER, &[]).await?.is_some())
}
