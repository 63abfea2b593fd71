//! Taking in the users of another system: repeatable, batch by batch, while that system is still in use.

use domain::audit::{Event, EventKind};
use domain::time::Timestamp;
use domain::user::{EmailAddress, UserId, Username};
use store::change::{self, What};
use store::imported_user::{self, Memory};
use store::user::{Credentials, NewPassword, NewUser};
use store::{Dialect, Tx};

use crate::audit::{self, By};
use crate::error::Result;
use crate::{App, retry};

/// One row of another system's user table, already read and checked by the importer.
#[derive(Clone, Debug)]
pub struct ImportedUser {
    /// The id there, kept here.
    pub id: UserId,
    /// The name as it is there.
    pub username: Username,
    /// The address.
    pub email: EmailAddress,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// The hash as it is there; a format that is not known never verifies.
    pub password_hash: String,
    /// Whether the account may log in.
    pub is_active: bool,
    /// Django's staff flag.
    pub is_staff: bool,
    /// Django's superuser flag.
    pub is_superuser: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// The last login there.
    pub last_login_at: Option<Timestamp>,
    /// SHA-256 of the source row without its last login: tells whether the source has changed since the last run.
    pub fingerprint: [u8; 32],
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// Stored. `same_key_as`: another account's name differs by case alone; each is found by its exact name.
    Created {
        /// The other account.
        same_key_as: Option<UserId>,
    },
    /// Overwritten: only the source had changed.
    Updated {
        /// The other account.
        same_key_as: Option<UserId>,
    },
    /// As it was at the last run.
    Unchanged,
    /// Changed on both sides; ours was kept.
    Conflict,
    /// The account was deleted here and stays so.
    DeletedHere,
    /// The id belongs to an account that was not imported from there.
    IdTaken {
        /// Its name.
        username: String,
    },
    /// The name belongs to another account.
    NameTaken {
        /// That account.
        by: UserId,
    },
}

/// Takes in one batch in one transaction; a dry run answers the same and writes nothing.
///
/// # Errors
/// When the database cannot be written; nothing of the batch is stored then.
pub async fn apply_batch(
    app: &App,
    source: &str,
    rows: &[ImportedUser],
    dry_run: bool,
) -> Result<Vec<RowOutcome>> {
    let highest = rows.iter().map(|row| row.id.get()).max();
    if let Some(highest) = highest.filter(|_| !dry_run && app.db.dialect() == Dialect::Postgres) {
        // Ids given here do not move the sequence on: a registration meanwhile must not be issued one of them.
        reserve_ids(app, highest).await?;
    }
    let mut turn = 0;
    loop {
        let done = try_to_apply(app, source, rows, dry_run).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_apply(
    app: &App,
    source: &str,
    rows: &[ImportedUser],
    dry_run: bool,
) -> Result<Vec<RowOutcome>> {
    let mut changes = Vec::new();
    let mut outcomes = Vec::with_capacity(rows.len());
    let mut tx = app.db.begin().await?;
    let now = app.clock.now(); // of the batch: an import takes long
    for row in rows {
        let scheme = crypto::password::scheme_of(&row.password_hash);
        outcomes.push(apply(&mut tx, now, source, row, &scheme, &mut changes).await?);
    }
    if !dry_run {
        if let Some(event) = summary(source, &outcomes) {
            audit::record(&mut tx, &By::operator(now), &event)?;
        }
        tx.commit().await?;
        changes.iter().for_each(|change| app.feed.apply(change, now));
    }
    Ok(outcomes)
}

/// What a batch has changed, if anything.
fn summary(source: &str, outcomes: &[RowOutcome]) -> Option<Event> {
    let count = |is: fn(&RowOutcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
    let created = count(|outcome| matches!(outcome, RowOutcome::Created { .. }));
    let updated = count(|outcome| matches!(outcome, RowOutcome::Updated { .. }));
    let event = Event::new(EventKind::ImportApplied).detail("source", source);
    (created + updated > 0).then(|| event.detail("created", created).detail("updated", updated))
}

/// Makes the next id that is issued here greater than `at_least`.
///
/// # Errors
/// When the database cannot be written.
pub async fn reserve_ids(app: &App, at_least: i64) -> Result<()> {
    let mut tx = app.db.begin().await?;
    imported_user::reserve_ids(&mut tx, at_least).await?;
    Ok(tx.commit().await?)
}

async fn apply(
    tx: &mut Tx,
    now: Timestamp,
    source: &str,
    row: &ImportedUser,
    scheme: &str,
    changes: &mut Vec<change::Change>,
) -> Result<RowOutcome> {
    let memory = imported_user::find(tx, source, row.id).await?;
    let current = imported_user::lock_credentials(tx, row.id).await?;
    match (&memory, &current) {
        (Some(_), None) => return Ok(RowOutcome::DeletedHere),
        (None, None) if store::user::is_deleted(tx, row.id).await? => return Ok(RowOutcome::DeletedHere),
        (None, Some(taken)) => {
            return Ok(RowOutcome::IdTaken { username: taken.user.username.as_str().to_owned() });
        }
        (Some(memory), Some(_)) if memory.source_digest == row.fingerprint => {
            return Ok(RowOutcome::Unchanged);
        }
        (Some(memory), Some(current)) if memory.our_digest != digest(current) => {
            return Ok(RowOutcome::Conflict);
        }
        _ => {}
    }
    if let Some(by) = imported_user::other_with_name(tx, row.username.as_str(), row.id).await? {
        return Ok(RowOutcome::NameTaken { by });
    }
    let key = row.username.key();
    let same_key_as = imported_user::other_with_claim(tx, key.as_str(), row.id).await?;
    let new = new_user(row, scheme, same_key_as.is_none(), now, current.as_ref());
    let outcome = if current.is_some() {
        if let Some(epoch) = imported_user::update_user(tx, row.id, &new, now).await? {
            let what = What::User { id: row.id, epoch, active: row.is_active };
            changes.push(change::append(tx, now, what).await?);
        }
        RowOutcome::Updated { same_key_as }
    } else {
        store::user::insert(tx, &new).await?;
        RowOutcome::Created { same_key_as }
    };
    remember(tx, source, row).await?;
    Ok(outcome)
}

fn new_user<'a>(
    row: &'a ImportedUser,
    scheme: &'a str,
    claims_key: bool,
    now: Timestamp,
    current: Option<&Credentials>,
) -> NewUser<'a> {
    let last_login_here = current.and_then(|current| current.user.last_login_at);
    NewUser {
        id: Some(row.id),
        username: &row.username,
        claims_key,
        email: &row.email,
        first_name: &row.first_name,
        last_name: &row.last_name,
        password: NewPassword { hash: &row.password_hash, scheme, trims: true },
        is_staff: row.is_staff,
        is_superuser: row.is_superuser,
        created_at: row.created_at,
        last_login_at: row.last_login_at.max(last_login_here),
        disabled_at: (!row.is_active).then_some(now),
    }
}

async fn remember(tx: &mut Tx, source: &str, row: &ImportedUser) -> Result<()> {
    let stored = imported_user::find_credentials(tx, row.id).await?;
    let our_digest = stored.as_ref().map(digest).unwrap_or_default();
    let memory = Memory { source_digest: row.fingerprint.to_vec(), our_digest };
    Ok(imported_user::save(tx, source, row.id, &memory).await?)
}

fn digest(stored: &Credentials) -> Vec<u8> {
    crypto::keyed::sha256(imported_user::fingerprint_text(stored).as_bytes()).to_vec()
}
