//! A Django service on PostgreSQL: one moment of it, read page by page. Times come as the texts that Django writes on SQLite,
//! so that the rows of both engines are checked alike.

use rusqlite::types::Value;
use service::import::{Foreign, PostgresOptions};
use tokio::runtime::{Builder, Runtime};

use super::source::{Catalog, RawRow, RawToken, Tables, deal, fault};
use crate::Error;

const ROWS: &str = "SELECT CAST(id AS BIGINT), CAST(username AS TEXT), CAST(email AS TEXT), CAST(first_name AS TEXT), \
    CAST(last_name AS TEXT), CAST(password AS TEXT), CAST(CAST(is_active AS INT) AS BIGINT), \
    CAST(CAST(is_staff AS INT) AS BIGINT), CAST(CAST(is_superuser AS INT) AS BIGINT), \
    to_char(date_joined AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), \
    to_char(last_login AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') \
    FROM auth_user WHERE id > CAST($1 AS BIGINT) ORDER BY id LIMIT CAST($2 AS BIGINT)";
const GROUPS_OF_USERS: &str = "SELECT CAST(user_id AS BIGINT), CAST(group_id AS BIGINT) FROM auth_user_groups \
    WHERE user_id >= CAST($1 AS BIGINT) AND user_id <= CAST($2 AS BIGINT) ORDER BY user_id, group_id";
const PERMISSIONS_OF_USERS: &str = "SELECT CAST(user_id AS BIGINT), CAST(permission_id AS BIGINT) \
    FROM auth_user_user_permissions WHERE user_id >= CAST($1 AS BIGINT) AND user_id <= CAST($2 AS BIGINT) \
    ORDER BY user_id, permission_id";
const PERMISSIONS: &str = "SELECT CAST(p.id AS BIGINT), CAST(c.app_label AS TEXT), CAST(p.codename AS TEXT), \
    CAST(p.name AS TEXT) FROM auth_permission p JOIN django_content_type c ON c.id = p.content_type_id ORDER BY p.id";
const GROUPS: &str = "SELECT CAST(id AS BIGINT), CAST(name AS TEXT) FROM auth_group ORDER BY id";
const GROUP_PERMISSIONS: &str = "SELECT CAST(group_id AS BIGINT), CAST(permission_id AS BIGINT) \
    FROM auth_group_permissions ORDER BY group_id, permission_id";
const TOKENS: &str = "SELECT CAST(b.id AS BIGINT), CAST(o.jti AS TEXT), \
    to_char(o.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') FROM token_blacklist_blacklistedtoken b \
    JOIN token_blacklist_outstandingtoken o ON o.id = b.token_id \
    WHERE b.id > CAST($1 AS BIGINT) ORDER BY b.id LIMIT CAST($2 AS BIGINT)";
const COUNT: &str = "SELECT count(*) FROM auth_user";
const LAST_ID: &str =
    "SELECT COALESCE(pg_sequence_last_value(CAST(pg_get_serial_sequence('auth_user', 'id') AS regclass)), 0)";
const COLUMNS: &str = "SELECT CAST(attname AS TEXT) FROM pg_attribute \
    WHERE attrelid = to_regclass('auth_user') AND attnum > 0 AND NOT attisdropped";
const TABLES: &str = "SELECT CAST(name AS TEXT) FROM unnest(ARRAY['auth_group', 'auth_user_groups', 'auth_permission', \
    'django_content_type', 'auth_user_user_permissions', 'auth_group_permissions', 'token_blacklist_outstandingtoken', \
    'token_blacklist_blacklistedtoken']) AS name WHERE to_regclass(name) IS NOT NULL";

/// An open database, with a runtime of its own: a source blocks.
pub(super) struct Source {
    runtime: Runtime,
    database: Foreign,
    tables: Tables,
}

