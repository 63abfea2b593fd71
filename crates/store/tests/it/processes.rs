//! The command line and a server work on one file at the same time.

use crate::child;
use crate::given::{add, ids, number, open, scratch};

const EACH: i64 = 150;

#[tokio::test]
#[ignore = "a child of two_processes_write_at_the_same_time"]
async fn child_adds_rows() {
    let Some(path) = child::database() else { return };
    let db = open(path, 8).await;
    for id in 10_000..10_000 + EACH {
        add(&db, id).await.unwrap();
    }
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_write_at_the_same_time() {
    let scratch = scratch(32).await;
    let path = scratch.path();
    let other =
        std::thread::spawn(move || child::succeed(child::command("processes::child_adds_rows", &path)));
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let db = scratch.db.clone();
            tokio::spawn(async move {
                for id in 0..EACH {
                    add(&db, task * EACH + id).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    tokio::task::spawn_blocking(|| other.join().unwrap()).await.unwrap();
    assert_eq!(ids(&scratch.db).await.len() as i64, 5 * EACH);
    assert_eq!(number(&scratch.db, "SELECT COUNT(*) FROM log WHERE id >= 10000").await, EACH);
}

#[tokio::test]
#[ignore = "a child of a_writer_that_never_pauses_lets_others_through"]
async fn child_writes_without_pause() {
    let Some(path) = child::database() else { return };
    let db = open(path, 1).await;
    for batch in 0.. {
        let mut tx = db.begin().await.unwrap();
        for id in 0..500 {
            crate::given::insert(&mut tx, 1_000_000 + batch * 500 + id).await.unwrap();
        }
        if tx.commit().await.is_err() || number(&db, "SELECT COUNT(*) FROM log WHERE id < 0").await > 0 {
            return;
        }
    }
}

#[tokio::test]
async fn a_writer_that_never_pauses_lets_others_through() {
    let scratch = scratch(32).await;
    let path = scratch.path();
    let other = std::thread::spawn(move || {
        child::succeed(child::command("processes::child_writes_without_pause", &path))
    });
    while number(&scratch.db, "SELECT COUNT(*) FROM log").await == 0 {
        tokio::task::yield_now().await;
    }
    for id in 0..30 {
        add(&scratch.db, id).await.unwrap();
    }
    // Tells the child to stop.
    add(&scratch.db, -1).await.unwrap();
    tokio::task::spawn_blocking(|| other.join().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_writer_elsewhere_is_waited_for() {
    let scratch = scratch(32).await;
    let other = open(scratch.path(), 32).await;
    let mut held = other.begin().await.unwrap();
    crate::given::insert(&mut held, 1).await.unwrap();
    let db = scratch.db.clone();
    let waiting = tokio::spawn(async move { add(&db, 2).await });
    // Reads do not wait for it.
    assert_eq!(ids(&scratch.db).await, Vec::<i64>::new());
    held.commit().await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(ids(&other).await, [1, 2]);
}

#[tokio::test]
async fn a_writer_is_told_that_another_process_has_written() {
    let scratch = scratch(32).await;
    let other = open(scratch.path(), 32).await;
    scratch.db.prepare_for_bulk().await.unwrap();
    let version = async || {
        let mut tx = scratch.db.begin_bulk().await.unwrap();
        tx.others_version().await.unwrap().unwrap()
    };
    let first = version().await;
    for id in 0..10 {
        add(&scratch.db, id).await.unwrap();
    }
    ids(&other).await;
    assert_eq!(
        version().await,
        first,
        "our own commits, their copies into the file and others' reads do not count"
    );
    add(&other, 100).await.unwrap();
    let second = version().await;
    assert_ne!(second, first);
    add(&scratch.db, 101).await.unwrap();
    assert_eq!(version().await, second);
}
