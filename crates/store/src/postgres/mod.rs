//! The engine for more than one machine: PostgreSQL.
//!
//! A bounded pool of connections; a transaction holds one of them. BEGIN travels with the first statement, so a
//! transaction costs one round trip a statement and one for COMMIT; one whose only statement is committed with it costs one
//! in all. What a caller leaves behind, whenever its future is
//! dropped, is rolled back before anyone else uses the connection, or the connection is thrown away ([`transaction`]).
//!
//! Every wait has an end: for a connection, for an answer, for a lock. A server that is gone costs its callers an error
//! and nothing else; connections are made anew when it is back.
//!
//! | file | what |
//! |---|---|
//! | `options`, `tls` | what `DATABASE_URL` says |
//! | `connect` | a connection with our settings, and what is asked of the server before it is used |
//! | `transaction`, `value` | statements, and what goes in and comes out |
//! | `announce` | NOTIFY and LISTEN |
//! | `foreign` | another program's database, to be read |
//! | `failure` | what PostgreSQL's errors mean for us |

mod announce;
mod connect;
mod failure;
mod foreign;
mod options;
mod tls;
mod transaction;
mod value;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use domain::time::Timestamp;

use crate::session::together;
use crate::{DbStats, Error, Result};
pub(crate) use announce::Listener;
use connect::Connector;
pub use foreign::Foreign;
pub use options::PostgresOptions;
pub(crate) use transaction::{Access, Transaction};
pub(crate) use value::row as read_row;

/// How long a caller waits for a connection that others have.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long making a connection may take, with TLS, authentication and our settings.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long closing waits for transactions.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// The database's clock in microseconds since the Unix epoch.
const CLOCK: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// An open PostgreSQL database.
pub(crate) struct Engine {
    pool: Pool,
    /// One connection that requests cannot use up.
    reserved: Pool,
    connector: Connector,
    counters: Counters,
    /// Refreshes that go together.
    pub(crate) refreshes: together::Line,
}

#[derive(Default)]
struct Counters {
    commits: AtomicU64,
    rollbacks: AtomicU64,
    failed: AtomicU64,
    overdue: AtomicU64,
}

impl Engine {
    pub(crate) async fn open(options: &PostgresOptions) -> Result<Arc<Self>> {
        let connector = Connector::new(options)?;
        connector.check_server().await?;
        let (pool, reserved) = (pool_of(&connector, options.pool.max(1))?, pool_of(&connector, 1)?);
        Ok(Arc::new(Self {
            pool,
            reserved,
            connector,
            counters: Counters::default(),
            refreshes: together::Line::default(),
        }))
    }

    pub(crate) async fn begin(self: &Arc<Self>, access: Access) -> Result<Transaction> {
        Ok(Transaction::new(client(&self.pool).await?, Arc::clone(self), access))
    }

    /// A transaction that reads on the reserved connection.
    pub(crate) async fn watch(self: &Arc<Self>) -> Result<Transaction> {
        Ok(Transaction::new(client(&self.reserved).await?, Arc::clone(self), Access::Read))
    }

    pub(crate) async fn now(&self) -> Result<Timestamp> {
        let client = client(&self.reserved).await?;
        let asked = async {
            let statement = client.prepare_cached(CLOCK).await?;
            client.query_one(&statement, &[]).await?.try_get(0)
        };
        let answer = transaction::limited(asked).await;
        self.keep_if_good(client, answer).map(Timestamp::from_micros)
    }

    pub(crate) async fn announce(&self) -> Result<()> {
        let client = client(&self.pool).await?;
        let answer = transaction::limited(client.batch_execute(announce::ANNOUNCE)).await;
        self.keep_if_good(client, answer)
    }

    pub(crate) async fn listen(&self) -> Result<Listener> {
        Listener::open(&self.connector).await
    }

    /// A connection of its own, without a limit for a statement: for work on the schema.
    pub(crate) async fn session(&self) -> Result<tokio_postgres::Client> {
        self.connector.session().await
    }

    pub(crate) async fn close(&self) {
        self.pool.close();
        self.reserved.close();
        let ended = async {
            while self.pool.status().size + self.reserved.status().size > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(CLOSE_LIMIT, ended).await.is_err() {
            tracing::warn!("the database is closed while transactions are still open");
        }
    }

    /// Gives a connection back to the pool, or throws it away when what it did last has failed: nobody knows its state.
    fn keep_if_good<T>(&self, client: Object, answer: Result<T>) -> Result<T> {
        if let Err(error) = &answer {
            drop(Object::take(client));
            if matches!(error, Error::Unavailable(cause) if failure::is_silence(cause)) {
                self.drop_idle();
            }
        }
        answer
    }

    /// Closes the connections that nobody uses. One of their kind got no answer in time, so the server or the way to it was
    /// gone for a while: the others may be as dead without knowing, and each would cost a caller its patience.
    fn drop_idle(&self) {
        for pool in [&self.pool, &self.reserved] {
            drop(pool.retain(|_, _| false));
        }
    }

    pub(crate) fn stats(&self) -> DbStats {
        let counters = &self.counters;
        let commits = counters.commits.load(Relaxed);
        DbStats {
            commits,
            rollbacks: counters.rollbacks.load(Relaxed),
            // The server groups commits by itself and does not say how.
            groups: commits,
            failed_groups: counters.failed.load(Relaxed),
            largest_group: commits.min(1),
            overdue: counters.overdue.load(Relaxed),
            waiting: self.pool.status().waiting as u64,
        }
    }
}

/// A pool of at most `size` connections.
fn pool_of(connector: &Connector, size: usize) -> Result<Pool> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_connect(connector.config().clone(), connector.clone(), recycling);
    Pool::builder(manager)
        .max_size(size)
        .wait_timeout(Some(PATIENCE))
        .create_timeout(Some(CONNECT_LIMIT))
        .recycle_timeout(Some(CONNECT_LIMIT))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| Error::Statement(error.to_string().into()))
}

/// A connection of a pool.
async fn client(pool: &Pool) -> Result<Object> {
    pool.get().await.map_err(|error| match error {
        PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => Error::Busy,
        PoolError::Closed => Error::Closed,
        PoolError::Backend(error) => failure::of_connecting(&error),
        _ => Error::unavailable(failure::NO_ANSWER),
    })
}

/// The meaning of an error of the driver, for work on the schema.
pub(crate) fn of_driver(error: tokio_postgres::Error) -> Error {
    failure::of(&error)
}
