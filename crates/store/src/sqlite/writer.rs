//! The thread that begins and commits groups: all that waits for locks or for the disk happens here.

use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::watch;

use super::connection::{Conn, Role};
use super::copier::Copier;
use super::files::OpenLock;
use super::queue::Gathered;
use super::shared::{Desk, Shared};
use crate::error::chain;
use crate::{Error, Result};

/// What the thread needs; dropped when it ends, in this order.
pub(super) struct Writer {
    /// There once many rows are written.
    pub(super) copier: OnceCell<Copier>,
    pub(super) shared: Arc<Shared>,
    pub(super) path: PathBuf,
    pub(super) batch: usize,
    pub(super) lock: Arc<OpenLock>,
    /// Becomes true when the connection is closed and the lock released.
    pub(super) closed: watch::Sender<bool>,
}

impl Writer {
    pub(super) fn start(self) -> Result<()> {
        let path = self.path.clone();
        let thread = std::thread::Builder::new().name("store-writer".into());
        thread.spawn(move || self.run()).map(drop).map_err(|error| Error::file(&path, error))
    }

    fn run(self) {
        // A panic here would be a mistake of ours; it costs the group it happens in, not the service.
        while catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            tracing::error!("the database writer has panicked; it goes on with a new connection");
            self.shared.queue.lock().take_group().answer(&Err(Error::unavailable("the writer has panicked")));
            self.shared.desk.lock().conn = None;
        }
        self.close();
    }

    /// One group after another until the database is closed and nobody waits any more.
    fn work(&self) {
        while self.wait() {
            let youngest = self.shared.queue.lock().last_ticket();
            if let Err(error) = self.begin() {
                tracing::warn!(error = chain(&error), "cannot begin a transaction");
                // Those who came while this attempt waited get one of their own.
                self.shared.queue.lock().refuse_until(youngest, &error);
                continue;
            }
            self.shared.queue.lock().open_group(self.batch);
            self.shared.gather();
            #[cfg(test)]
            assert!(!self.shared.panic_next.swap(false, Relaxed), "on purpose");
            let group = self.shared.queue.lock().take_group();
            self.end(group);
        }
    }

    fn wait(&self) -> bool {
        let mut queue = self.shared.queue.lock();
        while queue.waiting() == 0 {
            if queue.is_closing() {
                return false;
            }
            self.shared.wake.wait(&mut queue);
        }
        true
    }

    fn begin(&self) -> Result<()> {
        let mut desk = self.shared.desk.lock();
        desk.clear();
        if desk.conn.is_none() {
            let conn = Conn::open(&self.path, Role::Writer)?;
            if self.shared.bulk.load(Relaxed) {
                conn.prepare_for_bulk()?;
            }
            desk.conn = Some(conn);
            tracing::info!("the database has been opened again after a failure");
        }
        let Some(conn) = &desk.conn else { return Err(Error::Closed) };
        // IMMEDIATE takes the write lock now, where waiting for another process harms nobody.
        let begun = conn.control("BEGIN IMMEDIATE").map_err(Error::from);
        if matches!(&begun, Err(error) if !matches!(error, Error::Busy)) {
            desk.conn = None;
        }
        begun
    }

    /// Commits a group and tells its members; nobody is told anything good before the disk has it.
    fn end(&self, group: Gathered) {
        let size = group.size() as u64;
        let counters = &self.shared.counters;
        let result = self.commit(&mut self.shared.desk.lock(), &group);
        match &result {
            Ok(()) if size > 0 => {
                counters.commits.fetch_add(size, Relaxed);
                counters.groups.fetch_add(1, Relaxed);
                counters.largest_group.fetch_max(size, Relaxed);
            }
            Ok(()) => {}
            // One transaction broke the connection and knows it already; no other was in the group.
            Err(error) if size == 0 => tracing::warn!(error = chain(error), "a write failed"),
            Err(error) => {
                tracing::error!(error = chain(error), transactions = size, "a commit failed");
                counters.rollbacks.fetch_add(size, Relaxed);
                counters.failed_groups.fetch_add(1, Relaxed);
            }
        }
        group.answer(&result);
        if result.is_ok() && size > 0 && self.shared.bulk.load(Relaxed) {
            self.copy_log();
        }
    }

    fn copy_log(&self) {
        if self.copier.get().is_none() {
            match Copier::start(self.path.clone()) {
                Ok(copier) => _ = self.copier.set(copier),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "the log is copied by the writer itself");
                    return self.shared.bulk.store(false, Relaxed);
                }
            }
        }
        self.copier.get().map(Copier::note_commit);
    }

    fn commit(&self, desk: &mut Desk, group: &Gathered) -> Result<()> {
        let Some(conn) = &desk.conn else { return Err(Error::unavailable("the connection has failed")) };
        let result = match &group.broken {
            Some(error) => Err(error.clone()),
            None if group.size() == 0 => conn.control("ROLLBACK").map_err(Error::from),
            None => conn.control("COMMIT").map_err(Error::from),
        };
        let Err(error) = result else { return Ok(()) };
        if !conn.is_autocommit() {
            // When even this fails, closing the connection does it.
            let _ = conn.control("ROLLBACK");
        }
        // A connection that could not commit is not trusted with the next group.
        desk.conn = None;
        Err(for_each_member(error, group.size()))
    }

    fn close(mut self) {
        drop(self.copier.take());
        let conn = self.shared.desk.lock().conn.take();
        if let Some(conn) = conn
            && let Err(error) = conn.checkpoint()
        {
            tracing::warn!(%error, "the log could not be copied into the database; that happens at the next start");
        }
        let Self { closed, lock, .. } = self;
        drop(lock);
        closed.send_replace(true);
    }
}

/// What each member of a failed group is told. What is wrong with one transaction (a deferred rule of the schema, say)
/// is nothing that the others have done: they may try again.
fn for_each_member(error: Error, members: usize) -> Error {
    if members > 1 && !error.is_transient() { Error::Unavailable(Arc::new(error)) } else { error }
}
