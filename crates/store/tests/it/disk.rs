//! A disk that is full or failing, and one that is back.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use store::{Db, Error, Result};

use crate::child;
use crate::given::{add, ids, make_tables, number, open, scratch, text};

async fn add_large(db: &Db, id: i64) -> Result<()> {
    let mut tx = db.begin().await?;
    crate::given::insert(&mut tx, id).await?;
    let filler = vec![7_u8; 60_000];
    tx.execute("INSERT INTO filler (bytes) VALUES ($1)", &[(&filler).into()]).await?;
    tx.commit().await
}

async fn make_filler(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    tx.execute("CREATE TABLE filler (bytes BYTEA NOT NULL)", &[]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_full_database_is_unavailable_and_recovers() {
    // CR-04, DB-06
    let scratch = scratch(16).await;
    let db = &scratch.db;
    make_filler(db).await;
    let limit = |sql| async move {
        let mut tx = db.begin().await.unwrap();
        tx.query(sql, &[]).await.unwrap();
        tx.commit().await.unwrap();
    };
    limit("PRAGMA max_page_count = 40").await;
    let mut stored = Vec::new();
    let error = loop {
        let id = stored.len() as i64;
        match add_large(db, id).await {
            Ok(()) => stored.push(id),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Unavailable(_)) && error.is_transient(), "{error:?}");
    assert_eq!(ids(db).await, stored);
    limit("PRAGMA max_page_count = 100000").await;
    add_large(db, 1000).await.unwrap();
    assert_eq!(text(db, "PRAGMA integrity_check").await, "ok");
}

fn limit_files(bytes: Option<u64>) {
    let hard = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: hard }).unwrap();
}

/// Files of this process may not grow: what the system answers (EFBIG) is an I/O error like any other for SQLite, and
/// it comes when the log is written, inside COMMIT.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a child of a_disk_that_refuses_writes_is_told_to_all_and_recovered_from"]
async fn child_cannot_write() {
    let Some(path) = child::database() else { return };
    let db = open(path, 16).await;
    make_tables(&db).await;
    make_filler(&db).await;
    let mut stored = Vec::new();
    for round in 0..3 {
        limit_files(Some(700_000));
        let tasks: Vec<_> = (0..40)
            .map(|task| {
                let db = db.clone();
                let id = round * 1000 + task;
                tokio::spawn(async move { (id, add_large(&db, id).await) })
            })
            .collect();
        let mut refused = 0;
        for task in tasks {
            match task.await.unwrap() {
                (id, Ok(())) => stored.push(id),
                (_, Err(error)) => {
                    assert!(error.is_transient(), "{error:?}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 0, "the limit was not felt");
        assert!(db.check_writable().await.is_err() || round == 0, "readiness must notice");
        limit_files(None);
        // The disk is back: no restart needed.
        add(&db, round * 1000 + 500).await.unwrap();
        stored.push(round * 1000 + 500);
    }
    let found = ids(&db).await;
    assert!(stored.iter().all(|id| found.contains(id)), "an acknowledged row is missing");
    assert_eq!(text(&db, "PRAGMA integrity_check").await, "ok");
    db.close().await;
}

#[tokio::test]
async fn a_disk_that_refuses_writes_is_told_to_all_and_recovered_from() {
    // CR-04, DB-06
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.db");
    // The signal of this limit would end the process; ignored, the write fails instead.
    let command = child::shell("trap '' XFSZ", "disk::child_cannot_write", &path);
    tokio::task::spawn_blocking(|| child::succeed(command)).await.unwrap();
    let db = open(path, 16).await;
    assert_eq!(text(&db, "PRAGMA integrity_check").await, "ok");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM log WHERE id % 1000 = 500").await, 3);
}
