//! What a group gives, one permission at a time.

use domain::group::{GroupId, PermissionId};

use crate::{Result, Tx};

const GRANT: &str = "INSERT INTO group_permissions (group_id, permission_id) VALUES ($1, $2) ON CONFLICT (group_id, permission_id) DO NOTHING";
const TAKE: &str = "DELETE FROM group_permissions WHERE group_id = $1 AND permission_id = $2";
const NAMES: &str = "SELECT p.codename FROM group_permissions gp JOIN permissions p ON p.id = gp.permission_id WHERE gp.group_id = $1 ORDER BY p.codename";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[GRANT, TAKE, NAMES];

/// Gives a group a permission; false when it has it.
pub async fn grant(tx: &mut Tx, group: GroupId, permission: PermissionId) -> Result<bool> {
    Ok(tx.execute(GRANT, &[group.get().into(), permission.get().into()]).await? == 1)
}

/// Takes a permission from a group; false when it did not have it.
pub async fn take(tx: &mut Tx, group: GroupId, permission: PermissionId) -> Result<bool> {
    Ok(tx.execute(TAKE, &[group.get().into(), permission.get().into()]).await? == 1)
}

/// The names of the permissions that a group gives.
pub async fn names(tx: &mut Tx, group: GroupId) -> Result<Vec<String>> {
    let rows = tx.query(NAMES, &[group.get().into()]).await?;
    rows.iter().map(|row| row.text(0).map(str::to_owned)).collect()
}
