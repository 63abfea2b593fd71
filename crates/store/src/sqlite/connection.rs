//! One SQLite connection, set up as we need it, and the statements that run on it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, ToSql, params_from_iter};

use super::files::pause;
use super::placeholder::numbered;
use crate::param::{Param, Row, Seen, Value};
use crate::{Error, Result};

/// Statements that stay prepared on a connection: more than there are.
const PREPARED: usize = 192;
/// How long a connection waits before it tries a lock again that another process holds. SQLite's own wait grows to
/// 100 ms, which a process that writes without pause (an import, say) would hardly ever let through.
const TRY_AGAIN: Duration = Duration::from_millis(1);
/// How often the writer tries: for about five seconds.
const WRITER_TRIES: i32 = 5000;
/// How often a reader tries, on a network thread: readers wait only while another process recovers or closes the file.
const READER_TRIES: i32 = 500;
/// Cache of the writer in KiB: what one group changes should fit, or it goes to the log before the commit.
const WRITER_CACHE: i64 = 8 * 1024;
/// The same in KiB while many rows are written: what one batch changes should fit, for a page that leaves early is written twice.
const BULK_CACHE: i64 = 120 * 1024;
/// And the pages of the log after which the writer itself copies what the copier beside it has not, and begins it anew, and what is
/// kept of it: 256 MiB. A log that is cut back and grows again each time costs the file system as much as it costs us.
const BULK_CHECKPOINT: i64 = 64 * 1024;
const BULK_WAL_KEEP: i64 = BULK_CHECKPOINT * 4096;
/// A WAL larger than this is cut back once it has been copied into the file.
const WAL_KEEP: i64 = 64 * 1024 * 1024;

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
}

/// A connection.
pub(super) struct Conn {
    sqlite: Connection,
    /// Statements as SQLite reads them, by where our `'static` text of them lies: found without comparing text.
    rewritten: HashMap<(usize, usize), Box<str>>,
}

impl Conn {
    /// Opens an existing file.
    pub(super) fn open(path: &Path, role: Role) -> Result<Self> {
        let mut sqlite = open_plain(path)?;
        sqlite.busy_handler(Some(match role {
            Role::Writer => |tries| wait_a_little(tries, WRITER_TRIES),
            Role::Reader => |tries| wait_a_little(tries, READER_TRIES),
        }))?;
        sqlite.set_prepared_statement_cache_capacity(PREPARED);
        if role == Role::Writer {
            enter_wal(&sqlite)?;
            sqlite.pragma_update(None, "cache_size", -WRITER_CACHE)?;
        }
        // What a commit has acknowledged survives a power cut: the log is synced with every commit (DB-04).
        sqlite.pragma_update(None, "synchronous", "FULL")?;
        sqlite.pragma_update(None, "fullfsync", true)?;
        sqlite.pragma_update(None, "checkpoint_fullfsync", true)?;
        sqlite.pragma_update(None, "foreign_keys", true)?;
        sqlite.pragma_update(None, "journal_size_limit", WAL_KEEP)?;
        sqlite.pragma_update(None, "temp_store", "MEMORY")?;
        sqlite.pragma_update(None, "secure_delete", "FAST")?;
        sqlite.pragma_update(None, "query_only", role == Role::Reader)?;
        Ok(Self { sqlite, rewritten: HashMap::new() })
    }

    pub(super) fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> rusqlite::Result<u64> {
        let changed = self.prepared(sql)?.execute(params_from_iter(params.iter().map(Bound)))?;
        Ok(changed as u64)
    }

    /// Runs a statement for each of many rows; answers for each whether it changed anything. The statement is looked up once.
    pub(super) fn execute_each<'p, const N: usize>(
        &mut self,
        sql: &'static str,
        rows: impl Iterator<Item = [Param<'p>; N]>,
    ) -> rusqlite::Result<Vec<bool>> {
        let mut statement = self.prepared(sql)?;
        rows.map(|row| {
            for (index, param) in row.iter().enumerate() {
                statement.raw_bind_parameter(index + 1, Bound(param))?;
            }
            Ok(statement.raw_execute()? > 0)
        })
        .collect()
    }

