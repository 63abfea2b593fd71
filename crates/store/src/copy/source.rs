//! The side that is copied: a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, ToSql, params_from_iter};

use super::shape::{Column, Kind, Shape, Side};
use crate::meta;
use crate::param::Value;
use crate::sqlite::files::{OpenLock, resolve};
use crate::sqlite::{open_plain, read_value};
use crate::{Error, Result, migrate};

/// How long a mark waits for the writers of a running service.
const PATIENCE: Duration = Duration::from_secs(60);

const IN_USE: &str =
    "the database is in use; stop every server and command that has it open, then run `copy --final` again";
const COLUMNS: &str = "SELECT name, type, pk FROM pragma_table_info(?1) ORDER BY name";
const LAST_ID: &str = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
const GET: &str = "SELECT value FROM meta WHERE key = ?1";
const SET: &str =
    "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const SET_ONCE: &str = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING";

/// An open source. Dropping it ends its transaction and gives its lock back.
pub(super) struct Source {
    sqlite: Connection,
    path: PathBuf,
    _lock: OpenLock,
}

impl Source {
    /// Opens a file of ours; for the last run alone, so that nobody can write to it.
    pub(super) fn open(path: &Path, alone: bool) -> Result<Self> {
        if !path.is_file() {
            return Err(Error::Refused(format!("there is no database at {}", path.display()).into()));
        }
        let path = resolve(path)?;
        let lock = match alone {
            true => OpenLock::alone(&path)?.ok_or(Error::Refused(IN_USE.into()))?,
            false => OpenLock::shared(&path)?,
        };
        let sqlite = open_plain(&path)?;
        sqlite.busy_timeout(PATIENCE)?;
        sqlite.pragma_update(None, "synchronous", "FULL")?;
        let source = Self { sqlite, path, _lock: lock };
        source.version()?;
        Ok(source)
    }

    /// The version of its schema, which must be up to date.
    pub(super) fn version(&self) -> Result<i64> {
        let (version, pending) = migrate::version_of(&self.sqlite)?;
        if pending > 0 {
            let text = format!(
                "{} has no schema of this program, or an earlier one: run `bookstore-auth migrate` on it first",
                self.path.display()
            );
            return Err(Error::Refused(text.into()));
        }
        Ok(version)
    }

    /// The name of the copy; this one if it has none.
    pub(super) fn name_copy(&self, name: &str) -> Result<String> {
        if self.get(meta::COPY_ID)?.is_none() {
            self.sqlite.execute(SET_ONCE, [meta::COPY_ID, name])?;
        }
        self.get(meta::COPY_ID)?.ok_or(Error::Corrupt("a value is gone as soon as it was set".into()))
    }

    /// Where the installation has gone.
    pub(super) fn moved_to(&self) -> Result<Option<String>> {
        self.get(meta::MOVED_TO)
    }

    /// From here on every read sees one moment, and in the last run nobody writes.
    pub(super) fn begin(&self, alone: bool) -> Result<()> {
        self.sqlite.execute_batch(if alone { "BEGIN IMMEDIATE" } else { "BEGIN" })?;
        Ok(())
    }

    /// Says, for good, that the installation has moved.
    pub(super) fn hand_over(&self, to: &str) -> Result<()> {
        self.sqlite.execute(SET, [meta::MOVED_TO, to])?;
        self.sqlite.execute_batch("COMMIT")?;
        Ok(())
    }

    /// A table as its schema says; what only the target knows is still missing.
    pub(super) fn columns(&self, name: &'static str) -> Result<Shape> {
        let mut statement = self.sqlite.prepare(COLUMNS)?;
        let mut rows = statement.query([name])?;
        let (mut columns, mut key) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            let place: i64 = row.get(2)?;
            if place > 0 {
                key.push((place, columns.len()));
            }
            columns.push(Column { name: row.get(0)?, kind: Kind::parse(&row.get::<_, String>(1)?)? });
        }
        key.sort_unstable();
        if key.is_empty() {
            return Err(Error::Corrupt(format!("there is no table {name} with a key").into()));
        }
        let key = key.into_iter().map(|(_, place)| place).collect();
        Ok(Shape { name, columns, key, unique: Vec::new(), referring: Vec::new(), numbered: None })
    }

    /// How many rows of a table are copied.
    pub(super) fn count(&self, shape: &Shape) -> Result<u64> {
        let count: i64 = self.sqlite.query_row(&shape.count(), [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// The highest number that the table has ever given; 0 before the first.
    pub(super) fn last_id(&self, shape: &Shape) -> Result<i64> {
        Ok(self.sqlite.query_row(LAST_ID, [shape.name], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// The rows behind a key, in order.
    pub(super) fn page(&self, shape: &Shape, after: Option<&[Value]>) -> Result<Vec<Vec<Value>>> {
        let mut statement = self.sqlite.prepare_cached(&shape.page(Side::Source, after.is_some()))?;
        let mut rows = statement.query(params_from_iter(after.unwrap_or_default().iter().map(Bound)))?;
        let mut page = Vec::new();
        while let Some(row) = rows.next()? {
            let values = (0..shape.columns.len()).map(|place| read_value(row.get_ref(place)?));
            let values = values.collect::<rusqlite::Result<Vec<_>>>()?;
            shape.check(&values)?;
            page.push(values);
        }
        Ok(page)
    }

    fn get(&self, key: &str) -> Result<Option<String>> {
        Ok(self.sqlite.query_row(GET, [key], |row| row.get(0)).optional()?)
    }
}

struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self.0 {
            Value::Null => Ok(ToSqlOutput::from(rusqlite::types::Null)),
            Value::Int(value) => value.to_sql(),
            Value::Text(value) => value.to_sql(),
            Value::Blob(value) => value.to_sql(),
        }
    }
}
