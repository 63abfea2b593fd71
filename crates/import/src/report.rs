//! What came of an import. Every row of the source is counted once; rows that were not taken over as they stand are named.

use std::collections::BTreeMap;

use serde::Serialize;

/// The result of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Nothing was written: this is what a run would do.
    pub dry_run: bool,
    /// Rows in the source.
    pub read: u64,
    /// Accounts that are new here.
    pub created: u64,
    /// Accounts that had changed in the source only, and follow it now.
    pub updated: u64,
    /// Rows that had not changed in the source since the last run.
    pub unchanged: u64,
    /// Rows that were not taken over; each has a note.
    pub skipped: u64,
    /// How the passwords of the rows that were read are hashed.
    pub password_schemes: BTreeMap<String, u64>,
    /// Ids up to this one will not be issued to new accounts.
    pub ids_reserved_to: i64,
    /// What needs a person's eye, in the order of the source.
    pub notes: Vec<Note>,
}

/// Something about one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The row's id in the source.
    pub id: i64,
    /// Its name there, as far as it could be read.
    pub username: String,
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
}

impl NoteKind {
    /// Whether the row was left out.
    #[must_use]
    pub fn is_skipped(self) -> bool {
        matches!(self, Self::Unusable | Self::IdTaken | Self::NameTaken | Self::Conflict | Self::DeletedHere)
    }
}

impl Report {
    /// Adds a note; counts the row as skipped if that is what the note says.
    pub fn note(&mut self, id: i64, username: &str, kind: NoteKind, text: impl Into<String>) {
        if kind.is_skipped() {
            self.skipped += 1;
        }
        self.notes.push(Note { id, username: username.to_owned(), kind, text: text.into() });
    }
}