    /// Runs a statement to its end and keeps at most `limit` rows.
    pub(super) fn query(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        limit: usize,
    ) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.prepared(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(params.iter().map(Bound)))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if found.len() < limit {
                let values = (0..columns).map(|column| value(row.get_ref(column)?));
                found.push(Row::new(values.collect::<rusqlite::Result<_>>()?));
            }
        }
        Ok(found)
    }

    /// Runs a statement to its end and shows every row, without keeping it.
    pub(super) fn visit(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        look: &mut dyn FnMut(&Seen<'_>),
    ) -> rusqlite::Result<()> {
        let mut statement = self.prepared(sql)?;
        let mut rows = statement.query(params_from_iter(params.iter().map(Bound)))?;
        while let Some(row) = rows.next()? {
            look(&Seen::Here(row));
        }
        Ok(())
    }

    /// Prepares a statement of a caller, and keeps it so.
    pub(super) fn prepared(&mut self, sql: &'static str) -> rusqlite::Result<CachedStatement<'_>> {
        let at = (sql.as_ptr() as usize, sql.len());
        let text = self.rewritten.entry(at).or_insert_with(|| numbered(sql).into());
        self.sqlite.prepare_cached(text)
    }

    /// Runs one of the engine's own statements: BEGIN and the like.
    pub(super) fn control(&self, sql: &'static str) -> rusqlite::Result<()> {
        self.sqlite.prepare_cached(sql)?.raw_execute().map(drop)
    }

    /// Whether no transaction is open: also when SQLite itself has taken one back after an error.
    pub(super) fn is_autocommit(&self) -> bool {
        self.sqlite.is_autocommit()
    }

    /// See `Db::prepare_for_bulk`.
    pub(super) fn prepare_for_bulk(&self) -> rusqlite::Result<()> {
        self.sqlite.pragma_update(None, "cache_size", -BULK_CACHE)?;
        self.sqlite.pragma_update(None, "journal_size_limit", BULK_WAL_KEEP)?;
        self.sqlite.pragma_update(None, "wal_autocheckpoint", BULK_CHECKPOINT)
    }

    /// Copies as much of the log into the file as readers allow, and makes nobody wait.
    pub(super) fn checkpoint_passively(&self) -> rusqlite::Result<()> {
        self.sqlite.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    }

    /// Copies the log into the file and empties it, if no reader is in the way.
    pub(super) fn checkpoint(&self) -> rusqlite::Result<()> {
        self.sqlite.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}

/// Opens an existing file with the settings that hold for every use of it.
pub(crate) fn open_plain(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sqlite = Connection::open_with_flags(as_name(path), flags)?;
    // Text in double quotes is a name, never a value; the schema cannot call what we did not mean it to.
    sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(sqlite)
}

fn wait_a_little(tries: i32, most: i32) -> bool {
    pause(TRY_AGAIN);
    tries < most
}

/// A path as SQLite takes it: one that begins with `:` would be a database in memory.
fn as_name(path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) }
}

/// Turns the write-ahead log on; the file remembers it. Another process that does the same is in the way for a moment,
/// and SQLite answers at once instead of waiting: so we wait.
fn enter_wal(sqlite: &Connection) -> Result<()> {
    for _ in 0..100 {
        match sqlite.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(Error::unavailable("the file system does not support a write-ahead log")),
            Err(error) => match Error::from(error) {
                Error::Busy => pause(Duration::from_millis(20)),
                other => return Err(other),
            },
        }
    }
    Err(Error::Busy)
}

/// A parameter as SQLite binds it, without a copy.
struct Bound<'a>(&'a Param<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Param::Null => ValueRef::Null,
            Param::Int(value) => ValueRef::Integer(*value),
            Param::Text(value) => ValueRef::Text(value.as_bytes()),
            Param::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

pub(crate) fn value(value: ValueRef<'_>) -> rusqlite::Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Text(value) => Value::Text(str::from_utf8(value)?.to_owned()),
        ValueRef::Blob(value) => Value::Blob(value.to_vec()),
        // We store no fractions; a caller that asks for a number says what is wrong.
        ValueRef::Real(value) => Value::Text(value.to_string()),
    })
}
