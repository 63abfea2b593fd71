//! A Django service on SQLite, whatever its cells hold: SQLite does not hold a column to its type.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use super::source::{Catalog, RawRow, RawToken, Tables, deal, fault};
use crate::Error;

const ROWS: &str = "SELECT id, username, email, first_name, last_name, password, is_active, is_staff, is_superuser, \
                    date_joined, last_login FROM auth_user WHERE id > ?1 ORDER BY id LIMIT ?2";
const GROUPS_OF_USERS: &str = "SELECT user_id, group_id FROM auth_user_groups WHERE user_id BETWEEN ?1 AND ?2 \
                               ORDER BY user_id, group_id";
const PERMISSIONS_OF_USERS: &str = "SELECT user_id, permission_id FROM auth_user_user_permissions \
                                    WHERE user_id BETWEEN ?1 AND ?2 ORDER BY user_id, permission_id";
const PERMISSIONS: &str = "SELECT p.id, c.app_label, p.codename, p.name FROM auth_permission p \
                           JOIN django_content_type c ON c.id = p.content_type_id ORDER BY p.id";
const GROUPS: &str = "SELECT id, name FROM auth_group ORDER BY id";
const GROUP_PERMISSIONS: &str =
    "SELECT group_id, permission_id FROM auth_group_permissions ORDER BY group_id, permission_id";
const TOKENS: &str = "SELECT b.id, o.jti, o.expires_at FROM token_blacklist_blacklistedtoken b \
                      JOIN token_blacklist_outstandingtoken o ON o.id = b.token_id WHERE b.id > ?1 ORDER BY b.id LIMIT ?2";
const COUNT: &str = "SELECT count(*) FROM auth_user";
const HAS_TABLE: &str = "SELECT 1 FROM sqlite_master WHERE name = ?1";
const LAST_ID: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'auth_user'";
const COLUMNS: &str = "SELECT name FROM pragma_table_info('auth_user')";

/// How long to wait for the Django service to finish writing.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open file.
pub(super) struct Source {
    connection: Connection,
    tables: Tables,
}

impl Source {
    /// Opens the file for reading only.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source: rusqlite::Error| Error::open(path.display(), source);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        let columns: Vec<String> = {
            let mut statement = connection.prepare(COLUMNS).map_err(failed)?;
            let rows = statement.query_map([], |row| row.get(0)).map_err(failed)?;
            rows.collect::<Result<_, _>>().map_err(failed)?
        };
        if let Some(reason) = fault(&columns) {
            return Err(Error::NotDjango { place: path.display().to_string(), reason });
        }
        let tables = Tables::find(|name| has_table(&connection, name)).map_err(failed)?;
        Ok(Self { connection, tables })
    }

    pub(super) fn count(&self) -> Result<u64, Error> {
        let count: i64 = self.connection.query_row(COUNT, [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    pub(super) fn catalog(&self) -> Result<Catalog, Error> {
        // One transaction: groups and what they hold belong together.
        let moment = self.connection.unchecked_transaction()?;
        let mut catalog = Catalog::default();
        if self.tables.permissions {
            let mut statement = moment.prepare(PERMISSIONS)?;
            let rows = statement.query_map([], |row| {
                Ok((
                    row.get(0)?,
                    lenient(row.get_ref(1)?),
                    lenient(row.get_ref(2)?),
                    lenient(row.get_ref(3)?),
                ))
            })?;
            catalog.permissions = rows.collect::<Result<_, _>>()?;
        }
        if self.tables.groups {
            let mut statement = moment.prepare(GROUPS)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, lenient(row.get_ref(1)?))))?;
            catalog.groups = rows.collect::<Result<_, _>>()?;
        }
        if self.tables.groups && self.tables.permissions {
            let mut statement = moment.prepare(GROUP_PERMISSIONS)?;
            catalog.group_permissions = statement.query_map([], pair)?.collect::<Result<_, _>>()?;
        }
        Ok(catalog)
    }

    /// Each call is a read transaction of its own: a longer one would keep the Django service from writing.
    pub(super) fn rows_after(&mut self, after: i64, limit: usize) -> Result<Vec<RawRow>, Error> {
        let moment = self.connection.transaction()?;
        let mut statement = moment.prepare_cached(ROWS)?;
        let rows = statement.query_map((after, limit as i64), |row| {
            let mut cells = std::array::from_fn(|_| Value::Null);
            for (index, cell) in cells.iter_mut().enumerate() {
                *cell = lenient(row.get_ref(index + 1)?);
            }
            Ok(RawRow { id: row.get(0)?, cells, groups: Vec::new(), permissions: Vec::new() })
        })?;
        let mut rows: Vec<RawRow> = rows.collect::<Result<_, _>>()?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(rows) };
        let range = (first.id, last.id);
        if self.tables.groups {
            deal(&mut rows, pairs(&moment, GROUPS_OF_USERS, range)?, |row| &mut row.groups);
        }
        if self.tables.permissions {
            deal(&mut rows, pairs(&moment, PERMISSIONS_OF_USERS, range)?, |row| &mut row.permissions);
        }
        Ok(rows)
    }

    pub(super) fn tokens_after(&mut self, after: i64, limit: usize) -> Result<Vec<RawToken>, Error> {
        if !self.tables.tokens {
            return Ok(Vec::new());
        }
        let mut statement = self.connection.prepare_cached(TOKENS)?;
        let rows = statement.query_map((after, limit as i64), |row| {
            let (jti, expires_at) = (lenient(row.get_ref(1)?), lenient(row.get_ref(2)?));
            Ok(RawToken { id: row.get(0)?, jti, expires_at })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn last_id(&self) -> Result<i64, Error> {
        if !has_table(&self.connection, "sqlite_sequence")? {
            return Ok(0);
        }
        Ok(self.connection.query_row(LAST_ID, [], |row| row.get(0)).optional()?.unwrap_or(0))
    }
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    Ok(connection.query_row(HAS_TABLE, [name], |_| Ok(())).optional()?.is_some())
}

fn pairs(connection: &Connection, sql: &str, range: (i64, i64)) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(range, pair)?.collect()
}

fn pair(row: &Row<'_>) -> rusqlite::Result<(i64, i64)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// Text that is not UTF-8 is handed on as bytes instead of failing the whole batch.
fn lenient(cell: ValueRef<'_>) -> Value {
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
