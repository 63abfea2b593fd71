//! The side that is written: a PostgreSQL server.

use std::time::Duration;

use domain::time::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::TABLES;
use super::shape::{Column, Kind, Referring, Shape, quoted};
use crate::db::Kind as EngineKind;
use crate::migrate::{self, Mode};
use crate::param::Value;
use crate::postgres::{of_driver, read_row};
use crate::{Db, Error, PostgresOptions, Result, meta};

/// One copy at a time into a schema; the server drops it with the connection.
const LOCK: &str = "SELECT pg_try_advisory_lock(491284043, hashtext(current_schema()))";
/// The server may take a moment to notice that a killed run is gone.
const LOCK_TRIES: u32 = 50;
const LOCK_STEP: Duration = Duration::from_millis(200);

/// Microseconds; connecting takes a part of them.
const CLOCKS_APART: u64 = 5_000_000;

const HAS: &str = "SELECT to_regclass($1) IS NOT NULL";
const GET: &str = "SELECT value FROM meta WHERE key = $1";
/// What a schema holds before anybody has used it.
const USED_META: &str = "SELECT 1 FROM meta WHERE key NOT IN ('compatible_from', 'probe') LIMIT 1";
const MARK: &str = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
const COLUMNS: &str = "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT), is_identity = 'YES' \
    FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = CAST($1 AS TEXT)";
const UNIQUE: &str = "SELECT ARRAY(SELECT CAST(a.attname AS TEXT) FROM unnest(i.indkey) k \
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k) \
    FROM pg_index i WHERE i.indrelid = CAST(CAST($1 AS TEXT) AS regclass) AND i.indisunique AND NOT i.indisprimary";
/// References to a table's key that neither cascade nor empty themselves, with their columns in the key's order.
const REFERRING: &str = "SELECT CAST(r.relname AS TEXT), ARRAY(SELECT CAST(a.attname AS TEXT) \
    FROM unnest(i.indkey) WITH ORDINALITY k (num, nth) \
    JOIN unnest(c.conkey, c.confkey) p (child, parent) ON p.parent = k.num \
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = p.child ORDER BY k.nth) \
    FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_index i ON i.indrelid = c.confrelid AND i.indisprimary \
    WHERE c.contype = 'f' AND c.confdeltype IN ('a', 'r') AND c.confrelid = CAST(CAST($1 AS TEXT) AS regclass)";
const RAISE: &str = "SELECT setval(s, GREATEST($3, COALESCE(pg_sequence_last_value(s), 0))) \
    FROM CAST(pg_get_serial_sequence($1, $2) AS regclass) s";
const HAND_OVER: &str = "UPDATE meta SET key = $1 WHERE key = $2 AND value = $3";

/// A connection to the target, which holds the lock.
pub(super) struct Target {
    client: Client,
    version: i64,
}

impl Target {
    /// Connects, makes sure that the database is ours to write to, and brings its schema up to date.
    pub(super) async fn open(
        to: &PostgresOptions,
        id: &str,
        moved_to: Option<String>,
        now: Timestamp,
    ) -> Result<Self> {
        let db = Db::open_postgres(to.clone()).await?;
        let EngineKind::Postgres(engine) = db.engine() else {
            return Err(Error::Refused("a copy goes to PostgreSQL".into()));
        };
        let mut target = Self { client: engine.session().await?, version: 0 };
        target.lock().await?;
        compare_clocks(db.now().await?, now);
        // Before anything is changed: it may be somebody else's.
        let is_begun = target.require_ours(id).await?;
        if let (Some(place), false) = (moved_to, is_begun) {
            return Err(Error::Refused(format!("the database has moved to {place} already").into()));
        }
        target.version = migrate::migrate(&db, Mode::Auto, now).await?.version;
        target.client.execute(MARK, &[&meta::COPYING_FROM, &id]).await.map_err(of_driver)?;
        db.close().await;
        Ok(target)
    }

    /// The version of its schema.
    pub(super) fn version(&self) -> i64 {
        self.version
    }

    async fn lock(&self) -> Result<()> {
        for _ in 0..LOCK_TRIES {
            if self.client.query_one(LOCK, &[]).await.map_err(of_driver)?.get(0) {
                return Ok(());
            }
            tokio::time::sleep(LOCK_STEP).await;
        }
        Err(Error::Refused("another copy into this database is at work".into()))
    }

