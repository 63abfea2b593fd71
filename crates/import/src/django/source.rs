//! A Django service's database, whatever its engine: raw rows, in pages by id.

use std::path::PathBuf;

use rusqlite::types::Value;
use service::import::PostgresOptions;

use super::{postgres, sqlite};
use crate::Error;

/// The columns that Django has had in `auth_user` since 1.10, in the order of [`RawRow`].
pub(super) const COLUMNS: [&str; 11] = [
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

/// Where a Django service keeps its users.
#[derive(Clone, Debug)]
pub enum Location {
    /// A SQLite file.
    File(PathBuf),
    /// A database on a PostgreSQL server.
    Server(Box<PostgresOptions>),
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(options) => options.fmt(f),
        }
    }
}

/// One row of `auth_user` as it is stored.
#[derive(Clone, Debug)]
pub(super) struct RawRow {
    pub(super) id: i64,
    /// The cells after the id, in the order of `COLUMNS`.
    pub(super) cells: [Value; 10],
    /// Ids of groups.
    pub(super) groups: Vec<i64>,
    /// Ids of permissions.
    pub(super) permissions: Vec<i64>,
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

/// Groups and permissions, all of them: there are few.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalog {
    /// Id, application, codename, name.
    pub(super) permissions: Vec<(i64, Value, Value, Value)>,
    /// Id, name.
    pub(super) groups: Vec<(i64, Value)>,
    /// Group, permission; by group and permission.
    pub(super) group_permissions: Vec<(i64, i64)>,
}

/// One refused token: the id of its row, its `jti` and its end.
#[derive(Clone, Debug)]
pub(super) struct RawToken {
    pub(super) id: i64,
    pub(super) jti: Value,
    pub(super) expires_at: Value,
}

/// Which of the optional tables there are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tables {
    pub(super) groups: bool,
    pub(super) permissions: bool,
    pub(super) tokens: bool,
}

impl Tables {
    /// By a function that knows whether there is a table.
    pub(super) fn find<E>(mut has: impl FnMut(&str) -> Result<bool, E>) -> Result<Self, E> {
        let mut all = |names: &[&str]| names.iter().try_fold(true, |all, name| Ok(all && has(name)?));
        Ok(Self {
            groups: all(&["auth_group", "auth_user_groups"])?,
            permissions: all(&[
                "auth_permission",
                "django_content_type",
                "auth_user_user_permissions",
                "auth_group_permissions",
            ])?,
            tokens: all(&["token_blacklist_outstandingtoken", "token_blacklist_blacklistedtoken"])?,
        })
    }
}

/// An open Django database. Its functions block: it lives on a thread of its own.
pub(super) enum Source {
    Sqlite(sqlite::Source),
    Postgres(postgres::Source),
}

impl Source {
    /// Opens it for reading only; it must have the table of users with its columns.
    pub(super) fn open(location: &Location) -> Result<Self, Error> {
        match location {
            Location::File(path) => sqlite::Source::open(path).map(Self::Sqlite),
            Location::Server(options) => postgres::Source::open(options).map(Self::Postgres),
        }
    }

    /// How many users there are.
    pub(super) fn count(&self) -> Result<u64, Error> {
        match self {
            Self::Sqlite(source) => source.count(),
            Self::Postgres(source) => source.count(),
        }
    }

    /// Groups and permissions.
    pub(super) fn catalog(&self) -> Result<Catalog, Error> {
        match self {
            Self::Sqlite(source) => source.catalog(),
            Self::Postgres(source) => source.catalog(),
        }
    }

    /// At most `limit` users with ids above `after`, by id.
    pub(super) fn rows_after(&mut self, after: i64, limit: usize) -> Result<Vec<RawRow>, Error> {
        match self {
            Self::Sqlite(source) => source.rows_after(after, limit),
            Self::Postgres(source) => source.rows_after(after, limit),
        }
    }

    /// At most `limit` refused tokens whose rows have ids above `after`, by id.
    pub(super) fn tokens_after(&mut self, after: i64, limit: usize) -> Result<Vec<RawToken>, Error> {
        match self {
            Self::Sqlite(source) => source.tokens_after(after, limit),
            Self::Postgres(source) => source.tokens_after(after, limit),
        }
    }

    /// The highest id ever issued to a user there, also to accounts deleted since; 0 when it is not known.
    pub(super) fn last_id(&self) -> Result<i64, Error> {
        match self {
            Self::Sqlite(source) => source.last_id(),
            Self::Postgres(source) => source.last_id(),
        }
    }
}

/// What is wrong with the table of users, if anything, by the names of its columns.
pub(super) fn fault(columns: &[String]) -> Option<String> {
    let missing: Vec<&str> =
        COLUMNS.into_iter().filter(|name| !columns.iter().any(|column| column == name)).collect();
    match (columns.is_empty(), missing.is_empty()) {
        (true, _) => Some("it has no table auth_user".to_owned()),
        (false, false) => Some(format!("its table auth_user has no column {}", missing.join(", "))),
        (false, true) => None,
    }
}

/// Gives each row of a page, which is sorted by id, what belongs to it of a list sorted by the id of the user.
pub(super) fn deal(
    rows: &mut [RawRow],
    pairs: impl IntoIterator<Item = (i64, i64)>,
    to: fn(&mut RawRow) -> &mut Vec<i64>,
) {
    let mut place = 0;
    for (user, id) in pairs {
        while rows.get(place).is_some_and(|row| row.id < user) {
            place += 1;
        }
        if let Some(row) = rows.get_mut(place).filter(|row| row.id == user) {
            to(row).push(id);
        }
    }
}
