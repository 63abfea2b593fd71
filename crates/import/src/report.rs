//! What came of an import. Every row of the source is counted once; rows that were not taken over as they stand are named.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};

use serde::Serialize;

use crate::Error;

/// So many notes are kept in a report; all of them go to a file where one is asked for.
pub const MOST_NOTES: usize = 1_000;

/// The result of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Nothing was written: this is what a run would do.
    pub dry_run: bool,
    /// Rows in the source: users.
    pub read: u64,
    /// Accounts that are new here.
    pub created: u64,
    /// Accounts that had changed in the source only, and follow it now.
    pub updated: u64,
    /// Rows that had not changed in the source since the last run.
    pub unchanged: u64,
    /// Rows that were not taken over; each has a note.
    pub skipped: u64,
    /// Groups.
    pub groups: Counts,
    /// Permissions.
    pub permissions: Counts,
    /// Refresh tokens that the source had refused; those that have expired are skipped.
    pub refused_tokens: Counts,
    /// How the passwords of the rows that were read are hashed.
    pub password_schemes: BTreeMap<String, u64>,
    /// Ids up to this one will not be issued to new accounts.
    pub ids_reserved_to: i64,
    /// What needs a person's eye, in the order of the source: the first [`MOST_NOTES`].
    pub notes: Vec<Note>,
    /// How many notes there are of each kind, also of those that are not in `notes`.
    pub notes_by_kind: BTreeMap<NoteKind, u64>,
}

/// The rows of another table, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows in the source.
    pub read: u64,
    /// New here.
    pub created: u64,
    /// Changed in the source only; they follow it now.
    pub updated: u64,
    /// As they were.
    pub unchanged: u64,
    /// Not taken over.
    pub skipped: u64,
}

/// Something about one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The row's id in the source, where it has one.
    pub id: Option<i64>,
    /// The number of the row in a file; the first row of users is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// Its name there, as far as it could be read.
    pub name: String,
    /// What it is about, for programs.
    pub kind: NoteKind,
    /// The same for people.
    pub text: String,
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Not taken over: the row cannot be read.
    Unusable,
    /// Not taken over: the id belongs to another account here.
    IdTaken,
    /// Not taken over: another account has this name.
    NameTaken,
    /// Not taken over: the account has changed here and there; ours stays.
    Conflict,
    /// Not taken over: the account was deleted here.
    DeletedHere,
    /// Taken over: its name differs from another account's by case or look alone.
    LookAlike,
    /// Taken over under the canonical spelling of its name.
    Renamed,
    /// Taken over, but nobody can log in: its hash is of no known format.
    UnknownHash,
    /// Taken over without the last login, which cannot be read.
    NoLastLogin,
    /// A group or permission that is not taken over, or not as it stands.
    Group,
    /// A refused token that cannot be read.
    Token,
}

impl NoteKind {
    /// Whether the row of a user was left out.
    #[must_use]
    pub fn is_skipped(self) -> bool {
        matches!(self, Self::Unusable | Self::IdTaken | Self::NameTaken | Self::Conflict | Self::DeletedHere)
    }
}

/// A report that is being written: it holds a bounded number of notes, and its file all of them.
#[derive(Debug, Default)]
pub struct Recorder {
    /// What there is to report so far.
    pub report: Report,
    file: Option<BufWriter<File>>,
    failed: Option<std::io::Error>,
}

impl Recorder {
    /// A new one; with a file every note is also written there, as a line of JSON.
    #[must_use]
    pub fn new(dry_run: bool, notes: Option<File>) -> Self {
        let report = Report { dry_run, ..Report::default() };
        Self { report, file: notes.map(BufWriter::new), failed: None }
    }

    /// Adds a note; counts the row as skipped if that is what the note says.
    pub fn note(&mut self, note: Note) {
        let report = &mut self.report;
        if note.kind.is_skipped() {
            report.skipped += 1;
        }
        *report.notes_by_kind.entry(note.kind).or_default() += 1;
        if let Some(file) = &mut self.file {
            let line = serde_json::to_string(&note).unwrap_or_default();
            if let Err(error) = writeln!(file, "{line}") {
                self.failed.get_or_insert(error);
            }
        }
        if report.notes.len() < MOST_NOTES {
            report.notes.push(note);
        }
    }

    /// Counts how the password of a row is hashed.
    pub fn count_scheme(&mut self, scheme: &str) {
        let schemes = &mut self.report.password_schemes;
        match schemes.get_mut(scheme) {
            Some(count) => *count += 1,
            None => _ = schemes.insert(scheme.to_owned(), 1),
        }
    }

    /// The finished report.
    ///
    /// # Errors
    /// [`Error::Write`] when notes could not be written to their file.
    pub fn finish(mut self) -> Result<Report, Error> {
        let failed = |source| Error::Write { what: "the notes", source };
        if let Some(error) = self.failed.take() {
            return Err(failed(error));
        }
        if let Some(mut file) = self.file.take() {
            file.flush().map_err(failed)?;
        }
        self.report.notes.sort_by_key(|note| (note.row, note.id));
        Ok(self.report)
    }
}
