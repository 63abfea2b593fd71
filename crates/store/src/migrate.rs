//! The schema and how it changes.
//!
//! Each migration runs once, whole or not at all, in the transaction that also notes it in `schema_migrations` with a
//! checksum of its text. Programs of two versions run side by side while one replaces the other: a program works with
//! a later schema unless that schema's `compatible_from` (in `meta`) is above the last migration the program knows.
//!
//! # How to add a migration
//! Add `migrations/<engine>/NNNN_name.sql` for every engine and a line to the list below. Never change one that has
//! been released. Its `compatible_from` is the version of the oldest program that still works with the result: raise
//! it only in a migration that removes what an earlier one has stopped using.

mod postgres;

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest;
use domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::db::{Kind, off_thread};
use crate::sqlite::open_plain;
use crate::{Db, Error, Result};

/// How long a migration waits for other writers, among them another process that migrates.
const PATIENCE: Duration = Duration::from_secs(60);

/// One step of the schema.
struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
    compatible_from: i64,
}

impl Migration {
    /// One that programs without it can live with.
    const fn added(version: i64, name: &'static str, sql: &'static str) -> Self {
        Self { version, name, sql, compatible_from: 1 }
    }
}

/// The list, with the texts of an engine, and the oldest program that works with the rules on names that it has since 0015.
macro_rules! migrations {
    ($engine:literal, names_since: $names_since:literal) => {
        &[
            Migration::added(1, "initial", text!($engine, "0001_initial")),
            Migration::added(2, "session_list", text!($engine, "0002_session_list")),
            Migration::added(3, "signing_keys", text!($engine, "0003_signing_keys")),
            Migration::added(4, "status_lists", text!($engine, "0004_status_lists")),
            Migration::added(5, "audit", text!($engine, "0005_audit")),
            Migration::added(6, "mail", text!($engine, "0006_mail")),
            Migration::added(7, "accounts", text!($engine, "0007_accounts")),
            Migration::added(8, "groups", text!($engine, "0008_groups")),
            Migration::added(9, "administration", text!($engine, "0009_administration")),
            Migration::added(10, "api_keys", text!($engine, "0010_api_keys")),
            Migration::added(11, "throttle", text!($engine, "0011_throttle")),
            Migration::added(12, "unproved_accounts", text!($engine, "0012_unproved_accounts")),
            Migration::added(13, "account_indexes", text!($engine, "0013_account_indexes")),
            Migration::added(14, "email_index", text!($engine, "0014_email_index")),
            Migration {
                compatible_from: $names_since,
                ..Migration::added(15, "one_name_index", text!($engine, "0015_one_name_index"))
            },
        ]
    };
}

macro_rules! text {
    ($engine:literal, $file:literal) => {
        include_str!(concat!("../migrations/", $engine, "/", $file, ".sql"))
    };
}

const SQLITE: &[Migration] = migrations!("sqlite", names_since: 15);
const POSTGRES: &[Migration] = migrations!("postgres", names_since: 1);

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY KEY NOT NULL, \
    name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)";
const HAS_TABLE: &str =
    "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'";
const APPLIED: &str = "SELECT version, checksum FROM schema_migrations ORDER BY version";
const NOTE: &str =
    "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)";
const COMPATIBLE_FROM: &str = "SELECT value FROM meta WHERE key = 'compatible_from'";
const SET_COMPATIBLE_FROM: &str = "INSERT INTO meta (key, value) VALUES ('compatible_from', ?1) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value \
    WHERE CAST(meta.value AS BIGINT) < CAST(excluded.value AS BIGINT)";

/// What to do about pending migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Apply them.
    Auto,
    /// Refuse to go on: for a run-time role that may not change the schema.
    Never,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Names of the migrations applied now, in order.
    pub applied: Vec<String>,
    /// Version of the schema; may be above what this program knows.
    pub version: i64,
}

/// Brings the schema up to date, or says why it cannot be used. Several processes may do so at once.
///
/// # Errors
/// [`Error::SchemaTooNew`], [`Error::MigrationChanged`], [`Error::MigrationsPending`] (mode [`Mode::Never`]), and what
/// the database answers; nothing of a failed migration stays.
pub async fn migrate(db: &Db, mode: Mode, now: Timestamp) -> Result<Report> {
    match db.engine() {
        Kind::Sqlite(engine) => {
            let path = engine.path().to_owned();
            off_thread(move || migrate_file(&path, SQLITE, mode, now)).await
        }
        Kind::Postgres(engine) => postgres::migrate(&engine.session().await?, POSTGRES, mode, now).await,
    }
}

