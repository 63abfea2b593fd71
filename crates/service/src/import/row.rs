//! A row that meets something that is here already: which of the two wins.

use std::collections::BTreeSet;

use domain::audit::{Event, EventKind};
use domain::group::{GroupId, PermissionId};
use domain::time::Timestamp;
use domain::user::UserId;
use store::Tx;
use store::change::{self, Change, What};
use store::imported_user::{self, Memory};
use store::user::{Credentials, NewUser};

use super::{ImportedUser, RowOutcome, add_memberships, new_user, our_digest};
use crate::audit::{self, By};
use crate::error::{Error, Result};

pub(super) async fn apply(
    tx: &mut Tx,
    now: Timestamp,
    source: &str,
    row: &ImportedUser,
    changes: &mut Vec<Change>,
) -> Result<RowOutcome> {
    let Some(id) = row.id else { return apply_by_name(tx, now, source, row, changes).await };
    let memory = imported_user::find(tx, source, id).await?;
    let current = imported_user::lock_credentials(tx, id).await?;
    let current = match (memory, current) {
        (Some(_), None) => return Ok(RowOutcome::DeletedHere),
        (None, None) if store::user::is_deleted(tx, id).await? => return Ok(RowOutcome::DeletedHere),
        (None, Some(taken)) => {
            return Ok(RowOutcome::IdTaken { username: taken.user.username.as_str().to_owned() });
        }
        (Some(memory), Some(current)) => match judge(tx, row, id, &memory, &current).await? {
            Some(outcome) => return Ok(outcome),
            None => Some(current),
        },
        (None, None) => None,
    };
    if let Some(by) = imported_user::other_with_name(tx, &row.username, id).await? {
        return Ok(RowOutcome::NameTaken { by });
    }
    match current {
        Some(current) => update(tx, now, source, row, id, &current, changes).await,
        None => create(tx, now, source, row).await,
    }
}

/// Without an id of its own a row is the account that it became at an earlier run, as long as that has its name.
async fn apply_by_name(
    tx: &mut Tx,
    now: Timestamp,
    source: &str,
    row: &ImportedUser,
    changes: &mut Vec<Change>,
) -> Result<RowOutcome> {
    let nobody = UserId::new(0);
    let Some(id) = imported_user::other_with_name(tx, &row.username, nobody).await? else {
        return create(tx, now, source, row).await;
    };
    let Some(memory) = imported_user::find(tx, source, id).await? else {
        return Ok(RowOutcome::NameTaken { by: id });
    };
    // The name was found in this transaction; on PostgreSQL another may have deleted the account since.
    let current =
        imported_user::lock_credentials(tx, id).await?.ok_or(Error::from(store::Error::Contention))?;
    match judge(tx, row, id, &memory, &current).await? {
        Some(outcome) => Ok(outcome),
        None => update(tx, now, source, row, id, &current, changes).await,
    }
}

/// What there is to say of an account that came before; nothing when it is to follow the source.
async fn judge(
    tx: &mut Tx,
    row: &ImportedUser,
    id: UserId,
    memory: &Memory,
    current: &Credentials,
) -> Result<Option<RowOutcome>> {
    if memory.source_digest == row.fingerprint {
        return Ok(Some(RowOutcome::Unchanged));
    }
    let changed_here = memory.our_digest != digest(tx, id, current).await?;
    Ok(changed_here.then_some(RowOutcome::Conflict))
}

async fn create(tx: &mut Tx, now: Timestamp, source: &str, row: &ImportedUser) -> Result<RowOutcome> {
    let nobody = row.id.unwrap_or(UserId::new(0));
    let same_key_as = imported_user::other_with_claim(tx, &row.username.key(), nobody).await?;
    let new = new_user(row, same_key_as.is_none(), now);
    let id = match store::user::insert(tx, &new).await {
        // A registration took the name or the id between our look and now: look again.
        Err(store::Error::Conflict) => return Err(store::Error::Contention.into()),
        other => other?,
    };
    add_memberships(tx, id, row).await?;
    remember(tx, source, row, id, &new).await?;
    Ok(RowOutcome::Created { same_key_as })
}

