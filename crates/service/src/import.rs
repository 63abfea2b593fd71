//! Taking in the users of another system: repeatable, batch by batch, while that system is still in use.
//!
//! A batch is one transaction. Most of its rows are new, or are known and unchanged: both are told by two lookups for the
//! whole batch, and new ones are stored by as few statements as the engine allows. Whatever meets something that is here
//! already is looked at alone (`import/row.rs`). How large a batch is follows from how long the last one took (`import/pace.rs`).

mod group;
mod pace;
mod row;
mod token;

use domain::audit::{Event, EventKind};
use domain::group::{GroupId, PermissionId};
use domain::time::Timestamp;
use domain::user::{EmailAddress, NameKey, UserId, Username};
use store::change::Change;
use store::imported_user::{self, Fresh};
use store::user::{NewPassword, NewUser};
use store::{Dialect, Tx};

use crate::audit::{self, By};
use crate::error::Result;
use crate::{App, retry};
pub use group::{
    GroupOutcome, Groups, ImportedGroup, ImportedPermission, apply_groups, group_named, permission_named,
};
pub use pace::Pace;
pub use store::{Error as StoreError, Foreign, PostgresOptions, Row};
pub use token::{RefusedToken, refuse_tokens};

/// One row of another system's user table, already read and checked by the importer.
#[derive(Clone, Debug)]
pub struct ImportedUser {
    /// The id there, kept here; without one the account is found by its exact name, or gets the next id.
    pub id: Option<UserId>,
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
    /// What `crypto::password::scheme_of` says of the hash.
    pub password_scheme: String,
    /// Whether the password is checked as Django trimmed it.
    pub password_trims: bool,
    /// Whether the account may log in.
    pub is_active: bool,
    /// Django's staff flag.
    pub is_staff: bool,
    /// Django's superuser flag.
    pub is_superuser: bool,
    /// When the account was made, if that is known.
    pub created_at: Option<Timestamp>,
    /// The last login there.
    pub last_login_at: Option<Timestamp>,
    /// The groups of the user, by their ids here.
    pub groups: Vec<GroupId>,
    /// The permissions that the user has of his own, by their ids here.
    pub permissions: Vec<PermissionId>,
    /// SHA-256 of the source row without its last login: tells whether the source has changed since the last run.
    pub fingerprint: [u8; 32],
}

/// A row with all that can be worked out without the database: on the thread that reads, while another writes.
#[derive(Clone, Debug)]
pub struct Ready {
    user: ImportedUser,
    key: NameKey,
    /// What is remembered of the account once it is stored.
    our_digest: [u8; 32],
}

impl Ready {
    /// Works it out.
    #[must_use]
    pub fn new(user: ImportedUser) -> Self {
        // No time is part of the digest.
        let our_digest = our_digest(&new_user(&user, true, Timestamp::from_micros(0)), &user);
        Self { key: user.username.key(), our_digest, user }
    }

