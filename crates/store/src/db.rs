//! The database as callers see it, whatever the engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::time::Timestamp;

use crate::error::chain;
use crate::param::Seen;
use crate::postgres::{self, Access, Listener, PostgresOptions, Transaction};
use crate::sqlite::{Engine, Lease, Reader};
use crate::{Error, Param, Result, Row, meta};

/// How long a probe of [`Db::check_writable`] may take.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// A database. Cloning it is cheap; all clones are the same database.
#[derive(Clone)]
pub struct Db {
    engine: Kind,
}

/// The engines; `Inner` and `Hears` have their transactions and announcements.
#[derive(Clone)]
pub(crate) enum Kind {
    Sqlite(Arc<Engine>),
    Postgres(Arc<postgres::Engine>),
}

/// Where the embedded database is and how it is used.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The file; made, with its folder, when it is not there.
    pub path: PathBuf,
    /// Most transactions that share one fsync; 1 means that each has its own.
    pub commit_batch: usize,
    /// Most snapshots that are read at the same time; each is a connection with up to 2 MiB of cache.
    pub readers: usize,
}

impl SqliteOptions {
    /// The usual settings for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), commit_batch: 256, readers: 4 }
    }
}

/// Which SQL the engine speaks, for the few statements that must differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL and what speaks its language.
    Postgres,
}

/// Counters since the database was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DbStats {
    /// Transactions acknowledged.
    pub commits: u64,
    /// Write transactions taken back: dropped, failed, or in a group whose commit failed.
    pub rollbacks: u64,
    /// Groups committed, each with one fsync; `commits / groups` is how well grouping works. A server groups by itself
    /// and does not say how: there each commit counts as a group.
    pub groups: u64,
    /// Groups whose commit failed; all of their transactions were told so.
    pub failed_groups: u64,
    /// Most transactions in one group so far.
    pub largest_group: u64,
    /// Transactions taken from a caller that held on to them for too long: a mistake in our code.
    pub overdue: u64,
    /// Transactions that wait for their turn now.
    pub waiting: u64,
}

impl Db {
    /// Opens a SQLite file. It does not migrate: [`crate::migrate::migrate`] does.
    ///
    /// The file and those beside it are for their owner alone (0600; a folder made here 0700), and a lock beside the
    /// file keeps a restore away while it is open; any number of processes may have it open.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file cannot be made or opened, [`Error::Busy`] while a restore runs,
    /// [`Error::Corrupt`] when it is no database.
    pub async fn open_sqlite(options: SqliteOptions) -> Result<Self> {
        let engine = off_thread(move || Engine::open(&options)).await?;
        Ok(Self { engine: Kind::Sqlite(Arc::new(engine)) })
    }

    /// Connects to PostgreSQL and looks whether the server is one that we can rely on. It does not migrate.
    ///
    /// A server that is just starting is waited for, for ten seconds. Later it may go and come back at any time.
    ///
    /// # Errors
    /// [`Error::Refused`] with how to mend it: behind a pooler that shares connections between transactions, with
    /// another encoding than UTF-8, without the certificates that are asked for; [`Error::Unavailable`].
    pub async fn open_postgres(options: PostgresOptions) -> Result<Self> {
        Ok(Self { engine: Kind::Postgres(postgres::Engine::open(&options).await?) })
    }

    /// Opens a transaction that may write. On SQLite writers run one after another, first come, first served. On
    /// PostgreSQL they run side by side, and each statement sees what is committed when it starts: what must still be
    /// so when it is written stands in the statement's WHERE, or is read with a lock.
    ///
    /// Keep it short: no hashing, network or sleep inside. One that is held for many seconds is taken back.
    ///
    /// On SQLite it sees what the members of its group before it have written and not yet committed. So an answer that grants
    /// something because of what was read here is given after `commit` alone, also when nothing was written: if the
    /// group fails, that fails too.
    ///
    /// # Errors
    /// [`Error::Busy`] when it is not its turn within a bounded time or too many wait already,
    /// [`Error::Unavailable`], [`Error::Closed`].
    pub async fn begin(&self) -> Result<Tx> {
        match &self.engine {
            Kind::Sqlite(engine) => Ok(Tx::new(Inner::SqliteWrite(engine.begin().await?))),
            Kind::Postgres(engine) => Ok(Tx::new(Inner::Postgres(engine.begin(Access::Write).await?))),
        }
    }

