//! Groups, permissions, and who has them.

use domain::group::{Group, GroupId, GroupName, PermissionId};
use domain::user::UserId;

use crate::{Dialect, Error, Result, Row, Tx};

const LIST_AFTER: &str = "SELECT id, name FROM groups WHERE id > $1 ORDER BY id LIMIT $2";
const FIND: &str = "SELECT id, name FROM groups WHERE id = $1";
const FIND_BY_NAME: &str = "SELECT id, name FROM groups WHERE name = $1";
const INSERT: &str = "INSERT INTO groups (name) VALUES ($1) ON CONFLICT (name) DO NOTHING RETURNING id";
const INSERT_WITH_ID: &str = "INSERT INTO groups (id, name) VALUES ($1, $2)";
const RENAME: &str = "UPDATE groups SET name = $2 WHERE id = $1";
const DELETE: &str = "DELETE FROM groups WHERE id = $1";
const ADD_USER: &str =
    "INSERT INTO user_groups (user_id, group_id) VALUES ($1, $2) ON CONFLICT (user_id, group_id) DO NOTHING";
const REMOVE_USER: &str = "DELETE FROM user_groups WHERE user_id = $1 AND group_id = $2";
const REMOVE_USER_FROM_ALL: &str = "DELETE FROM user_groups WHERE user_id = $1";
const GROUPS_OF_USERS: &str = "SELECT ug.user_id, g.id, g.name FROM user_groups ug JOIN groups g ON g.id = ug.group_id WHERE ug.user_id >= $1 AND ug.user_id <= $2 ORDER BY ug.user_id, g.id";
const GRANT_USER: &str = "INSERT INTO user_permissions (user_id, permission_id) VALUES ($1, $2) ON CONFLICT (user_id, permission_id) DO NOTHING";
const REVOKE_ALL_OF_USER: &str = "DELETE FROM user_permissions WHERE user_id = $1";
const PERMISSIONS_OF_USERS: &str = "SELECT up.user_id, p.id, p.codename FROM user_permissions up JOIN permissions p ON p.id = up.permission_id WHERE up.user_id >= $1 AND up.user_id <= $2 ORDER BY up.user_id, p.id";
const GRANTED: &str = "SELECT p.codename FROM permissions p WHERE p.id IN (SELECT permission_id FROM user_permissions WHERE user_id = $1 UNION SELECT gp.permission_id FROM group_permissions gp JOIN user_groups ug ON ug.group_id = gp.group_id WHERE ug.user_id = $1) ORDER BY p.codename";
const GRANT_GROUP: &str = "INSERT INTO group_permissions (group_id, permission_id) VALUES ($1, $2) ON CONFLICT (group_id, permission_id) DO NOTHING";
const REVOKE_ALL_OF_GROUP: &str = "DELETE FROM group_permissions WHERE group_id = $1";
const PERMISSIONS_OF_GROUP: &str =
    "SELECT permission_id FROM group_permissions WHERE group_id = $1 ORDER BY permission_id";
const FIND_PERMISSION: &str = "SELECT id FROM permissions WHERE codename = $1";
const PERMISSION_EXISTS: &str = "SELECT 1 FROM permissions WHERE id = $1";
const INSERT_PERMISSION: &str =
    "INSERT INTO permissions (codename, name) VALUES ($1, $2) ON CONFLICT (codename) DO NOTHING RETURNING id";
const INSERT_PERMISSION_WITH_ID: &str = "INSERT INTO permissions (id, codename, name) VALUES ($1, $2, $3)";

const LOCK_GROUPS: &str = "LOCK TABLE groups, permissions IN SHARE ROW EXCLUSIVE MODE";
const RAISE_LAST_GROUP: &str = "SELECT setval('groups_id_seq', $1) FROM groups_id_seq WHERE last_value < $1";
const RAISE_LAST_PERMISSION: &str =
    "SELECT setval('permissions_id_seq', $1) FROM permissions_id_seq WHERE last_value < $1";

