//! Reads `auth_user`, whatever its cells hold: SQLite does not hold a column to its type.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::Error;

/// The columns that Django has had in `auth_user` since 1.10, in the order of `RawRow`.
const COLUMNS: [&str; 11] = [
    "id",
    "username",
    "email",
    "first_name",
    "last_name",
    "password",
    "is_active",
    "is_staff",
    "is_superuser",
    "date_joined",
    "last_login",
];
const ROWS: &str = "SELECT id, username, email, first_name, last_name, password, is_active, is_staff, is_superuser, \
                    date_joined, last_login FROM auth_user WHERE id > ?1 ORDER BY id LIMIT ?2";
const COUNT: &str = "SELECT count(*) FROM auth_user";
const HAS_SEQUENCES: &str = "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'";
const LAST_ID: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'auth_user'";
const TABLE: &str = "SELECT name FROM pragma_table_info('auth_user')";

/// How long to wait for the Django service to finish writing.
const PATIENCE: Duration = Duration::from_secs(10);

/// One row as it is stored.
#[derive(Clone, Debug)]
pub(super) struct RawRow {
    pub(super) id: i64,
    /// The cells after the id, in the order of `COLUMNS`.
    pub(super) cells: [Value; 10],
}

impl RawRow {
    /// The name as far as it can be shown.
    pub(super) fn shown_name(&self) -> &str {
        match &self.cells[0] {
            Value::Text(name) => name,
            _ => "",
        }
    }
}

/// An open Django database.
pub(super) struct Source(Connection);

impl Source {
    /// Opens the file for reading only; it must have the table with its columns.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Open { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        let columns: Vec<String> = {
            let mut statement = connection.prepare(TABLE).map_err(failed)?;
            let rows = statement.query_map([], |row| row.get(0)).map_err(failed)?;
            rows.collect::<Result<_, _>>().map_err(failed)?
        };
        let missing: Vec<&str> =
            COLUMNS.into_iter().filter(|name| !columns.iter().any(|column| column == name)).collect();
        let reason = match (columns.is_empty(), missing.is_empty()) {
            (true, _) => "it has no table auth_user".to_owned(),
            (false, false) => format!("its table auth_user has no column {}", missing.join(", ")),
            (false, true) => return Ok(Self(connection)),
        };
        Err(Error::NotDjango { path: path.to_owned(), reason })
    }

    /// How many users there are.
    pub(super) fn count(&self) -> Result<u64, Error> {
        let count: i64 = self.0.query_row(COUNT, [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// At most `limit` rows with ids above `after`, by id. Each call is a read transaction of its own: a longer one
    /// would keep the Django service from writing.
    pub(super) fn rows_after(&self, after: i64, limit: usize) -> Result<Vec<RawRow>, Error> {
        let mut statement = self.0.prepare_cached(ROWS)?;
        let rows = statement.query_map((after, limit as i64), |row| {
            let mut cells = std::array::from_fn(|_| Value::Null);
            for (index, cell) in cells.iter_mut().enumerate() {
                *cell = lenient(row.get_ref(index + 1)?);
            }
            Ok(RawRow { id: row.get(0)?, cells })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The highest id ever issued there, also to accounts deleted since.
    pub(super) fn last_id(&self) -> Result<i64, Error> {
        if self.0.query_row(HAS_SEQUENCES, [], |_| Ok(())).optional()?.is_none() {
            return Ok(0);
        }
        Ok(self.0.query_row(LAST_ID, [], |row| row.get(0)).optional()?.unwrap_or(0))
    }
}

/// Text that is not UTF-8 is handed on as bytes instead of failing the whole batch.
fn lenient(cell: rusqlite::types::ValueRef<'_>) -> Value {
    use rusqlite::types::ValueRef;
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Blob(bytes.to_vec()),
        },
    }
}
