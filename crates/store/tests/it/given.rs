//! What tests start from.

use std::path::PathBuf;

use store::{Db, Result, SqliteOptions, Tx};
use testdb::Place;

/// A database with a table `log` of ids and a table `counter` of numbers; its files go when it is dropped.
pub(crate) struct Scratch {
    pub(crate) db: Db,
    pub(crate) folder: tempfile::TempDir,
}

/// The same on the engine that the environment asks for.
pub(crate) struct Any {
    pub(crate) db: Db,
    pub(crate) place: Place,
}

pub(crate) async fn any() -> Any {
    let place = Place::new().await;
    let db = place.open().await;
    make_tables(&db).await;
    Any { db, place }
}

pub(crate) const INSERT: &str = "INSERT INTO log (id, part) VALUES ($1, $2)";

impl Scratch {
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("auth.db")
    }
}

pub(crate) async fn scratch(commit_batch: usize) -> Scratch {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path().join("auth.db"), commit_batch).await;
    make_tables(&db).await;
    Scratch { db, folder }
}

pub(crate) async fn open(path: PathBuf, commit_batch: usize) -> Db {
    Db::open_sqlite(SqliteOptions { commit_batch, ..SqliteOptions::new(path) }).await.unwrap()
}

pub(crate) async fn make_tables(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    for sql in [
        "CREATE TABLE IF NOT EXISTS log (id BIGINT NOT NULL, part BIGINT NOT NULL, PRIMARY KEY (id, part))",
        "CREATE TABLE IF NOT EXISTS counter (id BIGINT PRIMARY KEY NOT NULL, value BIGINT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS bytes (content BYTEA NOT NULL)",
    ] {
        tx.execute(sql, &[]).await.unwrap();
    }
    tx.commit().await.unwrap();
}

pub(crate) async fn insert(tx: &mut Tx, id: i64) -> Result<()> {
    tx.execute(INSERT, &[id.into(), 0_i64.into()]).await.map(drop)
}

/// One transaction with one row.
pub(crate) async fn add(db: &Db, id: i64) -> Result<()> {
    let mut tx = db.begin().await?;
    insert(&mut tx, id).await?;
    tx.commit().await
}

pub(crate) async fn ids(db: &Db) -> Vec<i64> {
    let mut tx = db.read().await.unwrap();
    let rows = tx.query("SELECT DISTINCT id FROM log ORDER BY id", &[]).await.unwrap();
    rows.iter().map(|row| row.int(0).unwrap()).collect()
}

pub(crate) async fn number(db: &Db, sql: &'static str) -> i64 {
    let mut tx = db.read().await.unwrap();
    tx.query_opt(sql, &[]).await.unwrap().unwrap().int(0).unwrap()
}

pub(crate) async fn text(db: &Db, sql: &'static str) -> String {
    let mut tx = db.read().await.unwrap();
    tx.query_opt(sql, &[]).await.unwrap().unwrap().text(0).unwrap().to_owned()
}

/// Waits until this many transactions stand in line.
pub(crate) async fn until_waiting(db: &Db, count: u64) {
    while db.stats().waiting != count {
        tokio::task::yield_now().await;
    }
}

/// Numbers that look random and are the same in every run of a seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

/// More rounds when the long run is asked for.
pub(crate) fn rounds(short: u64, full: u64) -> u64 {
    if std::env::var("BOOKSTORE_AUTH_FULL").is_ok_and(|value| value == "1") { full } else { short }
}
