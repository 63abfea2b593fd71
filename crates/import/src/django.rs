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
    /// Where to write all notes, one a line, as rows are looked at: those on the last rows before a failure may be of rows that were
    /// not stored.
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
    /// As many pages as a chunk should have rows of; nothing after the last one. A source that is slow finds nothing open: others
    /// may wait to write, so what was taken in is committed first, and told.
    async fn gather(
        pages: &mut mpsc::Receiver<Self>,
        import: &mut Import<'_>,
        committed: impl FnOnce(),
    ) -> Result<Option<Self>, Error> {
        let mut first = None;
        if !import.is_committed() {
            match timeout(SLOW, pages.recv()).await {
                Ok(page) => first = Some(page),
                Err(_) => {
                    import.commit().await?;
                    committed();
                }
            }
        }
        let first = match first {
            Some(page) => page,
            None => pages.recv().await,
        };
        let Some(mut batch) = first else { return Ok(None) };
        while batch.users.len() < import.chunk() {
            let page = if import.is_committed() { pages.recv().await } else { pages.try_recv().ok() };
            let Some(page) = page else { break };
            batch.read += page.read;
            batch.users.extend(page.users);
            batch.notes.extend(page.notes);
        }
        Ok(Some(batch))
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
    let (mut highest, mut done) = (0, 0);
    let mut tell = |done| progress(Progress { done, total: Some(total) });
    while let Some(batch) = Batch::gather(&mut receive, &mut import, || tell(done)).await? {
        let Batch { read, users, notes } = batch;
        done += read;
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
            tell(done);
        }
    }
    if !import.is_committed() {
        import.commit().await?;
        tell(done);
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