    /// Whether the copy was begun before; an error when the database is neither empty nor that copy.
    async fn require_ours(&self, id: &str) -> Result<bool> {
        if self.has("meta").await? {
            let whole = self.get(meta::COPIED_FROM).await?;
            if whole.as_deref() == Some(id) {
                let text = "this copy was completed before: serve the target now";
                return Err(Error::Refused(text.into()));
            }
            match self.get(meta::COPYING_FROM).await? {
                Some(begun) if begun == id => return Ok(true),
                Some(_) => {
                    let text = "the target holds an unfinished copy of another database; name an empty one";
                    return Err(Error::Refused(text.into()));
                }
                None => {}
            }
        }
        for table in TABLES.iter().copied() {
            if self.has(table).await? && self.is_used(table).await? {
                let text = format!(
                    "the target is not empty: an installation uses it ({table} has rows); name an empty database"
                );
                return Err(Error::Refused(text.into()));
            }
        }
        Ok(false)
    }

    async fn has(&self, table: &str) -> Result<bool> {
        self.client.query_one(HAS, &[&table]).await.map(|row| row.get(0)).map_err(of_driver)
    }

    async fn is_used(&self, table: &str) -> Result<bool> {
        let any = format!("SELECT 1 FROM {} LIMIT 1", quoted(table));
        let sql = if table == "meta" { USED_META } else { &any };
        Ok(self.client.query_opt(sql, &[]).await.map_err(of_driver)?.is_some())
    }

    async fn get(&self, key: &str) -> Result<Option<String>> {
        Ok(self.client.query_opt(GET, &[&key]).await.map_err(of_driver)?.map(|row| row.get(0)))
    }

    /// Adds what the target knows of a table; refuses one that is not the same on both sides.
    pub(super) async fn shape(&self, mut shape: Shape) -> Result<Shape> {
        let rows = self.client.query(COLUMNS, &[&shape.name]).await.map_err(of_driver)?;
        let mut columns = Vec::new();
        for row in &rows {
            let column = Column { name: row.get(0), kind: Kind::parse(row.get(1))? };
            columns.push((column, row.get::<_, bool>(2)));
        }
        columns.sort_by(|(left, _), (right, _)| left.name.cmp(&right.name));
        if !columns.iter().map(|(column, _)| column).eq(&shape.columns) {
            let text = format!("the columns of {} are not the same on both sides", shape.name);
            return Err(Error::Refused(text.into()));
        }
        shape.numbered = columns.iter().position(|(_, numbered)| *numbered);
        for row in self.client.query(UNIQUE, &[&shape.name]).await.map_err(of_driver)? {
            let names: Vec<String> = row.get(0);
            let place = |name: &String| shape.columns.iter().position(|column| column.name == *name);
            shape.unique.push(names.iter().filter_map(place).collect());
        }
        for row in self.client.query(REFERRING, &[&shape.name]).await.map_err(of_driver)? {
            shape.referring.push(Referring { table: row.get(0), columns: row.get(1) });
        }
        Ok(shape)
    }

    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement> {
        self.client.prepare(sql).await.map_err(of_driver)
    }

    /// The rows behind a key, in order.
    pub(super) async fn page(&self, statement: &Statement, after: &[Value]) -> Result<Vec<Vec<Value>>> {
        let params: Vec<Box<dyn ToSql + Sync + '_>> = after.iter().map(single).collect();
        let rows = self.client.query(statement, &borrowed(&params)).await.map_err(of_driver)?;
        rows.iter().map(|row| read_row(row).map(crate::Row::into_values)).collect()
    }

    /// Makes the next number of a table greater than every one that was ever given.
    pub(super) async fn raise_ids(&self, shape: &Shape, last: i64) -> Result<()> {
        let Some(place) = shape.numbered.filter(|_| last > 0) else { return Ok(()) };
        let column = &shape.columns[place].name;
        self.client.query_one(RAISE, &[&shape.name, column, &last]).await.map_err(of_driver)?;
        Ok(())
    }

    /// Says that the copy is whole.
    pub(super) async fn take_over(&self, id: &str) -> Result<()> {
        let params: [&(dyn ToSql + Sync); 3] = [&meta::COPIED_FROM, &meta::COPYING_FROM, &id];
        match self.client.execute(HAND_OVER, &params).await.map_err(of_driver)? {
            1 => Ok(()),
            _ => Err(Error::Corrupt("somebody has taken the mark of the copy from the target".into())),
        }
    }
}

