//! Where the database of a test is, so that the same tests run on every engine. Development only.
//!
//! Without more said it is a file in a temporary folder. With `BOOKSTORE_AUTH_TEST_POSTGRES` set to the address of a
//! private cluster (`tests/postgres run COMMAND` sets it), it is a schema of the test's own there, left to the end of
//! the cluster.
//!
//! [`Cluster`] is a server of one test's own, [`FaultProxy`] a link to a server that breaks as it is told.
//!
//! Helpers panic: what fails in a helper is a failed test.

#![expect(clippy::missing_panics_doc, reason = "helpers panic, as the crate's documentation says")]

mod cluster;
mod fault_proxy;

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use store::{Db, PostgresOptions, SqliteOptions};
use tempfile::TempDir;

pub use cluster::Cluster;
pub use fault_proxy::{FaultProxy, Happened, Towards};

/// The place of one database. A file goes with it.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
    postgres: Option<String>,
}

/// The private cluster to test on, if that is asked for.
pub fn cluster() -> Option<String> {
    std::env::var("BOOKSTORE_AUTH_TEST_POSTGRES").ok().filter(|url| !url.is_empty())
}

impl Place {
    /// A place with no database yet, on the engine that the environment asks for.
    pub async fn new() -> Self {
        match cluster() {
            Some(url) => Self::on(&url).await,
            None => Self::file(),
        }
    }

    /// A file, whatever the environment asks for.
    pub fn file() -> Self {
        let folder = TempDir::with_prefix("bookstore-auth-").expect("a temporary folder");
        Self { folder, postgres: None }
    }

    /// A new schema on this cluster.
    pub async fn on(url: &str) -> Self {
        let schema = format!("t_{:016x}", RandomState::new().hash_one(std::process::id()));
        run(url, &format!("CREATE SCHEMA {schema}")).await;
        let join = if url.contains('?') { '&' } else { '?' };
        Self { postgres: Some(format!("{url}{join}options=-c%20search_path%3D{schema}")), ..Self::file() }
    }

    /// As [`Place::new`], from a test without a runtime.
    pub fn blocking_new() -> Self {
        blocking(Self::new())
    }

    /// As [`Place::on`], from a test without a runtime.
    pub fn blocking_on(url: &str) -> Self {
        let url = url.to_owned();
        blocking(async move { Self::on(&url).await })
    }

    /// Whether it is on PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.postgres.is_some()
    }

    /// The file, where there is one.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("auth.db")
    }

    /// What DATABASE_URL says.
    pub fn url(&self) -> String {
        self.postgres.clone().unwrap_or_else(|| format!("sqlite:{}", self.path().display()))
    }

    /// Opens it with its usual settings; the schema is the caller's.
    pub async fn open(&self) -> Db {
        match self.postgres_options() {
            Some(options) => Db::open_postgres(options).await,
            None => Db::open_sqlite(SqliteOptions::new(self.path())).await,
        }
        .expect("a database")
    }

    /// How to open it, where it is on PostgreSQL.
    pub fn postgres_options(&self) -> Option<PostgresOptions> {
        self.postgres.as_deref().map(|url| PostgresOptions::parse(url).expect("an address"))
    }
}

/// Runs statements on a cluster, on a connection of their own.
pub async fn run(url: &str, sql: &str) {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("the cluster runs");
    let ending = tokio::spawn(connection);
    client.batch_execute(sql).await.expect("a statement");
    drop(client);
    ending.await.expect("no panic").expect("the connection ends well");
}

fn blocking<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(work)
    })
    .join()
    .expect("a place")
}
