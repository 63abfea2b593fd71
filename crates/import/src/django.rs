//! The users of a Django service, with their groups and permissions, and SimpleJWT's blacklist, from SQLite or PostgreSQL.
//!
//! Ids, names, addresses, hashes, flags and dates come over as they are. The source is opened for reading only. A file is
//! read in short steps, so the service may go on using it; a server is read in one snapshot. Run the import again to bring what
//! has changed since. What was deleted there since an earlier run is not deleted here.

mod group;
mod postgres;
mod row;
mod source;
mod sqlite;
mod token;

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use service::App;
use service::import::{Groups, Import, Ready, reserve_ids};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::report::{Note, NoteKind, Recorder, Report};
use crate::seen::Seen;
use crate::tally::{Origin, record};
use crate::{Error, Progress};
use row::{Checked, check};
pub use source::Location;
use source::{RawRow, Source};

/// The name under which the store remembers what came from here.
const NAME: &str = "django";
/// Users that are read at once.
const PAGE: usize = 1_000;
/// Pages that are read before they are stored: at most so many rows are in memory beside those that are being stored.
const AHEAD: usize = 16;
/// A source that takes longer for its next rows is slow.
const SLOW: Duration = Duration::from_millis(100);

/// What to import and how.
#[derive(Debug)]
pub struct ImportOptions {
    /// The Django service's database.
    pub from: Location,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Where to write all notes, one a line.
    pub notes: Option<File>,
}

/// Brings everything over.
///
/// # Errors
/// When the source is not what it should be, or a database fails; batches committed before stay.
pub async fn run(
    app: &App,
    options: ImportOptions,
    mut progress: impl FnMut(Progress),
) -> Result<Report, Error> {
    let ImportOptions { from, dry_run, notes } = options;
    let mut recorder = Recorder::new(dry_run, notes);
    let (source, opened) = on_thread(move || Opened::new(&from)).await?;
    // A sequence beyond what may be an id was not made by issuing ids.
    let sequence = Some(opened.last_id).filter(|last| *last <= row::MAX_ID).unwrap_or(0);
    if !dry_run {
        reserve_ids(app, sequence).await?;
    }
    let import = Import::begin(app, NAME, dry_run).await?;
    let groups = Arc::new(group::bring(app, &opened.catalog, dry_run, &mut recorder).await?);
    let (source, highest) = users(import, source, groups, opened.total, &mut recorder, &mut progress).await?;
    token::bring(app, source, dry_run, &mut recorder).await?;
    recorder.report.ids_reserved_to = highest.max(sequence);
    if !dry_run {
        reserve_ids(app, recorder.report.ids_reserved_to).await?;
    }
    recorder.finish()
}

/// What is known of the source before its users are read.
struct Opened {
    total: u64,
    last_id: i64,
    catalog: source::Catalog,
}

impl Opened {
    fn new(from: &Location) -> Result<(Source, Self), Error> {
        let source = Source::open(from)?;
        let opened = Self { total: source.count()?, last_id: source.last_id()?, catalog: source.catalog()? };
        Ok((source, opened))
    }
}

/// A source blocks, so it works on a thread for that.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::read(error)))
}

/// Rows that have been read and checked.
struct Batch {
    read: u64,
    users: Vec<Ready>,
    notes: Vec<Note>,
}

impl Batch {
    /// The next rows: as many pages as are there, and no more than a chunk should have rows of. Nothing after the last one. Nothing is lost
    /// when it is dropped before it is ready.
    async fn gather(pages: &mut mpsc::Receiver<Self>, rows: usize) -> Option<Self> {
        let mut batch = pages.recv().await?;
        while batch.users.len() < rows
            && let Ok(page) = pages.try_recv()
        {
            batch.read += page.read;
            batch.users.extend(page.users);
            batch.notes.extend(page.notes);
        }
        Some(batch)
    }

    /// The same; when the source is slow, what was taken in is committed first, for others may wait to write.
    async fn next(pages: &mut mpsc::Receiver<Self>, import: &mut Import<'_>) -> Result<Option<Self>, Error> {
        match timeout(SLOW, Self::gather(pages, import.chunk())).await {
            Ok(batch) => Ok(batch),
            Err(_) => {
                import.commit().await?;
                Ok(Self::gather(pages, import.chunk()).await)
            }
        }
    }
}

/// Brings the users: read and checked on one thread, stored from this one. Answers the highest id.
async fn users(
    mut import: Import<'_>,
    source: Source,
    groups: Arc<Groups>,
    total: u64,
    recorder: &mut Recorder,
    progress: &mut impl FnMut(Progress),
) -> Result<(Source, i64), Error> {
    let dry_run = recorder.report.dry_run;
    let mut seen = if dry_run { Some(Seen::new()?) } else { None };
    // One chunk is stored while the next are read.
    let (send, mut receive) = mpsc::channel(AHEAD);
    let reader = tokio::task::spawn_blocking(move || read(source, &groups, dry_run, &send));
    let mut highest = 0;
    while let Some(Batch { read, users, notes }) = Batch::next(&mut receive, &mut import).await? {
        recorder.report.read += read;
        notes.into_iter().for_each(|note| recorder.note(note));
        let outcomes = import.apply(&users).await?;
        for (user, mut outcome) in users.iter().map(Ready::user).zip(outcomes) {
            let id = user.id.map_or(0, |id| id.get());
            highest = highest.max(id);
            recorder.count_scheme(&user.password_scheme);
            if let Some(seen) = &mut seen {
                seen.correct(user, id, &mut outcome)?;
            }
            record(recorder, Origin { id: Some(id), row: None }, user, outcome);
        }
        if import.is_committed() {
            progress(Progress { done: recorder.report.read, total: Some(total) });
        }
    }
    if !import.is_committed() {
        import.commit().await?;
        progress(Progress { done: recorder.report.read, total: Some(total) });
    }
    let source = reader.await.map_err(Error::read)??;
    Ok((source, highest))
}

/// Reads all users to their end, or until nobody takes them any more.
fn read(
    mut source: Source,
    groups: &Groups,
    dry_run: bool,
    send: &mpsc::Sender<Batch>,
) -> Result<Source, Error> {
    let mut after = i64::MIN;
    loop {
        let raw = source.rows_after(after, PAGE)?;
        let Some(last) = raw.last() else { return Ok(source) };
        after = last.id;
        if send.blocking_send(checked(raw, groups, dry_run)).is_err() {
            return Ok(source);
        }
    }
}

/// The rows that can be used; the others, and what is odd, become notes.
fn checked(raw: Vec<RawRow>, groups: &Groups, dry_run: bool) -> Batch {
    let mut batch = Batch { read: raw.len() as u64, users: Vec::with_capacity(raw.len()), notes: Vec::new() };
    for row in raw {
        let origin = Origin { id: Some(row.id), row: None };
        match check(&row, groups) {
            Ok(Checked { mut user, remarks }) => {
                for (kind, text) in remarks {
                    batch.notes.push(origin.note(row.shown_name(), kind, text));
                }
                if dry_run {
                    // The groups of a dry run are not there.
                    (user.groups, user.permissions) = (Vec::new(), Vec::new());
                }
                batch.users.push(Ready::new(user));
            }
            Err(reason) => batch.notes.push(origin.note(row.shown_name(), NoteKind::Unusable, reason)),
        }
    }
    batch
}