/// Names of the migrations that [`migrate`] would apply.
///
/// # Errors
/// As [`migrate`], except for pending ones.
pub async fn pending(db: &Db) -> Result<Vec<String>> {
    match db.engine() {
        Kind::Sqlite(engine) => {
            let path = engine.path().to_owned();
            off_thread(move || {
                let sqlite = open_plain(&path)?;
                sqlite.busy_timeout(PATIENCE)?;
                let (_, pending) = compare(&sqlite, SQLITE)?;
                Ok(pending.iter().map(|migration| full_name(migration)).collect())
            })
            .await
        }
        Kind::Postgres(engine) => {
            let (_, pending) = postgres::compare(&engine.session().await?, POSTGRES).await?;
            Ok(pending.iter().map(|migration| full_name(migration)).collect())
        }
    }
}

/// The version of a file's schema, and how many migrations are pending.
pub(crate) fn version_of(sqlite: &Connection) -> Result<(i64, usize)> {
    compare(sqlite, SQLITE).map(|(version, pending)| (version, pending.len()))
}

/// Brings the schema of a file that nobody else has open up to date.
pub(crate) fn migrate_closed(path: &Path, now: Timestamp) -> Result<Report> {
    migrate_file(path, SQLITE, Mode::Auto, now)
}

fn migrate_file(path: &Path, known: &'static [Migration], mode: Mode, now: Timestamp) -> Result<Report> {
    let mut sqlite = open_plain(path)?;
    sqlite.busy_timeout(PATIENCE)?;
    // A migration may have to rebuild a table that others refer to; the references are checked before it commits.
    sqlite.pragma_update(None, "foreign_keys", false)?;
    sqlite.pragma_update(None, "synchronous", "FULL")?;
    // What is sorted for an index stays in memory: there may be no other place that we may write to.
    sqlite.pragma_update(None, "temp_store", "MEMORY")?;
    sqlite.pragma_update(None, "secure_delete", "FAST")?;
    let mut applied = Vec::new();
    loop {
        let (version, pending) = compare(&sqlite, known)?;
        let Some(next) = pending.first() else { return Ok(Report { applied, version }) };
        if mode == Mode::Never {
            return Err(Error::MigrationsPending(pending.len()));
        }
        // Whether it is still pending is asked again under the write lock: another process may have been faster.
        if apply(&mut sqlite, known, next, now)? {
            tracing::info!(migration = full_name(next), "the schema has been changed");
            applied.push(full_name(next));
        }
    }
}

fn apply(sqlite: &mut Connection, known: &[Migration], next: &Migration, now: Timestamp) -> Result<bool> {
    let tx = sqlite.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if compare(&tx, known)?.1.first().map(|first| first.version) != Some(next.version) {
        return Ok(false);
    }
    tx.execute_batch(TABLE)?;
    tx.execute_batch(next.sql)?;
    tx.execute(NOTE, (next.version, next.name, checksum(next.sql), now.micros()))?;
    tx.execute(SET_COMPATIBLE_FROM, [next.compatible_from.to_string()])?;
    let broken = tx.query_row("PRAGMA foreign_key_check", [], |row| row.get::<_, String>(0)).optional()?;
    if let Some(table) = broken {
        return Err(Error::Corrupt(
            format!("{} left references without a target in {table}", full_name(next)).into(),
        ));
    }
    tx.commit()?;
    Ok(true)
}

/// The schema's version and what this program would add to it.
fn compare<'a>(sqlite: &Connection, known: &'a [Migration]) -> Result<(i64, Vec<&'a Migration>)> {
    let applied = applied(sqlite)?;
    let compatible_from = if applied.is_empty() { 0 } else { compatible_from(sqlite)? };
    judge(&applied, compatible_from, known)
}