/// On the server everything goes by its clock, and what is stored was written by ours.
fn compare_clocks(theirs: Option<Timestamp>, ours: Timestamp) {
    let apart = theirs.map_or(0, |theirs| theirs.micros().abs_diff(ours.micros()));
    if apart > CLOCKS_APART {
        tracing::warn!(
            "the clocks of this machine and of the database server are {} s apart: set them right before the last run",
            apart / 1_000_000
        );
    }
}

/// Rows to be written in one transaction.
pub(super) struct Batch<'a> {
    target: &'a Target,
    shape: &'a Shape,
    store: Statement,
    /// In this order.
    remove: Vec<Statement>,
    free: Vec<(&'a [usize], Statement)>,
    stored: Vec<Vec<Value>>,
    removed: Vec<Vec<Value>>,
}

impl<'a> Batch<'a> {
    /// `frees` when rows that are there may hold unique values of those that come.
    pub(super) async fn new(target: &'a Target, shape: &'a Shape, frees: bool) -> Result<Self> {
        let mut free = Vec::new();
        for index in shape.unique.iter().filter(|_| frees) {
            free.push((index.as_slice(), target.prepare(&shape.free(index)).await?));
        }
        let store = target.prepare(&shape.store()).await?;
        let mut remove = Vec::new();
        for referring in &shape.referring {
            remove.push(target.prepare(&shape.remove_referring(referring)).await?);
        }
        remove.push(target.prepare(&shape.remove()).await?);
        Ok(Self { target, shape, store, remove, free, stored: Vec::new(), removed: Vec::new() })
    }

    pub(super) fn store(&mut self, row: Vec<Value>) {
        self.stored.push(row);
    }

    pub(super) fn remove(&mut self, row: &[Value]) {
        self.removed.push(row.to_vec());
    }

    pub(super) fn len(&self) -> usize {
        self.stored.len() + self.removed.len()
    }

    /// Writes and commits. What fails is taken back with the connection.
    pub(super) async fn write(&mut self) -> Result<()> {
        if self.len() == 0 {
            return Ok(());
        }
        let client = &self.target.client;
        client.batch_execute("BEGIN").await.map_err(of_driver)?;
        for statement in self.remove.iter().filter(|_| !self.removed.is_empty()) {
            self.run(statement, &self.shape.key, &self.removed).await?;
        }
        if !self.stored.is_empty() {
            for (index, statement) in &self.free {
                let places: Vec<usize> = index.iter().chain(&self.shape.key).copied().collect();
                self.run(statement, &places, &self.stored).await?;
            }
            let all: Vec<usize> = (0..self.shape.columns.len()).collect();
            self.run(&self.store, &all, &self.stored).await?;
        }
        client.batch_execute("COMMIT").await.map_err(of_driver)?;
        self.stored.clear();
        self.removed.clear();
        Ok(())
    }

    /// Runs a statement on the columns of rows, each as one array.
    async fn run(&self, statement: &Statement, places: &[usize], rows: &[Vec<Value>]) -> Result<()> {
        let arrays: Vec<Box<dyn ToSql + Sync + '_>> =
            places.iter().map(|place| array(self.shape.columns[*place].kind, *place, rows)).collect();
        self.target.client.execute(statement, &borrowed(&arrays)).await.map_err(of_driver)?;
        Ok(())
    }
}

fn borrowed<'a>(params: &'a [Box<dyn ToSql + Sync + '_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| param.as_ref() as &(dyn ToSql + Sync)).collect()
}

fn single(value: &Value) -> Box<dyn ToSql + Sync + '_> {
    match value {
        Value::Null => Box::new(None::<i64>),
        Value::Int(number) => Box::new(*number),
        Value::Text(text) => Box::new(text.as_str()),
        Value::Blob(bytes) => Box::new(bytes.as_slice()),
    }
}

fn array(kind: Kind, place: usize, rows: &[Vec<Value>]) -> Box<dyn ToSql + Sync + '_> {
    let values = rows.iter().map(move |row| &row[place]);
    match kind {
        Kind::Int => Box::new(values.map(as_int).collect::<Vec<_>>()),
        Kind::Text => Box::new(values.map(as_text).collect::<Vec<_>>()),
        Kind::Blob => Box::new(values.map(as_bytes).collect::<Vec<_>>()),
    }
}

// The types were checked when the rows were read.
fn as_int(value: &Value) -> Option<i64> {
    if let Value::Int(number) = value { Some(*number) } else { None }
}

fn as_text(value: &Value) -> Option<&str> {
    if let Value::Text(text) = value { Some(text) } else { None }
}

fn as_bytes(value: &Value) -> Option<&[u8]> {
    if let Value::Blob(bytes) = value { Some(bytes) } else { None }
}
