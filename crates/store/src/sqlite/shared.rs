//! What callers and the writer thread share: the connection, the queue for it, and the counters.
//!
//! Two locks, always taken in this order: the desk (held while a statement runs), then the queue (held for moments).
//! Callers look at the queue before they go to the desk, so none of them ever waits there for a BEGIN or COMMIT.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::connection::Conn;
use super::failure::spoils_connection;
use super::queue::{Outcome, Queue, Turn};
use crate::{DbStats, Error, Result};

/// Longest time that one caller may keep the connection. Ours keep it for microseconds.
const LEASE_LIMIT: Duration = if cfg!(test) { Duration::from_millis(100) } else { Duration::from_secs(5) };

/// The same for one that writes many rows, and whose size follows from how long the last one took: a disk may become slow.
const BULK_LEASE_LIMIT: Duration = Duration::from_secs(15);

pub(super) struct Shared {
    pub(super) desk: Mutex<Desk>,
    pub(super) queue: Mutex<Queue>,
    /// Wakes the writer thread; used with the queue.
    pub(super) wake: Condvar,
    pub(super) counters: Counters,
    /// Many rows are written: the log is copied beside the writer.
    pub(super) bulk: AtomicBool,
    /// Has the writer thread panic before its next commit.
    #[cfg(test)]
    pub(super) panic_next: AtomicBool,
}

/// The connection, and whether the holder of the lease has a savepoint open on it.
pub(super) struct Desk {
    /// None after a failure, until the writer thread has opened another.
    pub(super) conn: Option<Conn>,
    savepoint: bool,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) rollbacks: AtomicU64,
    pub(super) groups: AtomicU64,
    pub(super) failed_groups: AtomicU64,
    pub(super) largest_group: AtomicU64,
    overdue: AtomicU64,
}

impl Desk {
    fn rollback(&mut self) -> Result<()> {
        let Some(conn) = self.conn.as_mut().filter(|_| self.savepoint) else { return Ok(()) };
        conn.control("ROLLBACK TO lease")?;
        conn.control("RELEASE lease")?;
        self.savepoint = false;
        Ok(())
    }

    /// Forgets a savepoint that has gone with its transaction.
    pub(super) fn clear(&mut self) {
        self.savepoint = false;
    }
}

impl Shared {
    pub(super) fn new(conn: Conn) -> Self {
        Self {
            desk: Mutex::new(Desk { conn: Some(conn), savepoint: false }),
            queue: Mutex::new(Queue::default()),
            wake: Condvar::new(),
            counters: Counters::default(),
            bulk: AtomicBool::new(false),
            #[cfg(test)]
            panic_next: false.into(),
        }
    }

    /// Stands in line; `alone` for a group of one's own.
    pub(super) fn join(&self, alone: bool) -> Result<(u64, Turn)> {
        let mut queue = self.queue.lock();
        let place = queue.join(alone)?;
        if !queue.is_gathering() {
            self.wake.notify_one();
        }
        Ok(place)
    }

    /// Opens the savepoint of a lease that has just been given.
    pub(super) fn open(&self, ticket: u64) -> Result<()> {
        let mut desk = self.desk_of(ticket)?;
        self.guarded(&mut desk, |conn| conn.control("SAVEPOINT lease"))?;
        desk.savepoint = true;
        Ok(())
    }

    /// Runs something on the connection for the holder of a lease.
    pub(super) fn run<T>(
        &self,
        ticket: u64,
        work: impl FnOnce(&mut Conn) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let mut desk = self.desk_of(ticket)?;
        self.guarded(&mut desk, work)
    }

    /// Releases the savepoint, if there is one, and joins those who wait for the group's commit. Both happen under the desk's lock:
    /// what has been released cannot be taken back alone any more.
    pub(super) fn finish(&self, ticket: u64) -> Result<Outcome> {
        let mut desk = self.desk_of(ticket)?;
        if desk.savepoint {
            self.guarded(&mut desk, |conn| conn.control("RELEASE lease"))?;
            desk.savepoint = false;
        }
        let mut queue = self.queue.lock();
        let outcome = queue.finish();
        self.pass_on(queue);
        Ok(outcome)
    }

    /// Ends a lease, or the wait for one, without a commit.
    pub(super) fn give_back(&self, ticket: u64) {
        {
            let mut queue = self.queue.lock();
            if !queue.holds(ticket) {
                return queue.leave(ticket);
            }
        }
        self.take_back(ticket);
    }

    /// Takes what the holder of a lease has written back and gives the connection to the next; answers whether it
    /// held the lease at all.
    fn take_back(&self, ticket: u64) -> bool {
        let mut desk = self.desk.lock();
        // The writer thread may have been faster: it takes overdue leases back.
        if !self.queue.lock().holds(ticket) {
            return false;
        }
        let rolled_back = desk.rollback();
        let mut queue = self.queue.lock();
        if let Err(error) = rolled_back {
            queue.spoil(error);
        }
        self.counters.rollbacks.fetch_add(1, Relaxed);
        queue.next();
        self.pass_on(queue);
        true
    }

    /// Waits until the group is gathered; takes the connection from callers that do not give it back.
    pub(super) fn gather(&self) {
        let mut queue = self.queue.lock();
        while let Some(holder) = queue.holder() {
            let limit = if queue.is_alone() { BULK_LEASE_LIMIT } else { LEASE_LIMIT };
            let timed_out = self.wake.wait_for(&mut queue, limit).timed_out();
            if timed_out && queue.holds(holder) && MutexGuard::unlocked(&mut queue, || self.take_back(holder))
            {
                self.counters.overdue.fetch_add(1, Relaxed);
                tracing::error!("a transaction was held open for more than {limit:?} and was taken back");
            }
        }
    }

    pub(super) fn stats(&self) -> DbStats {
        let counters = &self.counters;
        DbStats {
            commits: counters.commits.load(Relaxed),
            rollbacks: counters.rollbacks.load(Relaxed),
            groups: counters.groups.load(Relaxed),
            failed_groups: counters.failed_groups.load(Relaxed),
            largest_group: counters.largest_group.load(Relaxed),
            overdue: counters.overdue.load(Relaxed),
            waiting: self.queue.lock().waiting() as u64,
        }
    }

    /// The desk, if this ticket holds the lease. It is asked twice: before, because only the holder may wait for the
    /// desk, and then again, because the lease may have been taken back while it did.
    fn desk_of(&self, ticket: u64) -> Result<MutexGuard<'_, Desk>> {
        self.queue.lock().check(ticket)?;
        let desk = self.desk.lock();
        self.queue.lock().check(ticket)?;
        Ok(desk)
    }

    /// Runs something and sees to it that a group that has lost its transaction or its connection is not committed:
    /// on some errors SQLite takes the whole transaction back, and statements after it would commit one by one.
    fn guarded<T>(&self, desk: &mut Desk, work: impl FnOnce(&mut Conn) -> rusqlite::Result<T>) -> Result<T> {
        let Some(conn) = &mut desk.conn else { return Err(Error::unavailable("the connection has failed")) };
        let result = work(conn);
        let spoilt = result.as_ref().err().is_some_and(spoils_connection);
        let lost = conn.is_autocommit();
        let result = result.map_err(Error::from);
        if spoilt || lost {
            let error = match &result {
                Err(error) => error.clone(),
                Ok(_) => Error::Statement("a statement ended the transaction of its group".into()),
            };
            self.queue.lock().spoil(error.clone());
            return Err(error);
        }
        result
    }

    fn pass_on(&self, queue: MutexGuard<'_, Queue>) {
        if queue.holder().is_none() {
            self.wake.notify_one();
        }
    }
}
