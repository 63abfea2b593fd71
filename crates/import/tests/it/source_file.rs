//! A Django service's database.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ToSql, params};
use tempfile::TempDir;

/// The table as Django 4.2 and 5 make it on SQLite.
const SCHEMA: &str = r#"
CREATE TABLE "auth_user" (
    "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "password" varchar(128) NOT NULL, "last_login" datetime NULL,
    "is_superuser" bool NOT NULL, "username" varchar(150) NOT NULL UNIQUE, "last_name" varchar(150) NOT NULL,
    "email" varchar(254) NOT NULL, "is_staff" bool NOT NULL, "is_active" bool NOT NULL, "date_joined" datetime NOT NULL,
    "first_name" varchar(150) NOT NULL);
"#;
const INSERT: &str = "INSERT INTO auth_user (id, username, email, first_name, last_name, password, is_active, is_staff, \
    is_superuser, date_joined, last_login) VALUES (?1, ?2, ?2 || '@example.com', 'First', 'Last', ?3, 1, 0, 0, \
    '2024-05-01 12:00:00.123456', NULL)";

/// `wanderlust-42`, as Django stores it.
pub(crate) const HASH: &str =
    "pbkdf2_sha256$1000$NaClNaClNaClNaCl01$UvwbNXHJ9taEZuNuG74/3I856IGeAfjgQYOtcPHS3hQ=";
/// `new-password-77`, likewise.
pub(crate) const OTHER_HASH: &str =
    "pbkdf2_sha256$1000$NaClNaClNaClNaCl02$iAUKUSLodQbd1FYCzpsjIi54aqMKliiKAv1/E2+SKP4=";

pub(crate) struct SourceFile {
    folder: TempDir,
    pub(crate) connection: Connection,
}

impl SourceFile {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("db.sqlite3")).unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        Self { folder, connection }
    }

    /// A service with these users; ids from 1, all with the password `wanderlust-42`.
    pub(crate) fn with(names: &[&str]) -> Self {
        let file = Self::new();
        for (index, name) in names.iter().enumerate() {
            file.add(index as i64 + 1, name);
        }
        file
    }

    pub(crate) fn add(&self, id: i64, name: &str) {
        self.connection.execute(INSERT, params![id, name, HASH]).unwrap();
    }

    /// Many users with the ids `from..from + count`, in one transaction.
    pub(crate) fn add_many(&mut self, from: i64, count: i64) {
        let transaction = self.connection.transaction().unwrap();
        for id in from..from + count {
            transaction.execute(INSERT, params![id, format!("user{id}"), HASH]).unwrap();
        }
        transaction.commit().unwrap();
    }

    pub(crate) fn set(&self, id: i64, column: &str, value: impl ToSql) {
        let sql = format!("UPDATE auth_user SET {column} = ?1 WHERE id = ?2");
        assert_eq!(self.connection.execute(&sql, params![value, id]).unwrap(), 1);
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("db.sqlite3")
    }
}