    /// As [`Db::begin`], for a transaction of many rows. On SQLite it shares its fsync with nobody, and needs no memory for
    /// what its pages held before.
    ///
    /// # Errors
    /// As [`Db::begin`].
    pub async fn begin_bulk(&self) -> Result<Tx> {
        match &self.engine {
            Kind::Sqlite(engine) => Ok(Tx::new(Inner::SqliteWrite(engine.begin_alone().await?))),
            Kind::Postgres(_) => self.begin().await,
        }
    }

    /// Gets ready for transactions of many rows, until it is closed: the embedded engine keeps more pages in memory, and its
    /// log is copied into the file beside the transactions.
    ///
    /// # Errors
    /// As [`Db::begin`].
    pub async fn prepare_for_bulk(&self) -> Result<()> {
        match &self.engine {
            Kind::Sqlite(engine) => engine.begin().await?.prepare_for_bulk(),
            Kind::Postgres(_) => Ok(()),
        }
    }

    /// Opens a transaction that reads one snapshot; it never waits for writers.
    ///
    /// # Errors
    /// As [`Db::begin`].
    pub async fn read(&self) -> Result<Tx> {
        match &self.engine {
            Kind::Sqlite(engine) => Ok(Tx::new(Inner::SqliteRead(engine.read().await?))),
            Kind::Postgres(engine) => Ok(Tx::new(Inner::Postgres(engine.begin(Access::Read).await?))),
        }
    }

    /// As [`Db::read`], by a way of its own where readers may have to wait for one another: for what must go on
    /// whatever the requests do, which is following the feed of changes. One at a time.
    ///
    /// # Errors
    /// As [`Db::begin`].
    pub async fn watch(&self) -> Result<Tx> {
        match &self.engine {
            Kind::Sqlite(_) => self.read().await,
            Kind::Postgres(engine) => Ok(Tx::new(Inner::Postgres(engine.watch().await?))),
        }
    }

    /// Lets running transactions finish for a bounded time, then brings the file into its resting state and closes it.
    /// Transactions that begin later answer [`Error::Closed`].
    pub async fn close(&self) {
        match &self.engine {
            Kind::Sqlite(engine) => engine.close().await,
            Kind::Postgres(engine) => engine.close().await,
        }
    }

    /// What has happened since the database was opened.
    pub fn stats(&self) -> DbStats {
        match &self.engine {
            Kind::Sqlite(engine) => engine.stats(),
            Kind::Postgres(engine) => engine.stats(),
        }
    }

    /// Which SQL the engine speaks.
    pub fn dialect(&self) -> Dialect {
        match &self.engine {
            Kind::Sqlite(_) => Dialect::Sqlite,
            Kind::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The database server's clock; nothing where the database has none but ours.
    ///
    /// # Errors
    /// As [`Db::begin`].
    pub async fn now(&self) -> Result<Option<Timestamp>> {
        match &self.engine {
            Kind::Sqlite(_) => Ok(None),
            Kind::Postgres(engine) => engine.now().await.map(Some),
        }
    }

    /// Tells everyone who listens that the feed of changes has a new entry. Only a hint: they look by themselves too.
    /// To be called after the commit; on SQLite nobody listens.
    ///
    /// # Errors
    /// As [`Db::begin`].
    pub async fn announce(&self) -> Result<()> {
        match &self.engine {
            Kind::Sqlite(_) => Ok(()),
            Kind::Postgres(engine) => engine.announce().await,
        }
    }

    /// Listens for [`Db::announce`] of any process, on a connection of its own.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn announcements(&self) -> Result<Announcements> {
        match &self.engine {
            Kind::Sqlite(_) => Ok(Announcements(Hears::Nothing)),
            Kind::Postgres(engine) => Ok(Announcements(Hears::Postgres(engine.listen().await?))),
        }
    }

    /// Writes and commits something, to show that the database can. It waits for the disk: callers that anyone may
    /// trigger keep the answer for a second or so.
    ///
    /// # Errors
    /// What the write answered, or [`Error::Busy`] after 5 s.
    pub async fn check_writable(&self) -> Result<()> {
        let probe = async {
            let mut tx = self.begin().await?;
            // A value that changes: writing what is there already would write nothing.
            let last = meta::get(&mut tx, meta::PROBE).await?.and_then(|last| last.parse::<u64>().ok());
            meta::set(&mut tx, meta::PROBE, &last.unwrap_or(0).wrapping_add(1).to_string()).await?;
            tx.commit().await
        };
        tokio::time::timeout(PROBE_LIMIT, probe).await.unwrap_or(Err(Error::Busy))
    }

    pub(crate) fn engine(&self) -> &Kind {
        &self.engine
    }
}

/// What [`Db::announcements`] hears.
pub struct Announcements(Hears);

enum Hears {
    Nothing,
    Postgres(Listener),
}

impl Announcements {
    /// Waits for an announcement; several at once may be heard as one. On SQLite there are none.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the connection has ended: some may have been missed.
    pub async fn next(&mut self) -> Result<()> {
        match &mut self.0 {
            Hears::Nothing => std::future::pending().await,
            Hears::Postgres(listener) => listener.next().await,
        }
    }
}

/// A transaction. Dropping it, at any moment, takes back all that it wrote.
///
/// After any failed statement it can only be dropped, on every engine: later statements and `commit` answer an error.
/// A statement that may meet an existing row says `ON CONFLICT DO NOTHING`.
pub struct Tx {
    inner: Inner,
    failed: bool,
    undo: Undo,
}

/// What is done when a transaction is taken back.
#[derive(Default)]
struct Undo(Vec<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for Undo {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|undo| undo());
    }
}

