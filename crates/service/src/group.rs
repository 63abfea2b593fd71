//! Groups, as an operator handles them, and what a user may by them.

use domain::audit::{Event, EventKind};
use domain::field::FieldErrors;
use domain::group::{Group, GroupId, GroupName, Permissions};
use domain::user::{User, UserId};
use store::Tx;
use store::change::What;

use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::{App, retry, user};

/// What a user belongs to and may.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The groups of the user, by id.
    pub groups: Vec<Group>,
    /// The user's own permissions and those of the groups.
    pub permissions: Permissions,
}

/// At most `limit` groups with ids above `after`, by id.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(app: &App, after: Option<GroupId>, limit: u32) -> Result<Vec<Group>> {
    let mut tx = app.db.read().await?;
    Ok(store::group::list(&mut tx, after.unwrap_or(GroupId::new(0)), i64::from(limit)).await?)
}

/// The group of a name.
///
/// # Errors
/// [`crate::Kind::NotFound`].
pub async fn find(app: &App, name: &str) -> Result<Group> {
    let no_such = || Error::not_found(format!("There is no group {name:?}."));
    let parsed = GroupName::parse(name).map_err(|_| no_such())?;
    let mut tx = app.db.read().await?;
    store::group::find_by_name(&mut tx, &parsed).await?.ok_or_else(no_such)
}

/// Creates a group.
///
/// # Errors
/// [`crate::Kind::Invalid`] for a name that cannot be one or is taken.
pub async fn create(app: &App, name: &str) -> Result<Group> {
    let name = GroupName::parse(name);
    let name = name.map_err(|messages| Error::invalid(FieldErrors::of("name", messages)))?;
    let mut turn = 0;
    loop {
        let done = try_to_create(app, &name).await;
        if !retry::again(&done, &mut turn).await {
            let id = done?.ok_or_else(name_taken)?;
            return Ok(Group { id, name });
        }
    }
}

async fn try_to_create(app: &App, name: &GroupName) -> Result<Option<GroupId>> {
    let (tx, now) = user::begin(app).await?;
    create_in(tx, &By::operator(now), name).await
}

/// The same in a transaction that has begun, by whoever asked for it; nothing when the name is taken.
pub(crate) async fn create_in(mut tx: Tx, by: &By<'_>, name: &GroupName) -> Result<Option<GroupId>> {
    let Some(id) = store::group::insert(&mut tx, name).await? else { return Ok(None) };
    audit::record(&mut tx, by, &Event::new(EventKind::GroupCreated).detail("group", id.get()))?;
    tx.commit().await?;
    Ok(Some(id))
}

/// In Django's words.
pub(crate) fn name_taken() -> Error {
    Error::invalid(FieldErrors::of("name", vec!["group with this name already exists.".into()]))
}

/// Deletes a group; its members lose what it gave. Answers whether there was one.
///
/// # Errors
/// When the database cannot be written.
pub async fn delete(app: &App, id: GroupId) -> Result<bool> {
    let mut turn = 0;
    loop {
        let done = try_to_delete(app, id).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_delete(app: &App, id: GroupId) -> Result<bool> {
    let (tx, now) = user::begin(app).await?;
    delete_in(tx, &By::operator(now), id).await
}

/// The same in a transaction that has begun, by whoever asked for it.
pub(crate) async fn delete_in(mut tx: Tx, by: &By<'_>, id: GroupId) -> Result<bool> {
    if !store::group::delete(&mut tx, id).await? {
        return Ok(false);
    }
    audit::record(&mut tx, by, &Event::new(EventKind::GroupDeleted).detail("group", id.get()))?;
    tx.commit().await?;
    Ok(true)
}

/// Adds a user to a group. Answers whether that changed anything.
///
/// # Errors
/// [`crate::Kind::NotFound`] when the user or the group is gone.
pub async fn add_user(app: &App, group: GroupId, user: UserId) -> Result<bool> {
    change(app, group, user, true).await
}

/// Takes a user out of a group. Answers whether that changed anything.
///
/// # Errors
/// When the database cannot be written.
pub async fn remove_user(app: &App, group: GroupId, user: UserId) -> Result<bool> {
    change(app, group, user, false).await
}

async fn change(app: &App, group: GroupId, user: UserId, member: bool) -> Result<bool> {
    let mut turn = 0;
    loop {
        let done = try_to_change(app, group, user, member).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_change(app: &App, group: GroupId, id: UserId, member: bool) -> Result<bool> {
    let (tx, now) = user::begin(app).await?;
    change_in(app, tx, &By::operator(now), group, id, member).await
}

/// The same in a transaction that has begun, by whoever asked for it. The change goes through the feed: what replicas keep in
/// memory of the user is read again.
pub(crate) async fn change_in(
    app: &App,
    mut tx: Tx,
    by: &By<'_>,
    group: GroupId,
    id: UserId,
    member: bool,
) -> Result<bool> {
    let account = store::user::find(&mut tx, id).await?;
    let account = account.ok_or_else(|| Error::not_found(format!("There is no account with id {id}.")))?;
    let (done, kind) = if member {
        store::account::vouch(&mut tx, id).await?;
        (store::group::add_user(&mut tx, id, group).await, EventKind::GroupMemberAdded)
    } else {
        (store::group::remove_user(&mut tx, id, group).await, EventKind::GroupMemberRemoved)
    };
    let changed = match done {
        Err(store::Error::Constraint(_)) => return Err(Error::not_found("There is no such group.")),
        other => other?,
    };
    if changed {
        audit::record(&mut tx, by, &Event::new(kind).user(id).detail("group", group.get()))?;
        let what = What::User { id, epoch: account.epoch, active: account.is_active() };
        user::commit_change(app, tx, by.at(), what).await?;
    }
    Ok(changed)
}

/// The groups of a user and what the user may.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_user(app: &App, user: &User) -> Result<Membership> {
    let mut tx = app.db.read().await?;
    let groups = store::group::groups_of(&mut tx, user.id, user.id).await?;
    let granted = store::group::granted(&mut tx, user.id).await?;
    Ok(Membership {
        groups: groups.into_iter().map(|(_, group)| group).collect(),
        permissions: Permissions::of(user, granted),
    })
}
