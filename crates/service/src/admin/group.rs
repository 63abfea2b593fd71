//! Groups, what they give, and who is in them.

use domain::admin::{Right, is_permission_name};
use domain::audit::{Event, EventKind};
use domain::field::{Field, FieldErrors};
use domain::group::{Group, GroupId, GroupName, PermissionId, Permissions};
use domain::user::UserId;
use store::Tx;

use super::user::no_such_user;
use super::{Administrator, Change};
use crate::cursor::{self, Page, Wanted};
use crate::error::{Error, Result};
use crate::{App, Caller, audit, group, retry};

/// A page of all groups, by id.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::Invalid`] for a cursor of another list.
pub async fn list(app: &App, admin: &Administrator, wanted: &Wanted) -> Result<Page<Group>> {
    admin.require(Right::ViewGroup)?;
    let after = wanted.place(&app.index_key, "groups")?.unwrap_or(0);
    let mut tx = app.db.read().await?;
    let found = store::group::list(&mut tx, GroupId::new(after), i64::from(wanted.limit) + 1).await?;
    Ok(cursor::page(&app.index_key, "groups", found, wanted.limit, |group| group.id.get()))
}

/// A group and the names of the permissions that it gives.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`].
pub async fn get(app: &App, admin: &Administrator, id: GroupId) -> Result<(Group, Vec<String>)> {
    admin.require(Right::ViewGroup)?;
    let mut tx = app.db.read().await?;
    let group = store::group::find(&mut tx, id).await?.ok_or_else(no_such_group)?;
    let names = store::group_permission::names(&mut tx, id).await?;
    Ok((group, names))
}

/// The groups of an account.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`].
pub async fn of_user(app: &App, admin: &Administrator, id: UserId) -> Result<Vec<Group>> {
    admin.require(Right::ViewUser)?;
    let mut tx = app.db.read().await?;
    store::user::find(&mut tx, id).await?.ok_or_else(no_such_user)?;
    let groups = store::group::groups_of(&mut tx, id, id).await?;
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

/// Makes a group, which gives nothing yet.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::Invalid`] for a name that cannot be one or is taken.
pub async fn create(app: &App, caller: &Caller, admin: &Administrator, name: Field) -> Result<Group> {
    admin.require(Right::AddGroup)?;
    let name = name.and_then(|raw| GroupName::parse(&raw));
    let name = name.map_err(|messages| Error::invalid(FieldErrors::of("name", messages)))?;
    retry::turns(|| try_to_create(app, caller, admin, &name)).await
}

async fn try_to_create(app: &App, caller: &Caller, admin: &Administrator, name: &GroupName) -> Result<Group> {
    let change = Change::begin(app, caller, admin, Right::AddGroup).await?;
    let id = group::create_in(change.tx, &change.by, name).await?.ok_or_else(group::name_taken)?;
    Ok(Group { id, name: name.clone() })
}

/// Deletes a group; its members lose what it gave.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`].
pub async fn delete(app: &App, caller: &Caller, admin: &Administrator, id: GroupId) -> Result<()> {
    retry::turns(|| try_to_delete(app, caller, admin, id)).await
}

async fn try_to_delete(app: &App, caller: &Caller, admin: &Administrator, id: GroupId) -> Result<()> {
    let mut change = Change::begin(app, caller, admin, Right::DeleteGroup).await?;
    change.group(id).await?;
    group::delete_in(change.tx, &change.by, id).await.map(drop)
}

/// Puts an account into a group or takes it out. Who does that has every right that the group gives and the account has (AD-03).
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`].
pub async fn set_member(
    app: &App,
    caller: &Caller,
    admin: &Administrator,
    id: GroupId,
    user: UserId,
    member: bool,
) -> Result<()> {
    retry::turns(|| try_to_set_member(app, caller, admin, id, user, member)).await
}

async fn try_to_set_member(
    app: &App,
    caller: &Caller,
    admin: &Administrator,
    id: GroupId,
    user: UserId,
    member: bool,
) -> Result<()> {
    let mut change = Change::begin(app, caller, admin, Right::ChangeUser).await?;
    change.account(user).await?;
    change.group(id).await?;
    group::change_in(app, change.tx, &change.by, id, user, member).await.map(drop)
}

/// Gives a group a permission or takes it. Who does that has the permission, and all that the group gives (AD-03). A permission
/// is made when it is first given; so only superusers, who have every one, make new ones.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`] for a name that cannot be one, and when what is to be taken is not there.
pub async fn set_permission(
    app: &App,
    caller: &Caller,
    admin: &Administrator,
    id: GroupId,
    name: &str,
    gives: bool,
) -> Result<()> {
    admin.require(Right::ChangeGroup)?;
    if !is_permission_name(name) {
        return Err(no_such_permission());
    }
    retry::turns(|| try_to_set_permission(app, caller, admin, id, name, gives)).await
}

async fn try_to_set_permission(
    app: &App,
    caller: &Caller,
    admin: &Administrator,
    id: GroupId,
    name: &str,
    gives: bool,
) -> Result<()> {
    let mut change = Change::begin(app, caller, admin, Right::ChangeGroup).await?;
    change.group(id).await?;
    if !change.actor.permissions.allows(name) {
        return Err(Error::beyond());
    }
    let tx = &mut change.tx;
    let changed = if gives {
        let permission = permission(tx, name).await?;
        store::group_permission::grant(tx, id, permission).await?
    } else {
        let known = store::group::find_permission(tx, name).await?.ok_or_else(no_such_permission)?;
        store::group_permission::take(tx, id, known).await?
    };
    if !changed {
        return Ok(());
    }
    let kind = if gives { EventKind::PermissionGranted } else { EventKind::PermissionTaken };
    let event = Event::new(kind).detail("group", id.get()).detail("permission", name);
    audit::record(&mut change.tx, &change.by, &event)?;
    Ok(change.tx.commit().await?)
}

async fn permission(tx: &mut Tx, name: &str) -> Result<PermissionId> {
    match store::group::find_permission(tx, name).await? {
        Some(known) => Ok(known),
        None => Ok(store::group::insert_permission(tx, None, name, name).await?),
    }
}

impl Change<'_> {
    /// Says no unless there is such a group and the administrator has all that it gives.
    async fn group(&mut self, id: GroupId) -> Result<()> {
        store::group::find(&mut self.tx, id).await?.ok_or_else(no_such_group)?;
        let names = store::group_permission::names(&mut self.tx, id).await?;
        self.actor.require_covers(&Permissions::named(names))
    }
}

fn no_such_group() -> Error {
    Error::not_found("There is no such group.")
}

fn no_such_permission() -> Error {
    Error::not_found("There is no such permission.")
}