enum Inner {
    SqliteWrite(Lease),
    SqliteRead(Reader),
    Postgres(Transaction),
}

impl Tx {
    fn new(inner: Inner) -> Self {
        Self { inner, failed: false, undo: Undo::default() }
    }

    /// Has something done when this transaction is taken back: what was changed for it outside of the database goes with it. Not
    /// when nobody knows whether it was committed.
    pub fn on_rollback(&mut self, undo: impl FnOnce() + Send + Sync + 'static) {
        self.undo.0.push(Box::new(undo));
    }

    /// Runs a statement that returns no rows and answers how many rows it changed.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a unique value that exists, [`Error::Constraint`] for another rule of the schema,
    /// [`Error::Contention`], [`Error::Unavailable`] and [`Error::Busy`] as the engine says.
    pub async fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<u64> {
        self.check()?;
        let result = match &mut self.inner {
            Inner::SqliteWrite(lease) => lease.execute(sql, params),
            Inner::SqliteRead(reader) => reader.execute(sql, params),
            Inner::Postgres(transaction) => transaction.execute(sql, params).await,
        };
        self.note(result)
    }

    /// Runs a statement that returns no rows for each of many rows; answers for each whether it changed anything. Where a
    /// statement is a round trip, one that takes many rows at once is better.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub(crate) async fn execute_each<'p, const N: usize>(
        &mut self,
        sql: &'static str,
        rows: impl Iterator<Item = [Param<'p>; N]>,
    ) -> Result<Vec<bool>> {
        self.check()?;
        let result = match &mut self.inner {
            Inner::SqliteWrite(lease) => lease.execute_each(sql, rows),
            Inner::SqliteRead(reader) => rows.map(|row| Ok(reader.execute(sql, &row)? > 0)).collect(),
            Inner::Postgres(transaction) => {
                let mut changed = Vec::new();
                for row in rows {
                    changed.push(transaction.execute(sql, &row).await? > 0);
                }
                Ok(changed)
            }
        };
        self.note(result)
    }

    /// Runs a statement whose outcome nobody asks for, without waiting for it where the database is elsewhere: it is then sent
    /// with the next statement or the commit, before that, in the same round trip.
    ///
    /// # Errors
    /// As [`Tx::execute`], now or from the next statement or the commit.
    pub fn execute_later(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<()> {
        self.check()?;
        let result = match &mut self.inner {
            Inner::SqliteWrite(lease) => lease.execute(sql, params).map(drop),
            Inner::SqliteRead(reader) => reader.execute(sql, params).map(drop),
            Inner::Postgres(transaction) => {
                transaction.execute_later(sql, params);
                Ok(())
            }
        };
        self.note(result)
    }

    /// The first row of a statement, if there is one. With `RETURNING` all changes are made, whatever is returned.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub async fn query_opt(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Option<Row>> {
        self.check()?;
        let result = match &mut self.inner {
            Inner::SqliteWrite(lease) => lease.query_opt(sql, params),
            Inner::SqliteRead(reader) => reader.query_opt(sql, params),
            Inner::Postgres(transaction) => transaction.query_opt(sql, params).await,
        };
        self.note(result)
    }

