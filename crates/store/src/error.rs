//! What can go wrong in a database, in terms that hold for every engine.

use std::borrow::Cow;
use std::sync::Arc;

/// The engine's own account of a failure: for the log, never for a client.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of the database or of a statement.
///
/// It can be cloned, because a failed commit is told to every transaction of its group.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another writer held the database, or too many transactions waited, for longer than we wait.
    #[error("the database is busy")]
    Busy,
    /// Two transactions were in each other's way and this one was taken back; at once again, from its start, it may
    /// succeed.
    #[error("another transaction was in the way")]
    Contention,
    /// The disk is full, failing or read-only, or the server is gone. When a commit answers this, nothing was
    /// acknowledged, but what it wrote may still be found later (as with a connection lost at COMMIT).
    #[error("the database is unavailable")]
    Unavailable(#[source] Cause),
    /// A row with this unique value exists already.
    #[error("a row with this unique value exists already")]
    Conflict,
    /// A foreign key, NOT NULL or CHECK rule of the schema refused the change.
    #[error("a rule of the schema refused the change")]
    Constraint(#[source] Cause),
    /// The database holds something that we cannot have written.
    #[error("the database is damaged: {0}")]
    Corrupt(Cow<'static, str>),
    /// The database has been closed.
    #[error("the database has been closed")]
    Closed,
    /// A mistake in our own statement or in the use of a transaction.
    #[error("a statement is wrong: {0}")]
    Statement(Cow<'static, str>),
    /// The schema is from a later program that says this one cannot work with it.
    #[error(
        "the schema needs a program that knows migration {compatible_from}; this one knows up to {known}"
    )]
    SchemaTooNew {
        /// The least migration that a program must know to work with this schema.
        compatible_from: i64,
        /// The last migration that this program knows.
        known: i64,
    },
    /// A migration was changed after it had been applied here.
    #[error("migration {0} is not the one that was applied to this database")]
    MigrationChanged(i64),
    /// Migrations are pending and the settings forbid applying them.
    #[error("{0} migration(s) are pending and applying them is switched off; run `migrate`")]
    MigrationsPending(usize),
    /// Something was refused, with the reason and how to mend it: a backup, a restore, a server that we cannot rely on. While
    /// a service runs it is the last: nothing was done, and nothing can be until somebody has mended it.
    #[error("{0}")]
    Refused(Cow<'static, str>),
}

impl Error {
    /// Whether the same request may succeed when tried again later or at another replica, with nothing changed: worth a 503
    /// and Retry-After.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy | Self::Contention | Self::Unavailable(_) | Self::Closed)
    }

    /// An [`Error::Unavailable`] with a cause of our own.
    pub(crate) fn unavailable(reason: &'static str) -> Self {
        Self::Unavailable(Arc::new(Reason(reason)))
    }

    /// An [`Error::Unavailable`] about a file.
    pub(crate) fn file(path: &std::path::Path, source: impl Into<std::io::Error>) -> Self {
        Self::Unavailable(Arc::new(FileError { path: path.display().to_string(), source: source.into() }))
    }
}

/// An error with what caused it, for a log line or for someone at a terminal.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Reason(&'static str);

#[derive(Debug, thiserror::Error)]
#[error("cannot use {path}")]
struct FileError {
    path: String,
    source: std::io::Error,
}