/// The same, from what the database says of itself: what was applied with which checksums, and with whom it works.
fn judge<'a>(
    applied: &[(i64, String)],
    compatible_from: i64,
    known: &'a [Migration],
) -> Result<(i64, Vec<&'a Migration>)> {
    let version = applied.iter().map(|(version, _)| *version).max().unwrap_or(0);
    let last_known = known.iter().map(|migration| migration.version).max().unwrap_or(0);
    if version > last_known && compatible_from > last_known {
        return Err(Error::SchemaTooNew { compatible_from, known: last_known });
    }
    for (version, found) in applied {
        let ours = known.iter().find(|migration| migration.version == *version);
        if *version <= last_known && ours.is_none_or(|ours| checksum(ours.sql) != *found) {
            return Err(Error::MigrationChanged(*version));
        }
    }
    let is_applied =
        |migration: &&Migration| applied.iter().any(|(version, _)| *version == migration.version);
    Ok((version, known.iter().filter(|migration| !is_applied(migration)).collect()))
}

fn applied(sqlite: &Connection) -> Result<Vec<(i64, String)>> {
    let tables: i64 = sqlite.query_row(HAS_TABLE, [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    let mut statement = sqlite.prepare(APPLIED)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A later schema that does not say with whom it works does not work with us.
fn compatible_from(sqlite: &Connection) -> Result<i64> {
    let value: Option<String> = sqlite.query_row(COMPATIBLE_FROM, [], |row| row.get(0)).optional()?;
    Ok(value.and_then(|value| value.parse().ok()).unwrap_or(i64::MAX))
}

fn full_name(migration: &Migration) -> String {
    format!("{:04}_{}", migration.version, migration.name)
}

fn checksum(sql: &str) -> String {
    let digest = digest::digest(&digest::SHA256, sql.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn step(version: i64, sql: &'static str) -> Migration {
        Migration { version, name: "step", sql, compatible_from: version }
    }

    const META: Migration = step(1, "CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)");
    const PARENT: Migration = step(
        2,
        "CREATE TABLE parent (id BIGINT PRIMARY KEY NOT NULL); INSERT INTO parent VALUES (1);
         CREATE TABLE child (parent BIGINT NOT NULL REFERENCES parent (id)); INSERT INTO child VALUES (1);",
    );
    const REBUILT: Migration = step(
        3,
        "CREATE TABLE parent_new (id BIGINT PRIMARY KEY NOT NULL, name TEXT); INSERT INTO parent_new (id) SELECT id FROM parent;
         DROP TABLE parent; ALTER TABLE parent_new RENAME TO parent;",
    );
    const ORPHANS: Migration = step(3, "CREATE TABLE other (id BIGINT); DELETE FROM parent;");
    const BROKEN: Migration = step(3, "CREATE TABLE other (id BIGINT); CREATE TABLE other (id BIGINT);");

    const ONE: &[Migration] = &[META];
    const THREE: &[Migration] = &[META, PARENT, REBUILT];
    const FOUR: &[Migration] =
        &[META, PARENT, REBUILT, Migration::added(4, "step", "CREATE TABLE more (id BIGINT)")];
    const WITH_ORPHANS: &[Migration] = &[META, PARENT, ORPHANS];
    const WITH_BROKEN: &[Migration] = &[META, PARENT, BROKEN];
    const WITH_GAP: &[Migration] = &[META, REBUILT];

    fn at(folder: &tempfile::TempDir) -> std::path::PathBuf {
        let path = folder.path().join("auth.db");
        std::fs::File::create(&path).unwrap();
        path
    }

    fn run(path: &Path, known: &'static [Migration]) -> Result<Report> {
        migrate_file(path, known, Mode::Auto, Timestamp::from_seconds(1))
    }

    fn tables(path: &Path) -> i64 {
        let sqlite = open_plain(path).unwrap();
        sqlite
            .query_row("SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn pending_steps_run_in_order_and_may_rebuild_what_others_refer_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = at(&folder);
        assert_eq!(run(&path, ONE).unwrap().version, 1);
        let report = run(&path, THREE).unwrap();
        assert_eq!(report, Report { applied: vec!["0002_step".into(), "0003_step".into()], version: 3 });
        assert_eq!(compatible_from(&open_plain(&path).unwrap()).unwrap(), 3);
        // The program from before cannot work with it: the last step says so, and a later one that it could live with changes nothing.
        assert!(matches!(run(&path, ONE), Err(Error::SchemaTooNew { compatible_from: 3, known: 1 })));
        assert_eq!(run(&path, FOUR).unwrap().version, 4);
        assert!(matches!(run(&path, ONE), Err(Error::SchemaTooNew { compatible_from: 3, known: 1 })));
    }

    #[test]
    fn a_step_that_fails_leaves_nothing_and_those_before_it_stay() {
        // DB-05
        for (list, is_corrupt) in [(WITH_BROKEN, false), (WITH_ORPHANS, true)] {
            let folder = tempfile::tempdir().unwrap();
            let path = at(&folder);
            let error = run(&path, list).unwrap_err();
            assert_eq!(matches!(error, Error::Corrupt(_)), is_corrupt, "{error}");
            assert_eq!(tables(&path), 4, "schema_migrations, meta, parent and child");
            assert_eq!(run(&path, THREE).unwrap().applied, ["0003_step"]);
        }
    }

    #[test]
    fn a_step_that_we_do_not_have_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = at(&folder);
        run(&path, THREE).unwrap();
        assert!(matches!(run(&path, WITH_GAP), Err(Error::MigrationChanged(2))));
    }

    /// The table of users is made anew by 0015; its rows, what refers to them and the last id that was issued stay.
    #[test]
    fn accounts_and_the_next_id_outlive_the_table_that_is_made_anew() {
        // LG-12
        let (before, after) = (&SQLITE[..14], &SQLITE[..15]);
        let folder = tempfile::tempdir().unwrap();
        let path = at(&folder);
        run(&path, before).unwrap();
        let sqlite = open_plain(&path).unwrap();
        sqlite.pragma_update(None, "foreign_keys", true).unwrap();
        let filled = "INSERT INTO users (username, username_key, username_claim, email, password_hash, password_scheme, created_at)
                VALUES ('Ann', 'ann', 'ann', 'a@x.org', 'h', 's', 1), ('ann', 'ann', NULL, 'b@x.org', 'h', 's', 2), ('carl', 'carl', 'carl', '', 'h', 's', 3);
            DELETE FROM users WHERE id = 3;
            UPDATE users SET reset_sent_at = 7, unproved_since = 8, delete_at = 9, epoch = 3, login_failures = x'01' WHERE id = 2;
            INSERT INTO groups (name) VALUES ('Editors');
            INSERT INTO user_groups SELECT users.id, groups.id FROM users, groups;";
        sqlite.execute_batch(filled).unwrap();
        let every = "SELECT group_concat(json_array(id, username, username_key, username_claim, email, first_name, last_name, password_hash,
            password_scheme, password_trims, is_staff, is_superuser, epoch, not_before, created_at, last_login_at, disabled_at, hex(login_failures),
            email_verified_at, email_claim, pending_email, delete_at, unproved_since, reset_sent_at)) FROM users";
        let all = |sqlite: &Connection| sqlite.query_row(every, [], |row| row.get::<_, String>(0)).unwrap();
        let had = all(&sqlite);
        assert_eq!(run(&path, after).unwrap().applied, ["0015_one_name_index"]);
        assert_eq!(all(&sqlite), had);
        let one = |sql: &str| sqlite.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(one("SELECT COUNT(*) FROM user_groups g JOIN users u ON u.id = g.user_id"), 2);
        let insert = "INSERT INTO users (username, username_key, username_claim, email, password_hash, password_scheme, created_at) VALUES ";
        sqlite.execute_batch(&format!("{insert} ('dora', 'dora', 'dora', '', 'h', 's', 4)")).unwrap();
        assert_eq!(one("SELECT MAX(id) FROM users"), 4, "the id of a deleted account is not issued again");
        sqlite.execute_batch("DELETE FROM users WHERE id = 1").unwrap();
        assert_eq!(
            one("SELECT COUNT(*) FROM user_groups"),
            1,
            "what refers to an account still goes with it"
        );
        for taken in ["('Dora', 'dora', 'dora', '', 'h', 's', 5)", "('ann', 'ann', NULL, '', 'h', 's', 5)"] {
            sqlite.execute_batch(&format!("{insert} {taken}")).unwrap_err();
        }
        assert_eq!(one("SELECT COUNT(*) FROM sqlite_schema WHERE name LIKE '%anew%'"), 0);
    }
}
