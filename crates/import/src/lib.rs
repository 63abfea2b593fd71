//! Other systems' users into ours, and ours out.
//!
//! # Layout
//! * [`django`]: the users, groups, permissions and refused tokens of a Django service: `django/source.rs` is its database on
//!   either engine, `django/row.rs` checks a user, `django/group.rs` brings groups, `django/token.rs` the blacklist;
//! * [`mod@file`]: users in CSV and JSON Lines, in and out: `file/record.rs` is a user as both have it;
//! * [`report`]: what came of it, row by row where something needs a person's eye; `tally` counts users.
//!
//! Which of two versions of an account wins is decided in `service::import`, in the transaction that writes it.
//!
//! # How to add a source
//! A module with a `run` that reads rows in batches, makes `service::import::Ready` users of them, hands them to
//! `service::import::Import` (or, where groups are made on the way, `apply_batch`) under a name of its own, and adds every row that is not taken over as it stands to
//! the [`report::Report`].
#![warn(missing_docs)]

pub mod django;
pub mod file;
mod password;
pub mod report;
mod seen;
mod tally;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why an import stopped. What was committed before stays: running it again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source is not there or cannot be read.
    #[error("{place} cannot be read")]
    Open {
        /// The file or the server.
        place: String,
        /// Why.
        source: Cause,
    },
    /// No database of a Django service with the usual user table.
    #[error("{place} is not the database of a Django service: {reason}")]
    NotDjango {
        /// The file or the server.
        place: String,
        /// What is missing.
        reason: String,
    },
    /// The file cannot be understood as a whole.
    #[error("{0}")]
    Format(String),
    /// Reading failed on the way.
    #[error("reading the source failed")]
    Read(#[source] Cause),
    /// Writing a file failed.
    #[error("writing {what} failed")]
    Write {
        /// What was written.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// Our own database refused.
    #[error("storing the users failed")]
    Store(#[from] service::Error),
}

impl Error {
    fn open(place: impl std::fmt::Display, source: impl Into<Cause>) -> Self {
        Self::Open { place: place.to_string(), source: source.into() }
    }

    fn read(source: impl Into<Cause>) -> Self {
        Self::Read(source.into())
    }
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        Self::read(source)
    }
}

/// How far an import has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Rows done.
    pub done: u64,
    /// Rows there were in the source at the start, where that is known.
    pub total: Option<u64>,
}
