//! Moving a living installation from a file to a PostgreSQL server.
//!
//! [`copy`] makes the target equal to the source. It may run any number of times while the service goes on: each run
//! reads one moment of the source, page by page in the order of the keys, compares it with what the target has, and
//! writes only what differs; so a run that was killed costs nothing but the comparing. The last run, with the service
//! stopped, holds the source for itself, does the same, compares both sides by counts and SHA-256, and hands over: the
//! source says where it has moved to before the target says that it is whole, so that at no moment both can be served.
//!
//! # Layout
//! * `source`, `target`: the two sides: locks, marks, pages of rows;
//! * `shape`: the columns and keys of a table, read from the schema, and the SQL that follows from them;
//! * `rows`: a table as a stream; `compare`: the differences of two streams; `digest`: counts and checksums;
//! * `standing`: what a service must know before it uses a database: whether it is here, has moved, or is not whole.
//!
//! # How to add a table
//! Add its name to [`TABLES`], after the tables that it refers to. Its columns and keys are read from the schema. A test
//! compares the list with the schema.

mod compare;
mod digest;
mod rows;
mod shape;
mod source;
mod standing;
mod target;

use std::path::Path;

use domain::time::Timestamp;

use crate::{Error, PostgresOptions, Result};
use rows::Rows;
use shape::Shape;
use source::Source;
pub use standing::{Standing, standing, take_back};
use target::Target;

/// Every table that is copied, those that are referred to first. `schema_migrations` is each side's own.
pub const TABLES: &[&str] = &[
    "users",
    "deleted_users",
    "imported_users",
    "sessions",
    "mails",
    "action_tokens",
    "recovery_requests",
    "status_lists",
    "status_entries",
    "changes",
    "unknown_names",
    "network_rates",
    "login_counts",
    "signing_keys",
    "audit_pending",
    "audit_events",
    "audit_head",
    "audit_checkpoints",
    "audit_erasures",
    "groups",
    "permissions",
    "group_permissions",
    "user_groups",
    "user_permissions",
    "imported_groups",
    "refused_tokens",
    "api_keys",
    "meta",
];

/// Rows that are read, and at most written, at a time; what is held in memory, twice on each side.
const PAGE: usize = 1000;

/// What is copied where.
#[derive(Debug)]
pub struct Order<'a> {
    /// The file.
    pub from: &'a Path,
    /// The server.
    pub to: &'a PostgresOptions,
    /// Whether this is the last run, which hands over.
    pub last: bool,
    /// A random text that names this copy, should it be the first run; later ones go by the name that the source keeps.
    pub id: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// How far a run is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// What is done with the table.
    pub stage: Stage,
    /// The table.
    pub table: &'static str,
    /// Its rows that are done.
    pub done: u64,
    /// All of its rows, when the run began with it.
    pub total: u64,
}

/// What a run does with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is compared, and copied where it differs.
    Copying,
    /// Both sides are read again, counted and digested.
    Verifying,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Report {
    /// Table by table.
    pub tables: Vec<TableReport>,
    /// Whether the installation has moved.
    pub moved: bool,
}

/// What a run did with a table.
#[derive(Clone, Debug)]
pub struct TableReport {
    /// Its name.
    pub name: &'static str,
    /// Its rows, on both sides.
    pub rows: u64,
    /// Rows that the target did not have.
    pub added: u64,
    /// Rows that the target had otherwise.
    pub changed: u64,
    /// Rows that the target had and the source has not.
    pub removed: u64,
    /// SHA-256 over all rows in the order of their keys, the same on both sides; in the last run only.
    pub sha256: Option<String>,
}

/// Who is told how far a run is: after every page.
pub type Watch<'a> = &'a mut dyn FnMut(&Progress);

/// Makes the target equal to the source; with [`Order::last`] it hands over. To be run on a thread of its own: it reads
/// the file inline.
///
/// Killed at any moment it leaves the source as it was, to be used on, and the target refusing to be served until a later
/// run has made it whole.
///
/// # Errors
/// [`Error::Refused`] with the reason when the source's schema is not this program's, the target is not empty and no copy
/// of this source, another run is at work, or, in the last run, somebody has the source open; [`Error::Corrupt`] when the
/// two sides differ in the end: nothing is handed over then; what the engines answer.
pub async fn copy(order: &Order<'_>, watch: Watch<'_>) -> Result<Report> {
    let source = Source::open(order.from, order.last)?;
    let id = source.name_copy(order.id)?;
    let moved_to = source.moved_to()?;
    if moved_to.is_some() && !order.last {
        return Err(Error::Refused("the database has moved already; `copy --final` completes that".into()));
    }
    let target = Target::open(order.to, &id, moved_to, order.now).await?;
    require_same_version(source.version()?, target.version())?;
    source.begin(order.last)?;
    let mut shapes = Vec::new();
    for name in TABLES {
        shapes.push(target.shape(source.columns(name)?).await?);
    }
    let mut tables = Vec::new();
    for shape in &shapes {
        tables.push(compare::level(&source, &target, shape, watch).await?);
    }
    for shape in &shapes {
        target.raise_ids(shape, source.last_id(shape)?).await?;
    }
    if order.last {
        for (shape, report) in shapes.iter().zip(&mut tables) {
            report.sha256 = Some(verify(&source, &target, shape, watch).await?);
        }
        // In this order: whatever happens in between, no moment knows two databases that can be served.
        source.hand_over(&order.to.to_string())?;
        target.take_over(&id).await?;
    }
    Ok(Report { tables, moved: order.last })
}

fn require_same_version(source: i64, target: i64) -> Result<()> {
    if source == target {
        return Ok(());
    }
    let text = format!("the schema of the source is version {source} and that of the target {target}");
    Err(Error::Refused(text.into()))
}

/// Reads a table on both sides again; answers the digest that they share.
async fn verify(source: &Source, target: &Target, shape: &Shape, watch: Watch<'_>) -> Result<String> {
    let total = source.count(shape)?;
    let mut watch = |done| watch(&Progress { stage: Stage::Verifying, table: shape.name, done, total });
    let ours = digest::of(shape, Rows::of_source(source, shape), &mut watch).await?;
    let theirs = digest::of(shape, Rows::of_target(target, shape).await?, &mut |_| {}).await?;
    if ours == theirs {
        return Ok(ours.sha256);
    }
    let text = format!(
        "the two sides of {} differ: {} rows with SHA-256 {} here, {} rows with {} there; nothing was handed over",
        shape.name, ours.rows, ours.sha256, theirs.rows, theirs.sha256
    );
    Err(Error::Corrupt(text.into()))
}
