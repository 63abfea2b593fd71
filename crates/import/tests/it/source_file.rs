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
/// The tables of groups and permissions, and those of SimpleJWT's blacklist, as their migrations make them.
const OTHERS: &str = r#"
CREATE TABLE "django_content_type" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app_label" varchar(100) NOT NULL, "model" varchar(100) NOT NULL);
CREATE TABLE "auth_permission" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "content_type_id" integer NOT NULL, "codename" varchar(100) NOT NULL, "name" varchar(255) NOT NULL);
CREATE TABLE "auth_group" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(150) NOT NULL UNIQUE);
CREATE TABLE "auth_group_permissions" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "group_id" integer NOT NULL, "permission_id" integer NOT NULL);
CREATE TABLE "auth_user_groups" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" integer NOT NULL, "group_id" integer NOT NULL);
CREATE TABLE "auth_user_user_permissions" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" integer NOT NULL, "permission_id" integer NOT NULL);
CREATE TABLE "token_blacklist_outstandingtoken" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "token" text NOT NULL, "created_at" datetime NULL, "expires_at" datetime NOT NULL, "user_id" integer NULL, "jti" varchar(255) NOT NULL UNIQUE);
CREATE TABLE "token_blacklist_blacklistedtoken" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "blacklisted_at" datetime NOT NULL, "token_id" integer NOT NULL UNIQUE);
INSERT INTO django_content_type VALUES (1, 'shop', 'book');
INSERT INTO auth_permission VALUES (21, 1, 'add_book', 'Can add book'), (22, 1, 'view_book', 'Can view book');
INSERT INTO auth_group VALUES (5, 'Editors'), (6, 'Bell' || char(7));
INSERT INTO auth_group_permissions VALUES (1, 5, 22), (2, 5, 21), (3, 5, 99);
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

    /// Adds the tables beside that of users, with a group (5), permissions (21, 22) and a group whose name cannot be one.
    pub(crate) fn add_others(&self) {
        self.connection.execute_batch(OTHERS).unwrap();
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
