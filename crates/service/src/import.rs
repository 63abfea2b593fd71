//! Taking in the users of another system: repeatable, batch by batch, while that system is still in use.
//!
//! Most rows of a chunk are new, or are known and unchanged: both are told by two lookups for the whole chunk, and new ones are
//! stored by as few statements as the engine allows. Whatever meets something that is here already is looked at alone
//! (`import/row.rs`). How many rows a transaction has follows from how long the last one took (`import/pace.rs`).

mod group;
mod pace;
mod row;
mod token;

use std::time::Duration;

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
use pace::Pace;
pub use store::{Error as StoreError, Foreign, PostgresOptions, Row};
pub use token::{RefusedToken, refuse_tokens};

/// Rows of a chunk where many share a transaction: enough to look them up together, few enough to be in the processor's cache.
const CHUNK: usize = 2_000;

/// How long others may begin to write between two transactions.
const GAP: Duration = Duration::from_millis(5);

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

/// An import under way. Rows come in chunks, of which many share a transaction on SQLite: a page that several of them change is
/// then written once, and no more than a chunk of rows is held in memory. On PostgreSQL each chunk is a transaction of its own.
pub struct Import<'a> {
    app: &'a App,
    source: &'a str,
    dry_run: bool,
    pace: Pace,
    /// What has been done and not been committed yet.
    open: Option<Open>,
    /// What `Tx::others_version` said last.
    others: Option<i64>,
}

impl<'a> Import<'a> {
    /// Gets the database ready for it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn begin(app: &'a App, source: &'a str, dry_run: bool) -> Result<Self> {
        app.db.prepare_for_bulk().await?;
        let pace = match app.db.dialect() {
            Dialect::Sqlite => Pace::up_to(200_000),
            // A statement may take five seconds, also on a server that is busy.
            Dialect::Postgres => Pace::up_to(5_000),
        };
        Ok(Self { app, source, dry_run, pace, open: None, others: None })
    }

    /// How many rows the next chunk should have.
    #[must_use]
    pub fn chunk(&self) -> usize {
        match self.app.db.dialect() {
            Dialect::Sqlite => CHUNK.min(self.pace.rows()),
            Dialect::Postgres => self.pace.rows(),
        }
    }

    /// Whether all that was taken in is stored for good.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.open.is_none()
    }

    /// Takes in a chunk. No id may occur twice in it.
    ///
    /// # Errors
    /// When the database cannot be written; what was not committed before is not stored then, and the import is over.
    pub async fn apply(&mut self, rows: &[Ready]) -> Result<Vec<RowOutcome>> {
        if self.dry_run || self.app.db.dialect() == Dialect::Postgres {
            let began = self.app.clock.now();
            let outcomes = apply_batch(self.app, self.source, rows, self.dry_run).await?;
            self.pace.note(rows.len(), began, self.app.clock.now());
            return Ok(outcomes);
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open().await?,
        };
        let outcomes = open.apply(self.source, rows).await?;
        let is_full = self.pace.is_enough(open.rows, open.now, self.app.clock.now());
        self.open = Some(open);
        if is_full {
            self.commit().await?;
        }
        Ok(outcomes)
    }

    /// Stores for good what was taken in.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn commit(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let (rows, began) = (open.rows, open.now);
        open.commit(self.app, self.source).await?;
        self.pace.note(rows, began, self.app.clock.now());
        // A writer in another process, which tries about once a millisecond, gets its turn.
        tokio::time::sleep(GAP).await;
        Ok(())
    }

    async fn open(&mut self) -> Result<Open> {
        let mut open = Open::begin(self.app).await?;
        let others = open.tx.others_version().await?;
        if self.others.is_some_and(|before| Some(before) != others) {
            self.pace.share();
        }
        self.others = others;
        Ok(open)
    }
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
    let mut open = Open::begin(app).await?;
    let outcomes = open.apply(source, rows).await?;
    if !dry_run {
        open.commit(app, source).await?;
    }
    Ok(outcomes)
}

/// A transaction of an import, and what is told of it once it is committed. Dropped, it leaves nothing.
struct Open {
    tx: Tx,
    /// When it began: an import takes long.
    now: Timestamp,
    rows: usize,
    created: usize,
    updated: usize,
    changes: Vec<Change>,
}

impl Open {
    async fn begin(app: &App) -> Result<Self> {
        let tx = app.db.begin_bulk().await?;
        Ok(Self { tx, now: app.clock.now(), rows: 0, created: 0, updated: 0, changes: Vec::new() })
    }

    async fn apply(&mut self, source: &str, rows: &[Ready]) -> Result<Vec<RowOutcome>> {
        let Self { tx, now, changes, .. } = self;
        let mut standings = sort_out(tx, source, rows).await?;
        store_new(tx, *now, source, rows, &mut standings).await?;
        let mut outcomes = Vec::with_capacity(rows.len());
        for (row, standing) in rows.iter().zip(standings) {
            outcomes.push(match standing {
                Standing::Done(outcome) => outcome,
                Standing::New | Standing::Met => row::apply(tx, *now, source, &row.user, changes).await?,
            });
        }
        let count = |is: fn(&RowOutcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
        self.created += count(|outcome| matches!(outcome, RowOutcome::Created { .. }));
        self.updated += count(|outcome| matches!(outcome, RowOutcome::Updated { .. }));
        self.rows += rows.len();
        Ok(outcomes)
    }

    async fn commit(mut self, app: &App, source: &str) -> Result<()> {
        if self.created + self.updated > 0 {
            let event = Event::new(EventKind::ImportApplied).detail("source", source);
            let event = event.detail("created", self.created).detail("updated", self.updated);
            audit::record(&mut self.tx, &By::operator(self.now), &event)?;
        }
        self.tx.commit().await?;
        self.changes.iter().for_each(|change| app.feed.apply(change, self.now));
        Ok(())
    }
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

/// Makes the next id that is issued here greater than `at_least`.
///
/// # Errors
/// When the database cannot be written.
pub async fn reserve_ids(app: &App, at_least: i64) -> Result<()> {
    let mut tx = app.db.begin().await?;
    imported_user::reserve_ids(&mut tx, at_least).await?;
    Ok(tx.commit().await?)
}
