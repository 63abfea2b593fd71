//! The embedded engine: SQLite with grouped commits.
//!
//! There is one write connection. The writer thread ([`writer`]) runs BEGIN IMMEDIATE and COMMIT, the two steps that
//! wait for another process or for the disk. Between them the connection is *leased* to the callers that wait, one
//! after another ([`queue`], [`lease`]): each runs its statements inline in a savepoint of its own, a few microseconds
//! apiece. When nobody waits any more, or the group is full, the writer thread commits with a single fsync and answers
//! all of them. While the disk is busy with that, the next group gathers: the busier the database, the larger the
//! groups. Reads run beside all this on connections of their own ([`readers`]).
//!
//! A caller that fails, panics or leaves takes only its own savepoint back. One that writes many rows has a group of its own
//! instead, and no savepoint; the log is then copied into the file beside it ([`copier`]). What SQLite may undo on its own (the whole
//! transaction, after an I/O error) fails the whole group: nobody is told that something is stored which is not.

mod connection;
mod copier;
mod failure;
pub(crate) mod files;
mod lease;
mod placeholder;
mod queue;
mod readers;
mod shared;
#[cfg(test)]
mod tests;
mod writer;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

pub(crate) use connection::{open_plain, value as read_value};
pub(crate) use lease::Lease;
pub(crate) use readers::Reader;

use crate::{DbStats, Result, SqliteOptions};
use connection::{Conn, Role};
use files::OpenLock;
use readers::Readers;
use shared::Shared;
use writer::Writer;

/// An open SQLite database.
pub(crate) struct Engine {
    path: PathBuf,
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    closed: watch::Receiver<bool>,
}

impl Engine {
    /// Opens the file, and makes it when it is not there. Blocks.
    pub(crate) fn open(options: &SqliteOptions) -> Result<Self> {
        files::make_folder(&options.path)?;
        let path = files::resolve(&options.path)?;
        let lock = Arc::new(OpenLock::shared(&path)?);
        files::make_private(&path)?;
        // DB-04: the log and its index take their mode from the database when SQLite makes them.
        for suffix in ["", "-wal", "-shm", ".lock"] {
            files::tighten(&files::beside(&path, suffix))?;
        }
        let shared = Arc::new(Shared::new(Conn::open(&path, Role::Writer)?));
        let readers = Arc::new(Readers::new(path.clone(), options.readers, Arc::clone(&lock)));
        let (closing, closed) = watch::channel(false);
        let writer = Writer {
            copier: OnceCell::new(),
            shared: Arc::clone(&shared),
            path: path.clone(),
            batch: options.commit_batch.max(1),
            lock,
            closed: closing,
        };
        writer.start()?;
        Ok(Self { path, shared, readers, closed })
    }

    pub(crate) async fn begin(&self) -> Result<Lease> {
        Lease::begin(&self.shared).await
    }

    pub(crate) async fn begin_alone(&self) -> Result<Lease> {
        Lease::begin_alone(&self.shared).await
    }

    pub(crate) async fn read(&self) -> Result<Reader> {
        self.readers.begin().await
    }

    pub(crate) async fn close(&self) {
        // Readers first: the log cannot be emptied while one of them needs it.
        self.readers.close().await;
        self.stop();
        // The thread answers whatever happens to it: its end drops the sender.
        let mut closed = self.closed.clone();
        let _ = closed.wait_for(|closed| *closed).await;
    }

    pub(crate) fn stats(&self) -> DbStats {
        self.shared.stats()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn stop(&self) {
        self.shared.queue.lock().close();
        self.shared.wake.notify_one();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}
