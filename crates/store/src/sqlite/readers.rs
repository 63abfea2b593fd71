//! Snapshot reads: a bounded set of connections that cannot write, used on the calling thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{Conn, Role};
use super::failure::spoils_connection;
use super::files::OpenLock;
use crate::param::Seen;
use crate::{Error, Param, Result, Row};

/// How long a reader waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long closing waits for readers.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// The connections. They are opened when first needed, and again after one has gone bad.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Idle>,
    permits: Arc<Semaphore>,
    size: u32,
}

struct Idle {
    /// The one given back last is taken first: its cache is warm.
    conns: Vec<Conn>,
    /// None when the database is closed.
    lock: Option<Arc<OpenLock>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, size: usize, lock: Arc<OpenLock>) -> Self {
        let size = u32::try_from(size.clamp(1, 1024)).expect("it was clamped");
        let permits = Arc::new(Semaphore::new(size as usize));
        Self { path, idle: Mutex::new(Idle { conns: Vec::new(), lock: Some(lock) }), permits, size }
    }

    pub(super) async fn begin(self: &Arc<Self>) -> Result<Reader> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        let (conn, lock) = self.take()?;
        let conn = match conn {
            Some(conn) => conn,
            None => Conn::open(&self.path, Role::Reader)?,
        };
        conn.control("BEGIN")?;
        Ok(Reader { conn: Some(conn), readers: Arc::clone(self), _lock: lock, _permit: permit })
    }

    fn take(&self) -> Result<(Option<Conn>, Arc<OpenLock>)> {
        let mut idle = self.idle.lock();
        let lock = idle.lock.clone().ok_or(Error::Closed)?;
        Ok((idle.conns.pop(), lock))
    }

    fn put(&self, conn: Conn) {
        let mut idle = self.idle.lock();
        if idle.lock.is_some() {
            idle.conns.push(conn);
        }
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        match tokio::time::timeout(PATIENCE, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => Err(Error::Busy),
        }
    }

    /// Refuses new readers and waits a little for those that there are.
    pub(super) async fn close(&self) {
        let all = self.permits.acquire_many(self.size);
        let all = tokio::time::timeout(CLOSE_PATIENCE, all).await;
        if all.is_err() {
            tracing::warn!("the database is closed while something still reads from it");
        }
        self.permits.close();
        let mut idle = self.idle.lock();
        idle.conns.clear();
        idle.lock = None;
    }
}

/// A read transaction: one connection, one snapshot.
pub(crate) struct Reader {
    /// Taken away only by `drop` or after an error that spoils it.
    conn: Option<Conn>,
    readers: Arc<Readers>,
    _lock: Arc<OpenLock>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    pub(crate) fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<u64> {
        self.run(|conn| conn.execute(sql, params))
    }

    pub(crate) fn query_opt(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Option<Row>> {
        Ok(self.run(|conn| conn.query(sql, params, 1))?.pop())
    }

    pub(crate) fn query(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        self.run(|conn| conn.query(sql, params, usize::MAX))
    }

    pub(crate) fn visit(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        look: &mut dyn FnMut(&Seen<'_>),
    ) -> Result<()> {
        self.run(|conn| conn.visit(sql, params, look))
    }

    pub(crate) fn prepare(&mut self, sql: &'static str) -> Result<()> {
        self.run(|conn| conn.prepared(sql).map(drop))
    }

    /// Ends the snapshot; there is nothing to keep.
    pub(crate) fn commit(self) -> Result<()> {
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn spoil(&mut self) {
        self.conn = None;
    }

    fn run<T>(&mut self, work: impl FnOnce(&mut Conn) -> rusqlite::Result<T>) -> Result<T> {
        let Some(conn) = &mut self.conn else { return Err(Error::unavailable("the connection has failed")) };
        work(conn).map_err(|error| {
            // `query_only` makes every write look like a read-only disk, which it is not.
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly) {
                return Error::Statement("a read transaction cannot write".into());
            }
            if spoils_connection(&error) {
                self.conn = None;
            }
            error.into()
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        // A connection whose snapshot does not end would keep the log from shrinking for ever.
        if conn.control("ROLLBACK").is_ok() && conn.is_autocommit() {
            self.readers.put(conn);
        }
    }
}
