//! Other systems' users into ours.
//!
//! # Layout
//! * [`django`]: the `auth_user` table of a Django service on SQLite; `django/source.rs` reads it, `django/row.rs` checks a row;
//! * [`report`]: what came of it, row by row where something needs a person's eye.
//!
//! Which of two versions of an account wins is decided in `service::import`, in the transaction that writes it.
//!
//! # How to add a source
//! A module with a `run` that reads rows in batches, makes `service::import::ImportedUser`s of them, hands them to
//! `service::import::apply_batch` under a name of its own, and adds every row that is not taken over as it stands to
//! the [`report::Report`].
#![warn(missing_docs)]

pub mod django;
pub mod report;

use std::path::PathBuf;

/// Why an import stopped. Batches that were committed before stay: running it again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there or is no SQLite database that can be read.
    #[error("{path} cannot be read as a SQLite database")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The file is no database of a Django service with the usual user table.
    #[error("{path} is not the database of a Django service: {reason}")]
    NotDjango {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// Reading failed on the way.
    #[error("reading the source failed")]
    Read(#[from] rusqlite::Error),
    /// Our own database refused.
    #[error("storing the users failed")]
    Store(#[from] service::Error),
}

/// How far an import has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Rows done.
    pub done: u64,
    /// Rows there were in the source at the start.
    pub total: u64,
}