/// Every statement of this file that both engines read.
pub const STATEMENTS: &[&str] = &[
    LIST_AFTER,
    FIND,
    FIND_BY_NAME,
    INSERT,
    INSERT_WITH_ID,
    RENAME,
    DELETE,
    ADD_USER,
    REMOVE_USER,
    REMOVE_USER_FROM_ALL,
    GROUPS_OF_USERS,
    GRANT_USER,
    REVOKE_ALL_OF_USER,
    PERMISSIONS_OF_USERS,
    GRANTED,
    GRANT_GROUP,
    REVOKE_ALL_OF_GROUP,
    PERMISSIONS_OF_GROUP,
    FIND_PERMISSION,
    PERMISSION_EXISTS,
    INSERT_PERMISSION,
    INSERT_PERMISSION_WITH_ID,
];
/// Those for PostgreSQL.
pub const POSTGRES_STATEMENTS: &[&str] = &[LOCK_GROUPS, RAISE_LAST_GROUP, RAISE_LAST_PERMISSION];

/// At most `limit` groups with ids above `after`, by id.
pub async fn list(tx: &mut Tx, after: GroupId, limit: i64) -> Result<Vec<Group>> {
    tx.query(LIST_AFTER, &[after.get().into(), limit.into()]).await?.iter().map(|row| read(row, 0)).collect()
}

/// The group with this id.
pub async fn find(tx: &mut Tx, id: GroupId) -> Result<Option<Group>> {
    tx.query_opt(FIND, &[id.get().into()]).await?.map(|row| read(&row, 0)).transpose()
}

/// The group with exactly this name.
pub async fn find_by_name(tx: &mut Tx, name: &GroupName) -> Result<Option<Group>> {
    tx.query_opt(FIND_BY_NAME, &[name.as_str().into()]).await?.map(|row| read(&row, 0)).transpose()
}

/// Stores a new group; none when the name is taken.
pub async fn insert(tx: &mut Tx, name: &GroupName) -> Result<Option<GroupId>> {
    let row = tx.query_opt(INSERT, &[name.as_str().into()]).await?;
    row.map(|row| row.int(0).map(GroupId::new)).transpose()
}

/// Stores a group under the id that it has elsewhere, if that and the name are free; later ids are above it.
///
/// # Errors
/// [`Error::Conflict`] when the id or the name is taken.
pub async fn insert_with_id(tx: &mut Tx, id: GroupId, name: &GroupName) -> Result<()> {
    raise(tx, RAISE_LAST_GROUP, id.get()).await?;
    tx.execute(INSERT_WITH_ID, &[id.get().into(), name.as_str().into()]).await.map(drop)
}

/// Renames a group.
///
/// # Errors
/// [`Error::Conflict`] when the name is taken.
pub async fn rename(tx: &mut Tx, id: GroupId, name: &GroupName) -> Result<()> {
    tx.execute(RENAME, &[id.get().into(), name.as_str().into()]).await.map(drop)
}

/// Deletes a group; its members lose what it gave. Answers whether there was one.
pub async fn delete(tx: &mut Tx, id: GroupId) -> Result<bool> {
    Ok(tx.execute(DELETE, &[id.get().into()]).await? == 1)
}

/// Adds a user to a group; false when the user is in it.
///
/// # Errors
/// [`Error::Constraint`] when there is no such user or group.
pub async fn add_user(tx: &mut Tx, user: UserId, group: GroupId) -> Result<bool> {
    Ok(tx.execute(ADD_USER, &[user.get().into(), group.get().into()]).await? == 1)
}

/// Takes a user out of a group; false when the user is not in it.
pub async fn remove_user(tx: &mut Tx, user: UserId, group: GroupId) -> Result<bool> {
    Ok(tx.execute(REMOVE_USER, &[user.get().into(), group.get().into()]).await? == 1)
}

/// Takes a user out of every group and away every permission that was given to the user alone.
pub async fn clear_user(tx: &mut Tx, user: UserId) -> Result<()> {
    tx.execute(REMOVE_USER_FROM_ALL, &[user.get().into()]).await?;
    tx.execute(REVOKE_ALL_OF_USER, &[user.get().into()]).await.map(drop)
}

