//! Taking in groups and permissions, before the users who have them.

use std::collections::HashMap;

use domain::group::{Group, GroupId, GroupName, PermissionId};
use store::Tx;
use store::imported_group;
use store::imported_user::Memory;

use crate::error::Result;
use crate::{App, retry};

/// A permission of another system.
#[derive(Clone, Debug)]
pub struct ImportedPermission {
    /// Its id there.
    pub id: i64,
    /// Its name for programs, with its application: `catalog.add_book`.
    pub codename: String,
    /// Its name for people.
    pub name: String,
}

/// A group of another system.
#[derive(Clone, Debug)]
pub struct ImportedGroup {
    /// Its id there.
    pub id: i64,
    /// Its name.
    pub name: GroupName,
    /// The ids there of its permissions, ascending.
    pub permissions: Vec<i64>,
}

/// What became of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupOutcome {
    /// Stored.
    Created,
    /// Overwritten: only the source had changed.
    Updated,
    /// As it was at the last run.
    Unchanged,
    /// A group of this name was here before: its members come into it, its permissions stay as they are here.
    Merged,
    /// Changed on both sides; ours was kept.
    Conflict,
    /// It was deleted here and stays so; its members come without it.
    DeletedHere,
    /// Renamed in the source to a name that another group has here; ours was kept.
    NameTaken,
}

/// What groups and permissions of another system are here.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// By id there; one that was deleted here has none.
    pub groups: HashMap<i64, Option<GroupId>>,
    /// By id there.
    pub permissions: HashMap<i64, PermissionId>,
    /// What became of each group, in the order given.
    pub outcomes: Vec<GroupOutcome>,
    /// How many permissions are new.
    pub permissions_created: u64,
}