    /// The row.
    #[must_use]
    pub fn user(&self) -> &ImportedUser {
        &self.user
    }
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

/// Gets the database ready for an import, and says how many rows a batch should have.
///
/// # Errors
/// When the database cannot be used.
pub async fn prepare(app: &App) -> Result<Pace> {
    app.db.prepare_for_bulk().await?;
    Ok(match app.db.dialect() {
        // The more rows, the more of them share a page of an index, which is then written once.
        Dialect::Sqlite => Pace::up_to(50_000),
        // A statement may take five seconds, also on a server that is busy.
        Dialect::Postgres => Pace::up_to(5_000),
    })
}

/// Takes in one batch in one transaction; a dry run answers the same and writes nothing. No id may occur twice in it.
///
/// # Errors
/// When the database cannot be written; nothing of the batch is stored then.
pub async fn apply_batch(app: &App, source: &str, rows: &[Ready], dry_run: bool) -> Result<Vec<RowOutcome>> {
    let highest = rows.iter().filter_map(|row| row.user.id).max();
    if let Some(highest) = highest.filter(|_| !dry_run && app.db.dialect() == Dialect::Postgres) {
        // Ids given here do not move the sequence on: a registration meanwhile must not be issued one of them.
        reserve_ids(app, highest.get()).await?;
    }
    let mut turn = 0;
    loop {
        let done = try_to_apply(app, source, rows, dry_run).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_apply(app: &App, source: &str, rows: &[Ready], dry_run: bool) -> Result<Vec<RowOutcome>> {
    let mut changes: Vec<Change> = Vec::new();
    let mut tx = app.db.begin_bulk().await?;
    let now = app.clock.now(); // of the batch: an import takes long
    let mut outcomes = sort_out(&mut tx, source, rows).await?;
    store_new(&mut tx, now, source, rows, &mut outcomes).await?;
    let mut answers = Vec::with_capacity(rows.len());
    for (row, standing) in rows.iter().zip(outcomes) {
        answers.push(match standing {
            Standing::Done(outcome) => outcome,
            Standing::New | Standing::Met => {
                row::apply(&mut tx, now, source, &row.user, &mut changes).await?
            }
        });
    }
    if !dry_run {
        if let Some(event) = summary(source, &answers) {
            audit::record(&mut tx, &By::operator(now), &event)?;
        }
        tx.commit().await?;
        changes.iter().for_each(|change| app.feed.apply(change, now));
    }
    Ok(answers)
}

/// How a row of a batch stands while the batch is worked on.
enum Standing {
    /// Neither its id nor a memory of it is here.
    New,
    /// It meets something: to be looked at alone.
    Met,
    /// Nothing more to do.
    Done(RowOutcome),
}

async fn sort_out(tx: &mut Tx, source: &str, rows: &[Ready]) -> Result<Vec<Standing>> {
    let ids: Vec<i64> = rows.iter().filter_map(|row| row.user.id).map(UserId::get).collect();
    let present = imported_user::present(tx, source, &ids).await?;
    let standing = |row: &ImportedUser| {
        let Some(id) = row.id.map(UserId::get) else { return Standing::Met };
        match (present.known.get(&id), present.taken.get(&id)) {
            (None, None) => Standing::New,
            (Some(digest), Some(true)) if *digest == row.fingerprint => Standing::Done(RowOutcome::Unchanged),
            _ => Standing::Met,
        }
    };
    Ok(rows.iter().map(|row| standing(&row.user)).collect())
}

/// Stores the new rows together. Those whose name is taken, wholly or but for its case, stay for a look at each.
async fn store_new(
    tx: &mut Tx,
    now: Timestamp,
    source: &str,
    rows: &[Ready],
    standings: &mut [Standing],
) -> Result<()> {
    let places: Vec<usize> =
        (0..rows.len()).filter(|place| matches!(standings[*place], Standing::New)).collect();
    let fresh: Vec<Fresh<'_>> = places.iter().map(|place| fresh(&rows[*place], now)).collect();
    let stored = imported_user::insert_fresh(tx, source, &fresh).await?;
    for (place, stored) in places.into_iter().zip(stored) {
        let row = &rows[place].user;
        if let (true, Some(id)) = (stored, row.id) {
            add_memberships(tx, id, row).await?;
            standings[place] = Standing::Done(RowOutcome::Created { same_key_as: None });
        }
    }
    Ok(())
}

fn fresh(row: &Ready, now: Timestamp) -> Fresh<'_> {
    let Ready { user, key, our_digest } = row;
    Fresh { user: new_user(user, true, now), key, source_digest: user.fingerprint, our_digest: *our_digest }
}

/// What is remembered of an account that is stored so.
fn our_digest(new: &NewUser<'_>, row: &ImportedUser) -> [u8; 32] {
    let text = imported_user::fingerprint_of_new(new, &row.groups, &row.permissions);
    crypto::keyed::sha256(text.as_bytes())
}

fn new_user(row: &ImportedUser, claims_key: bool, now: Timestamp) -> NewUser<'_> {
    NewUser {
        id: row.id,
        username: &row.username,
        claims_key,
        email: &row.email,
        first_name: &row.first_name,
        last_name: &row.last_name,
        password: NewPassword {
            hash: &row.password_hash,
            scheme: &row.password_scheme,
            trims: row.password_trims,
        },
        is_staff: row.is_staff,
        is_superuser: row.is_superuser,
        created_at: row.created_at.unwrap_or(now),
        last_login_at: row.last_login_at,
        disabled_at: (!row.is_active).then_some(now),
    }
}

async fn add_memberships(tx: &mut Tx, id: UserId, row: &ImportedUser) -> Result<()> {
    for group in &row.groups {
        store::group::add_user(tx, id, *group).await?;
    }
    for permission in &row.permissions {
        store::group::grant_user(tx, id, *permission).await?;
    }
    Ok(())
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