/// The groups of all users from `first` to `last`, by user and group.
pub async fn groups_of(tx: &mut Tx, first: UserId, last: UserId) -> Result<Vec<(UserId, Group)>> {
    let rows = tx.query(GROUPS_OF_USERS, &[first.get().into(), last.get().into()]).await?;
    rows.iter().map(|row| Ok((UserId::new(row.int(0)?), read(row, 1)?))).collect()
}

/// The permissions that users from `first` to `last` have of their own, by user and permission.
pub async fn permissions_of(
    tx: &mut Tx,
    first: UserId,
    last: UserId,
) -> Result<Vec<(UserId, PermissionId, String)>> {
    let rows = tx.query(PERMISSIONS_OF_USERS, &[first.get().into(), last.get().into()]).await?;
    let read =
        |row: &Row| Ok((UserId::new(row.int(0)?), PermissionId::new(row.int(1)?), row.text(2)?.to_owned()));
    rows.iter().map(read).collect()
}

/// The names of all permissions of a user, own and by group.
pub async fn granted(tx: &mut Tx, user: UserId) -> Result<Vec<String>> {
    let rows = tx.query(GRANTED, &[user.get().into()]).await?;
    rows.iter().map(|row| row.text(0).map(str::to_owned)).collect()
}

/// Gives a user a permission.
pub async fn grant_user(tx: &mut Tx, user: UserId, permission: PermissionId) -> Result<()> {
    tx.execute(GRANT_USER, &[user.get().into(), permission.get().into()]).await.map(drop)
}

/// Gives a group exactly these permissions.
pub async fn set_permissions(tx: &mut Tx, group: GroupId, permissions: &[PermissionId]) -> Result<()> {
    tx.execute(REVOKE_ALL_OF_GROUP, &[group.get().into()]).await?;
    for permission in permissions {
        tx.execute(GRANT_GROUP, &[group.get().into(), permission.get().into()]).await?;
    }
    Ok(())
}

/// The permissions of a group, by id.
pub async fn permissions_of_group(tx: &mut Tx, group: GroupId) -> Result<Vec<PermissionId>> {
    let rows = tx.query(PERMISSIONS_OF_GROUP, &[group.get().into()]).await?;
    rows.iter().map(|row| row.int(0).map(PermissionId::new)).collect()
}

/// The permission `application.codename`.
pub async fn find_permission(tx: &mut Tx, codename: &str) -> Result<Option<PermissionId>> {
    let row = tx.query_opt(FIND_PERMISSION, &[codename.into()]).await?;
    row.map(|row| row.int(0).map(PermissionId::new)).transpose()
}

/// Stores a permission that is not there yet, under the id that it has elsewhere if that is free here.
///
/// # Errors
/// [`Error::Conflict`] when another transaction was faster.
pub async fn insert_permission(
    tx: &mut Tx,
    id: Option<PermissionId>,
    codename: &str,
    name: &str,
) -> Result<PermissionId> {
    if let Some(id) = id {
        raise(tx, RAISE_LAST_PERMISSION, id.get()).await?;
        if tx.query_opt(PERMISSION_EXISTS, &[id.get().into()]).await?.is_none() {
            let params = [id.get().into(), codename.into(), name.into()];
            tx.execute(INSERT_PERMISSION_WITH_ID, &params).await?;
            return Ok(id);
        }
    }
    let row = tx.query_opt(INSERT_PERMISSION, &[codename.into(), name.into()]).await?;
    Ok(PermissionId::new(row.ok_or(Error::Conflict)?.int(0)?))
}

/// On PostgreSQL an id that is given does not move the sequence on; on SQLite it does.
async fn raise(tx: &mut Tx, statement: &'static str, id: i64) -> Result<()> {
    if tx.dialect() == Dialect::Postgres {
        tx.execute(LOCK_GROUPS, &[]).await?;
        tx.query(statement, &[id.into()]).await?;
    }
    Ok(())
}

fn read(row: &Row, at: usize) -> Result<Group> {
    Ok(Group { id: GroupId::new(row.int(at)?), name: GroupName::from_stored(row.text(at + 1)?.to_owned()) })
}