async fn update(
    tx: &mut Tx,
    now: Timestamp,
    source: &str,
    row: &ImportedUser,
    id: UserId,
    current: &Credentials,
    changes: &mut Vec<Change>,
) -> Result<RowOutcome> {
    let same_key_as = imported_user::other_with_claim(tx, &row.username.key(), id).await?;
    let new = NewUser {
        created_at: row.created_at.unwrap_or(current.user.created_at),
        last_login_at: row.last_login_at.max(current.user.last_login_at),
        ..new_user(row, same_key_as.is_none(), now)
    };
    let had = memberships(tx, id).await?;
    store::group::clear_user(tx, id).await?;
    add_memberships(tx, id, row).await?;
    let ends_sessions = ends_sessions(current, &new);
    let updated = imported_user::update_user(tx, id, &new, ends_sessions, now).await;
    let epoch = match updated {
        Err(store::Error::Conflict) => return Err(store::Error::Contention.into()),
        other => other?,
    };
    if let Some(epoch) = epoch {
        let what = What::User { id, epoch, active: row.is_active };
        changes.push(change::append(tx, now, what).await?);
    }
    let has = (distinct(&row.groups), distinct(&row.permissions));
    if let Some(event) = access_changed(source, (current, &had), (&new, &has)) {
        audit::record(tx, &By::operator(now), &event)?;
    }
    remember(tx, source, row, id, &new).await?;
    Ok(RowOutcome::Updated { same_key_as })
}

/// What an account is in, and what it may of its own, ascending.
type Memberships = (Vec<GroupId>, Vec<PermissionId>);

/// What an import has changed of who gets in and how far (LA-01), if anything: only what is another now, and of lists and the address
/// only that.
fn access_changed(
    source: &str,
    (current, had): (&Credentials, &Memberships),
    (new, has): (&NewUser<'_>, &Memberships),
) -> Option<Event> {
    let (was, is_active) = (&current.user, new.disabled_at.is_none());
    let event = Event::new(EventKind::ImportChangedAccess).user(was.id).detail("source", source);
    let changed: Vec<_> = [
        ("password", current.password_hash != new.password.hash, true),
        ("active", was.is_active() != is_active, is_active),
        ("staff", was.is_staff != new.is_staff, new.is_staff),
        ("superuser", was.is_superuser != new.is_superuser, new.is_superuser),
        ("email", was.email != *new.email, true),
        ("groups", had.0 != has.0, true),
        ("permissions", had.1 != has.1, true),
    ]
    .into_iter()
    .filter(|(_, has_changed, _)| *has_changed)
    .collect();
    let is_any = !changed.is_empty();
    is_any.then(|| changed.into_iter().fold(event, |event, (name, _, now)| event.detail(name, now)))
}

/// Sessions outlive a new address or group; they end with what they were opened by, and with what they stand for.
fn ends_sessions(current: &Credentials, new: &NewUser<'_>) -> bool {
    let was = &current.user;
    current.password_hash != new.password.hash
        || was.is_active() != new.disabled_at.is_none()
        || (was.is_staff, was.is_superuser) != (new.is_staff, new.is_superuser)
}

async fn remember(
    tx: &mut Tx,
    source: &str,
    row: &ImportedUser,
    id: UserId,
    new: &NewUser<'_>,
) -> Result<()> {
    let our_digest = our_digest(new, row).to_vec();
    let memory = Memory { source_digest: row.fingerprint.to_vec(), our_digest };
    Ok(imported_user::save(tx, source, id, &memory).await?)
}

/// Ascending, each once.
fn distinct<T: Copy + Ord>(ids: &[T]) -> Vec<T> {
    ids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect()
}

async fn memberships(tx: &mut Tx, id: UserId) -> Result<Memberships> {
    let groups = store::group::groups_of(tx, id, id).await?.into_iter().map(|(_, group)| group.id).collect();
    let permissions = store::group::permissions_of(tx, id, id).await?;
    Ok((groups, permissions.into_iter().map(|(_, permission, _)| permission).collect()))
}

async fn digest(tx: &mut Tx, id: UserId, stored: &Credentials) -> Result<Vec<u8>> {
    let (groups, permissions) = memberships(tx, id).await?;
    let text = imported_user::fingerprint_text(stored, &groups, &permissions);
    Ok(crypto::keyed::sha256(text.as_bytes()).to_vec())
}