    /// All rows of a statement. It holds them in memory: every caller has a LIMIT.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub async fn query(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        self.check()?;
        let result = match &mut self.inner {
            Inner::SqliteWrite(lease) => lease.query(sql, params),
            Inner::SqliteRead(reader) => reader.query(sql, params),
            Inner::Postgres(transaction) => transaction.query(sql, params).await,
        };
        self.note(result)
    }

    /// Shows every row of a statement to `look` without keeping it, and where the database is in this process without
    /// copying it. For statements that read many rows; every caller has a LIMIT.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub(crate) async fn visit(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        look: &mut (dyn FnMut(&Seen<'_>) + Send),
    ) -> Result<()> {
        self.check()?;
        let result = match &mut self.inner {
            Inner::SqliteWrite(lease) => lease.visit(sql, params, look),
            Inner::SqliteRead(reader) => reader.visit(sql, params, look),
            Inner::Postgres(transaction) => {
                let rows = transaction.query(sql, params).await;
                rows.map(|rows| rows.iter().for_each(|row| look(&Seen::Kept(row))))
            }
        };
        self.note(result)
    }

    /// Commits. `Ok` means durable: the data has reached the disk.
    ///
    /// When the future is dropped before it answers, the transaction may or may not be committed; never half of it.
    ///
    /// # Errors
    /// Nothing is acknowledged by an error; see [`Error::Unavailable`] for what it may mean.
    pub async fn commit(mut self) -> Result<()> {
        self.check()?;
        // From here on it may be there, also for a caller that leaves: only a failure that is sure takes anything back.
        let undo = std::mem::take(&mut self.undo.0);
        let done = match self.inner {
            Inner::SqliteWrite(lease) => lease.commit().await,
            Inner::SqliteRead(reader) => reader.commit(),
            Inner::Postgres(transaction) => transaction.commit().await,
        };
        if matches!(&done, Err(error) if !matches!(error, Error::Unavailable(_))) {
            undo.into_iter().for_each(|work| work());
        }
        done
    }

    /// Which SQL the engine speaks.
    pub fn dialect(&self) -> Dialect {
        match self.inner {
            Inner::SqliteWrite(_) | Inner::SqliteRead(_) => Dialect::Sqlite,
            Inner::Postgres(_) => Dialect::Postgres,
        }
    }

    /// On SQLite a number that is another one once a different process has written since; it compares with others of the same
    /// [`Db`]. Nothing on PostgreSQL, where writers do not wait for one another.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub async fn others_version(&mut self) -> Result<Option<i64>> {
        match self.dialect() {
            Dialect::Sqlite => {
                self.query_opt("PRAGMA data_version", &[]).await?.map(|row| row.int(0)).transpose()
            }
            Dialect::Postgres => Ok(None),
        }
    }

    fn check(&self) -> Result<()> {
        if self.failed {
            return Err(Error::Statement("the transaction has failed and can only be dropped".into()));
        }
        Ok(())
    }

    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        self.failed |= result.is_err();
        result
    }

    /// Prepares a statement without running it.
    async fn prepare(&mut self, sql: &'static str) -> Result<()> {
        match &mut self.inner {
            Inner::SqliteWrite(lease) => lease.prepare(sql),
            Inner::SqliteRead(reader) => reader.prepare(sql),
            Inner::Postgres(transaction) => transaction.prepare(sql).await,
        }
    }
}

/// Prepares every statement of a list, so that a mistake in one is found without a caller that runs it.
///
/// # Errors
/// [`Error::Statement`] with the first statement that the engine refuses and its reason.
pub async fn prepare_all(db: &Db, statements: &[&'static str]) -> Result<()> {
    let mut tx = db.read().await?;
    for sql in statements {
        tx.prepare(sql)
            .await
            .map_err(|error| Error::Statement(format!("{sql}: {}", chain(&error)).into()))?;
    }
    Ok(())
}

/// Runs something that blocks for long on a thread of its own.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Error::unavailable("the thread that did the work has panicked")))
}
