//! DB-05: the schema changes whole or not at all, once, and only into what the program knows.

use std::process::{Child, Stdio};
use std::time::Duration;

use domain::time::Timestamp;
use store::migrate::{Mode, migrate, pending};
use store::{Db, Error};

use crate::child;
use crate::given::{Dice, number, open, rounds, text};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

async fn fresh() -> (tempfile::TempDir, Db) {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path().join("auth.db"), 16).await;
    (folder, db)
}

async fn run(db: &Db, sql: &'static str) {
    let mut tx = db.begin().await.unwrap();
    tx.execute(sql, &[]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_fresh_database_gets_the_schema_and_a_second_run_does_nothing() {
    let (_folder, db) = fresh().await;
    let names = pending(&db).await.unwrap();
    assert_eq!(names.first().map(String::as_str), Some("0001_initial"));
    let report = migrate(&db, Mode::Auto, NOW).await.unwrap();
    assert_eq!(report.applied, names);
    let last = names.last().and_then(|name| name.split('_').next()).unwrap();
    assert_eq!(report.version, last.parse::<i64>().unwrap());
    assert!(pending(&db).await.unwrap().is_empty());
    assert_eq!(number(&db, "SELECT MIN(applied_at) FROM schema_migrations").await, NOW.micros());
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users").await, 0);
    for mode in [Mode::Auto, Mode::Never] {
        let again = migrate(&db, mode, NOW).await.unwrap();
        assert_eq!((again.applied.len(), again.version), (0, report.version));
    }
}

#[tokio::test]
async fn never_means_never() {
    let (_folder, db) = fresh().await;
    assert!(
        matches!(migrate(&db, Mode::Never, NOW).await, Err(Error::MigrationsPending(count)) if count > 0)
    );
    assert_eq!(number(&db, "SELECT COUNT(*) FROM sqlite_schema").await, 0);
}

#[tokio::test]
async fn a_migration_that_is_not_ours_is_refused() {
    let (_folder, db) = fresh().await;
    migrate(&db, Mode::Auto, NOW).await.unwrap();
    run(&db, "UPDATE schema_migrations SET checksum = 'abc' WHERE version = 1").await;
    for mode in [Mode::Auto, Mode::Never] {
        assert!(matches!(migrate(&db, mode, NOW).await, Err(Error::MigrationChanged(1))));
    }
    assert!(matches!(pending(&db).await, Err(Error::MigrationChanged(1))));
}

#[tokio::test]
async fn a_later_schema_is_used_unless_it_says_otherwise() {
    let (_folder, db) = fresh().await;
    let version = migrate(&db, Mode::Auto, NOW).await.unwrap().version;
    run(
        &db,
        "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (999, 'later', 'x', 0)",
    )
    .await;
    assert_eq!(migrate(&db, Mode::Auto, NOW).await.unwrap().version, 999);
    run(&db, "UPDATE meta SET value = '999' WHERE key = 'compatible_from'").await;
    let error = migrate(&db, Mode::Auto, NOW).await.unwrap_err();
    assert!(matches!(error, Error::SchemaTooNew { compatible_from: 999, known } if known == version));
    // A later schema that is silent about it is not trusted.
    run(&db, "DELETE FROM meta WHERE key = 'compatible_from'").await;
    assert!(matches!(migrate(&db, Mode::Auto, NOW).await, Err(Error::SchemaTooNew { .. })));
}

#[tokio::test]
async fn statements_prepared_before_a_migration_go_on_after_it() {
    let (_folder, db) = fresh().await;
    let count = "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'users'";
    assert_eq!(number(&db, count).await, 0);
    migrate(&db, Mode::Auto, NOW).await.unwrap();
    assert_eq!(number(&db, count).await, 1);
}

#[tokio::test]
#[ignore = "a child of the tests below"]
async fn child_migrates() {
    let Some(path) = child::database() else { return };
    let db = open(path, 16).await;
    migrate(&db, Mode::Auto, NOW).await.unwrap();
    db.check_writable().await.unwrap();
}

fn spawn(path: &std::path::Path) -> Child {
    let mut command = child::command("migrations::child_migrates", path);
    command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
}

#[tokio::test]
async fn processes_that_migrate_at_once_do_it_once() {
    for _ in 0..rounds(5, 50) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/auth.db");
        let children: Vec<_> = (0..4).map(|_| spawn(&path)).collect();
        for mut child in children {
            let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
            assert!(status.success());
        }
        let db = open(path, 16).await;
        let known = migrate(&db, Mode::Auto, NOW).await.unwrap();
        assert!(known.applied.is_empty());
        assert_eq!(number(&db, "SELECT MAX(version) FROM schema_migrations").await, known.version);
    }
}

#[tokio::test]
async fn a_killed_migration_leaves_the_schema_before_or_after() {
    let mut dice = Dice::new(std::process::id().into());
    for _ in 0..rounds(20, 200) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.db");
        let mut child = spawn(&path);
        tokio::time::sleep(Duration::from_micros(dice.below(25_000))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let db = open(path, 16).await;
        let tables = number(&db, "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table'").await;
        // Each migration is noted in its own transaction: what is noted is there, and the rest is not.
        let noted = match tables {
            0 => 0,
            _ => number(&db, "SELECT COUNT(*) FROM schema_migrations").await,
        };
        assert_eq!(tables == 0, noted == 0, "half a schema: {tables} tables");
        let report = migrate(&db, Mode::Auto, NOW).await.unwrap();
        let all = number(&db, "SELECT COUNT(*) FROM schema_migrations").await;
        assert_eq!(noted + report.applied.len() as i64, all);
        assert_eq!(text(&db, "PRAGMA integrity_check").await, "ok");
        db.check_writable().await.unwrap();
    }
}