/// Takes in all groups and permissions in one transaction. A dry run answers the same and writes nothing, so that the ids that
/// it answers may not be used.
///
/// # Errors
/// When the database cannot be written; nothing is stored then.
pub async fn apply_groups(
    app: &App,
    source: &str,
    permissions: &[ImportedPermission],
    groups: &[ImportedGroup],
    dry_run: bool,
) -> Result<Groups> {
    let mut turn = 0;
    loop {
        let done = try_to_apply(app, source, permissions, groups, dry_run).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_apply(
    app: &App,
    source: &str,
    permissions: &[ImportedPermission],
    groups: &[ImportedGroup],
    dry_run: bool,
) -> Result<Groups> {
    let mut here = Groups::default();
    let mut tx = app.db.begin().await?;
    for permission in permissions {
        let id = match store::group::find_permission(&mut tx, &permission.codename).await? {
            Some(id) => id,
            None => {
                here.permissions_created += 1;
                let id = Some(PermissionId::new(permission.id));
                store::group::insert_permission(&mut tx, id, &permission.codename, &permission.name).await?
            }
        };
        here.permissions.insert(permission.id, id);
    }
    for group in groups {
        let mut wanted: Vec<PermissionId> =
            group.permissions.iter().filter_map(|id| here.permissions.get(id).copied()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let (id, outcome) = apply(&mut tx, source, group, &wanted).await?;
        here.groups.insert(group.id, id);
        here.outcomes.push(outcome);
    }
    if !dry_run {
        tx.commit().await?;
    }
    Ok(here)
}

async fn apply(
    tx: &mut Tx,
    source: &str,
    group: &ImportedGroup,
    wanted: &[PermissionId],
) -> Result<(Option<GroupId>, GroupOutcome)> {
    let source_digest = digest_there(group);
    let Some((id, memory)) = imported_group::find(tx, source, group.id).await? else {
        return create(tx, source, group, wanted, source_digest).await;
    };
    let Some(current) = store::group::find(tx, id).await? else {
        return Ok((None, GroupOutcome::DeletedHere));
    };
    if memory.source_digest == source_digest {
        return Ok((Some(id), GroupOutcome::Unchanged));
    }
    if memory.our_digest != digest_here(tx, &current).await? {
        return Ok((Some(id), GroupOutcome::Conflict));
    }
    if current.name != group.name {
        if store::group::find_by_name(tx, &group.name).await?.is_some() {
            return Ok((Some(id), GroupOutcome::NameTaken));
        }
        store::group::rename(tx, id, &group.name).await?;
    }
    store::group::set_permissions(tx, id, wanted).await?;
    remember(tx, source, group, id, source_digest).await?;
    Ok((Some(id), GroupOutcome::Updated))
}

async fn create(
    tx: &mut Tx,
    source: &str,
    group: &ImportedGroup,
    wanted: &[PermissionId],
    source_digest: Vec<u8>,
) -> Result<(Option<GroupId>, GroupOutcome)> {
    if let Some(named) = store::group::find_by_name(tx, &group.name).await? {
        remember(tx, source, group, named.id, source_digest).await?;
        return Ok((Some(named.id), GroupOutcome::Merged));
    }
    let wanted_id = GroupId::new(group.id);
    let id = if store::group::find(tx, wanted_id).await?.is_none() {
        store::group::insert_with_id(tx, wanted_id, &group.name).await?;
        wanted_id
    } else {
        let id = store::group::insert(tx, &group.name).await?;
        id.ok_or(store::Error::Contention)?
    };
    store::group::set_permissions(tx, id, wanted).await?;
    remember(tx, source, group, id, source_digest).await?;
    Ok((Some(id), GroupOutcome::Created))
}

async fn remember(
    tx: &mut Tx,
    source: &str,
    group: &ImportedGroup,
    id: GroupId,
    source_digest: Vec<u8>,
) -> Result<()> {
    let Some(stored) = store::group::find(tx, id).await? else { return Ok(()) };
    let our_digest = digest_here(tx, &stored).await?;
    let memory = Memory { source_digest, our_digest };
    Ok(imported_group::save(tx, source, group.id, id, &memory).await?)
}

fn digest_there(group: &ImportedGroup) -> Vec<u8> {
    crypto::keyed::sha256(format!("{:?} {:?}", group.name.as_str(), group.permissions).as_bytes()).to_vec()
}

async fn digest_here(tx: &mut Tx, group: &Group) -> Result<Vec<u8>> {
    let permissions: Vec<i64> =
        store::group::permissions_of_group(tx, group.id).await?.iter().map(|id| id.get()).collect();
    Ok(crypto::keyed::sha256(format!("{:?} {permissions:?}", group.name.as_str()).as_bytes()).to_vec())
}

/// The group of this name, made if it is not there, and whether it was made; a dry run makes none and answers no id then.
///
/// # Errors
/// When the database cannot be written.
pub async fn group_named(app: &App, name: &GroupName, dry_run: bool) -> Result<(Option<GroupId>, bool)> {
    let mut turn = 0;
    loop {
        let done = find_or_make_group(app, name, dry_run).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn find_or_make_group(app: &App, name: &GroupName, dry_run: bool) -> Result<(Option<GroupId>, bool)> {
    let mut tx = app.db.begin().await?;
    if let Some(found) = store::group::find_by_name(&mut tx, name).await? {
        return Ok((Some(found.id), false));
    }
    if dry_run {
        return Ok((None, true));
    }
    let id = store::group::insert(&mut tx, name).await?.ok_or(store::Error::Contention)?;
    tx.commit().await?;
    Ok((Some(id), true))
}

/// The permission of this name, made if it is not there, and whether it was made; a dry run makes none and answers no id then.
///
/// # Errors
/// When the database cannot be written.
pub async fn permission_named(app: &App, name: &str, dry_run: bool) -> Result<(Option<PermissionId>, bool)> {
    let mut turn = 0;
    loop {
        let done = find_or_make_permission(app, name, dry_run).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn find_or_make_permission(
    app: &App,
    name: &str,
    dry_run: bool,
) -> Result<(Option<PermissionId>, bool)> {
    let mut tx = app.db.begin().await?;
    if let Some(id) = store::group::find_permission(&mut tx, name).await? {
        return Ok((Some(id), false));
    }
    if dry_run {
        return Ok((None, true));
    }
    let id = match store::group::insert_permission(&mut tx, None, name, name).await {
        Err(store::Error::Conflict) => return Err(store::Error::Contention.into()),
        other => other?,
    };
    tx.commit().await?;
    Ok((Some(id), true))
}
