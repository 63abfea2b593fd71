//! Users in files: CSV and JSON Lines, in and out, with the same members.
//!
//! What comes in is repeatable like every import: an account that came before is found by its id or, without one, by its exact
//! name. What goes out comes in elsewhere as it was: accounts, hashes, who is in which group.

mod cell;
mod reader;
mod record;
mod writer;

use std::fs::File;
use std::io::Read;

use domain::user::UserId;
use service::App;
use service::import::{ImportedUser, Ready, apply_batch, reserve_ids};
use tokio::sync::mpsc;

use crate::report::{Note, NoteKind, Recorder, Report};
use crate::seen::Seen;
use crate::tally::{Origin, record};
use crate::{Error, Progress};
use reader::Reader;
use record::{Checked, Members};
pub use writer::export;

/// The name under which the store remembers what came from here.
const NAME: &str = "file";
/// Rows a transaction.
const BATCH: usize = 2_000;
/// Batches that are read ahead.
const AHEAD: usize = 2;

/// How users are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with a line of column names.
    Csv,
    /// A JSON object on each line.
    JsonLines,
}

/// What to import and how.
pub struct ImportOptions {
    /// The text.
    pub input: Box<dyn Read + Send>,
    /// Its form.
    pub format: Format,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Where to write all notes, one a line.
    pub notes: Option<File>,
}

/// Brings the users of a file over.
///
/// # Errors
/// When the file cannot be understood, or a database fails; batches committed before stay.
pub async fn import(
    app: &App,
    options: ImportOptions,
    mut progress: impl FnMut(Progress),
) -> Result<Report, Error> {
    let ImportOptions { input, format, dry_run, notes } = options;
    let mut recorder = Recorder::new(dry_run, notes);
    let mut seen = Seen::new()?;
    let mut members = Members::default();
    let mut highest = 0;
    let (send, mut receive) = mpsc::channel(AHEAD);
    let reader = tokio::task::spawn_blocking(move || read(input, format, &send));
    while let Some(batch) = receive.recv().await {
        recorder.report.read += batch.read;
        batch.notes.into_iter().for_each(|note| recorder.note(note));
        let mut users = Vec::with_capacity(batch.users.len());
        for (row, checked) in batch.users {
            users.push((row, members.resolve(app, checked, dry_run, &mut recorder.report).await?));
        }
        highest = highest.max(store(app, users, &mut seen, &mut recorder).await?);
        progress(Progress { done: recorder.report.read, total: None });
    }
    reader.await.map_err(Error::read)??;
    recorder.report.ids_reserved_to = highest;
    if !dry_run {
        reserve_ids(app, highest).await?;
    }
    recorder.finish()
}

/// Stores rows; answers the highest id.
async fn store(
    app: &App,
    rows: Vec<(u64, ImportedUser)>,
    seen: &mut Seen,
    recorder: &mut Recorder,
) -> Result<i64, Error> {
    let dry_run = recorder.report.dry_run;
    let mut highest = 0;
    let (numbers, users) = without_doubles(rows, seen, recorder)?;
    let outcomes = apply_batch(app, NAME, &users, dry_run).await?;
    for ((row, user), mut outcome) in numbers.into_iter().zip(users.iter().map(Ready::user)).zip(outcomes) {
        let id = user.id.map(UserId::get);
        highest = highest.max(id.unwrap_or(0));
        recorder.count_scheme(&user.password_scheme);
        if dry_run {
            seen.correct(user, -i64::try_from(row).unwrap_or(i64::MAX), &mut outcome)?;
        }
        record(recorder, Origin { id, row: Some(row) }, user, outcome);
    }
    Ok(highest)
}

/// Leaves out rows whose id or name an earlier row of the file has: they would overwrite each other at every run.
fn without_doubles(
    rows: Vec<(u64, ImportedUser)>,
    seen: &mut Seen,
    recorder: &mut Recorder,
) -> Result<(Vec<u64>, Vec<Ready>), Error> {
    let mut kept = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for (row, user) in rows {
        let id = user.id.map(UserId::get);
        let by_id = id.map(|id| seen.first(&format!("id {id}"), row)).transpose()?.flatten();
        let by_name = seen.first(&format!("name {}", user.username), row)?;
        let (what, kind, first) = match (by_id, by_name) {
            (Some(first), _) => ("id", NoteKind::IdTaken, first),
            (None, Some(first)) => ("name", NoteKind::NameTaken, first),
            (None, None) => {
                kept.0.push(row);
                kept.1.push(Ready::new(user));
                continue;
            }
        };
        let said = format!("its {what} stands in row {first} already");
        recorder.note(Origin { id, row: Some(row) }.note(user.username.as_str(), kind, said));
    }
    Ok(kept)
}

/// Rows that have been read and checked.
#[derive(Default)]
struct Batch {
    read: u64,
    users: Vec<(u64, Checked)>,
    notes: Vec<Note>,
}

/// Reads all rows to their end, or until nobody takes them any more.
fn read(input: Box<dyn Read + Send>, format: Format, send: &mpsc::Sender<Batch>) -> Result<(), Error> {
    let mut reader = Reader::new(input, format)?;
    let mut batch = Batch::default();
    while let Some(found) = reader.next()? {
        let row = reader.row();
        batch.read += 1;
        match found.and_then(|record| Ok((record.shown_name(), record.id, record.check()?))) {
            Ok((name, id, (checked, remarks))) => {
                let origin = Origin { id, row: Some(row) };
                batch.notes.extend(remarks.into_iter().map(|(kind, text)| origin.note(&name, kind, text)));
                batch.users.push((row, checked));
            }
            Err(reason) => {
                batch.notes.push(Origin { id: None, row: Some(row) }.note("", NoteKind::Unusable, reason))
            }
        }
        if batch.read >= BATCH as u64 && send.blocking_send(std::mem::take(&mut batch)).is_err() {
            return Ok(());
        }
    }
    // Nobody there to take it is as good as the end.
    _ = send.blocking_send(batch);
    Ok(())
}