impl Source {
    pub(super) fn open(options: &PostgresOptions) -> Result<Self, Error> {
        let failed = |source| Error::open(options, source);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::open(options, error))?;
        let database = runtime.block_on(Foreign::open(options)).map_err(failed)?;
        let texts = |sql| -> Result<Vec<String>, Error> {
            let rows = runtime.block_on(database.query(sql, &[])).map_err(failed)?;
            rows.iter().map(|row| row.text(0).map(str::to_owned).map_err(failed)).collect()
        };
        if let Some(reason) = fault(&texts(COLUMNS)?) {
            return Err(Error::NotDjango { place: options.to_string(), reason });
        }
        let names = texts(TABLES)?;
        let tables = Tables::find(|name| Ok::<_, Error>(names.iter().any(|known| known == name)))?;
        Ok(Self { runtime, database, tables })
    }

    fn query(&self, sql: &str, numbers: &[i64]) -> Result<Vec<service::import::Row>, Error> {
        self.runtime.block_on(self.database.query(sql, numbers)).map_err(Error::read)
    }

    fn number(&self, sql: &str) -> Result<i64, Error> {
        let rows = self.query(sql, &[])?;
        rows.first().map_or(Ok(0), |row| row.int(0)).map_err(Error::read)
    }

    pub(super) fn count(&self) -> Result<u64, Error> {
        Ok(self.number(COUNT)?.unsigned_abs())
    }

    pub(super) fn catalog(&self) -> Result<Catalog, Error> {
        let mut catalog = Catalog::default();
        if self.tables.permissions {
            for row in self.query(PERMISSIONS, &[])? {
                let texts = (text(&row, 1)?, text(&row, 2)?, text(&row, 3)?);
                catalog.permissions.push((row.int(0).map_err(Error::read)?, texts.0, texts.1, texts.2));
            }
        }
        if self.tables.groups {
            for row in self.query(GROUPS, &[])? {
                catalog.groups.push((row.int(0).map_err(Error::read)?, text(&row, 1)?));
            }
        }
        if self.tables.groups && self.tables.permissions {
            catalog.group_permissions = self.pairs(GROUP_PERMISSIONS, &[])?;
        }
        Ok(catalog)
    }

    fn pairs(&self, sql: &str, numbers: &[i64]) -> Result<Vec<(i64, i64)>, Error> {
        let pair = |row: &service::import::Row| Ok((row.int(0)?, row.int(1)?));
        self.query(sql, numbers)?
            .iter()
            .map(pair)
            .collect::<Result<_, service::import::StoreError>>()
            .map_err(Error::read)
    }

    pub(super) fn rows_after(&mut self, after: i64, limit: usize) -> Result<Vec<RawRow>, Error> {
        let found = self.query(ROWS, &[after, limit as i64])?;
        let mut rows = found.iter().map(raw_row).collect::<Result<Vec<_>, _>>()?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(rows) };
        let range = [first.id, last.id];
        if self.tables.groups {
            deal(&mut rows, self.pairs(GROUPS_OF_USERS, &range)?, |row| &mut row.groups);
        }
        if self.tables.permissions {
            deal(&mut rows, self.pairs(PERMISSIONS_OF_USERS, &range)?, |row| &mut row.permissions);
        }
        Ok(rows)
    }

    pub(super) fn tokens_after(&mut self, after: i64, limit: usize) -> Result<Vec<RawToken>, Error> {
        if !self.tables.tokens {
            return Ok(Vec::new());
        }
        let token = |row: &service::import::Row| {
            let id = row.int(0).map_err(Error::read)?;
            Ok(RawToken { id, jti: text(row, 1)?, expires_at: text(row, 2)? })
        };
        self.query(TOKENS, &[after, limit as i64])?.iter().map(token).collect()
    }

    pub(super) fn last_id(&self) -> Result<i64, Error> {
        self.number(LAST_ID)
    }
}

fn raw_row(row: &service::import::Row) -> Result<RawRow, Error> {
    let mut cells = std::array::from_fn(|_| Value::Null);
    for (index, cell) in cells.iter_mut().enumerate() {
        *cell = match index {
            5..=7 => row.opt_int(index + 1).map_err(Error::read)?.map_or(Value::Null, Value::Integer),
            _ => text(row, index + 1)?,
        };
    }
    let id = row.int(0).map_err(Error::read)?;
    Ok(RawRow { id, cells, groups: Vec::new(), permissions: Vec::new() })
}

fn text(row: &service::import::Row, column: usize) -> Result<Value, Error> {
    let text = row.opt_text(column).map_err(Error::read)?;
    Ok(text.map_or(Value::Null, |text| Value::Text(text.to_owned())))
}
