//! What a transaction promises, whoever else is at work.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use store::{Db, Dialect, Error, Param, Result, SqliteOptions};
use testdb::Place;

use crate::given::{Dice, INSERT, add, any, ids, insert, number, rounds, scratch};

#[tokio::test]
async fn parameters_are_bound_by_number_and_not_by_place() {
    let scratch = any().await;
    let mut tx = scratch.db.read().await.unwrap();
    let sql = "SELECT $2, CAST($1 AS BIGINT), $1";
    let row = tx.query_opt(sql, &[1_i64.into(), "two".into()]).await.unwrap().unwrap();
    assert_eq!((row.text(0).unwrap(), row.int(1).unwrap(), row.int(2).unwrap()), ("two", 1, 1));
    let all = [Param::Null, true.into(), Some([1_u8, 2].as_slice()).into(), None::<&str>.into()];
    drop(tx);
    let mut tx = scratch.db.begin().await.unwrap();
    tx.execute("INSERT INTO bytes (content) VALUES ($1)", &[[1_u8, 2].as_slice().into()]).await.unwrap();
    let sql = "SELECT CAST($1 AS BIGINT), CAST($2 AS BIGINT), content, $4 FROM bytes WHERE content = $3";
    let row = tx.query_opt(sql, &all).await.unwrap().unwrap();
    assert!(row.opt_int(0).unwrap().is_none() && row.flag(1).unwrap() && row.opt_text(3).unwrap().is_none());
    assert_eq!(row.blob(2).unwrap(), [1, 2]);
    assert_eq!(tx.dialect(), scratch.db.dialect());
}

#[tokio::test]
async fn values_are_bound_and_never_become_sql() {
    // DB-01
    let scratch = any().await;
    let mut tx = scratch.db.read().await.unwrap();
    for text in ["'; DROP TABLE log; --", "\"", "$1", "?1", ":x", "\u{1f600}"] {
        let row = tx.query_opt("SELECT $1", &[text.into()]).await.unwrap().unwrap();
        assert_eq!(row.text(0).unwrap(), text);
    }
    // A text with a NUL comes back whole or is refused; it is never cut.
    match tx.query_opt("SELECT $1", &["a\0b".into()]).await {
        Ok(row) => assert_eq!(row.unwrap().text(0).unwrap(), "a\0b"),
        Err(error) => {
            assert!(matches!(error, Error::Statement(_)) && tx.dialect() == Dialect::Postgres, "{error}")
        }
    }
}

#[tokio::test]
async fn too_few_and_too_many_parameters_are_refused() {
    let scratch = any().await;
    for params in [&[1_i64.into()][..], &[1_i64.into(), 2_i64.into(), 3_i64.into()]] {
        let mut tx = scratch.db.begin().await.unwrap();
        assert!(matches!(tx.execute(INSERT, params).await, Err(Error::Statement(_))));
    }
}

#[tokio::test]
async fn after_a_failed_statement_a_transaction_can_only_be_dropped() {
    let scratch = any().await;
    add(&scratch.db, 1).await.unwrap();
    let mut tx = scratch.db.begin().await.unwrap();
    insert(&mut tx, 2).await.unwrap();
    assert!(matches!(insert(&mut tx, 1).await, Err(Error::Conflict)));
    assert!(matches!(insert(&mut tx, 3).await, Err(Error::Statement(_))));
    assert!(matches!(tx.commit().await, Err(Error::Statement(_))));
    assert_eq!(ids(&scratch.db).await, [1]);
    add(&scratch.db, 2).await.unwrap();
}

#[tokio::test]
async fn a_reader_sees_one_moment_and_cannot_write() {
    let scratch = any().await;
    add(&scratch.db, 1).await.unwrap();
    let mut reader = scratch.db.read().await.unwrap();
    let count = "SELECT COUNT(*) FROM log";
    assert_eq!(reader.query_opt(count, &[]).await.unwrap().unwrap().int(0).unwrap(), 1);
    add(&scratch.db, 2).await.unwrap();
    assert_eq!(reader.query_opt(count, &[]).await.unwrap().unwrap().int(0).unwrap(), 1);
    assert!(matches!(insert(&mut reader, 3).await, Err(Error::Statement(_))));
    drop(reader);
    assert_eq!(ids(&scratch.db).await, [1, 2]);
}

#[tokio::test]
async fn returning_changes_every_row_whatever_is_looked_at() {
    let scratch = any().await;
    for id in 1..=5 {
        add(&scratch.db, id).await.unwrap();
    }
    let mut tx = scratch.db.begin().await.unwrap();
    let first = tx.query_opt("UPDATE log SET part = part + 1 RETURNING part", &[]).await.unwrap();
    assert_eq!(first.unwrap().int(0).unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(number(&scratch.db, "SELECT CAST(SUM(part) AS BIGINT) FROM log").await, 5);
}

#[tokio::test]
async fn more_readers_than_connections_take_turns() {
    let place = Place::new().await;
    let db = match place.postgres_options() {
        Some(mut options) => {
            options.pool = 2;
            Db::open_postgres(options).await
        }
        None => Db::open_sqlite(SqliteOptions { readers: 2, ..SqliteOptions::new(place.path()) }).await,
    };
    let db = db.unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut tx = db.read().await?;
                tokio::task::yield_now().await;
                tx.query("SELECT 1", &[]).await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_closed_database_says_so_and_can_be_opened_again() {
    let scratch = scratch(16).await;
    add(&scratch.db, 1).await.unwrap();
    scratch.db.close().await;
    assert!(matches!(scratch.db.begin().await, Err(Error::Closed)));
    assert!(matches!(scratch.db.read().await, Err(Error::Closed)));
    scratch.db.close().await;
    // Everything is in the one file.
    assert!(!scratch.folder.path().join("auth.db-wal").exists());
    let again = crate::given::open(scratch.path(), 16).await;
    assert_eq!(ids(&again).await, [1]);
}

#[tokio::test]
async fn closing_lets_those_who_wait_finish() {
    let scratch = scratch(1).await;
    let held = scratch.db.begin().await.unwrap();
    let db = scratch.db.clone();
    let waiting = tokio::spawn(async move { add(&db, 1).await });
    crate::given::until_waiting(&scratch.db, 1).await;
    let db = scratch.db.clone();
    let closing = tokio::spawn(async move { db.close().await });
    tokio::task::yield_now().await;
    drop(held);
    waiting.await.unwrap().unwrap();
    closing.await.unwrap();
    assert_eq!(ids(&crate::given::open(scratch.path(), 1).await).await, [1]);
}

/// What the test knows of the transactions of one task.
#[derive(Default)]
struct Known {
    acknowledged: BTreeSet<i64>,
    taken_back: BTreeSet<i64>,
}

/// Adds one to a counter by reading and writing it, which loses updates unless writers run one after another, or the one
/// that reads locks what it reads.
async fn count_up(db: &Db, id: i64, counter: i64, keep: bool) -> Result<bool> {
    let mut tx = db.begin().await?;
    let read = match tx.dialect() {
        Dialect::Sqlite => "SELECT value FROM counter WHERE id = $1",
        Dialect::Postgres => "SELECT value FROM counter WHERE id = $1 FOR UPDATE",
    };
    let row = tx.query_opt(read, &[counter.into()]).await?;
    let value = row.map_or(Ok(0), |row| row.int(0))?;
    tokio::task::yield_now().await;
    let sql = "INSERT INTO counter (id, value) VALUES ($2, $1) ON CONFLICT (id) DO UPDATE SET value = $1";
    tx.execute(sql, &[(value + 1).into(), counter.into()]).await?;
    insert(&mut tx, id).await?;
    if keep {
        tx.commit().await?;
    }
    Ok(keep)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_leave_what_the_model_says() {
    // DB-02
    let scratch = any().await;
    let each = rounds(40, 1000) as i64;
    let mut tx = scratch.db.begin().await.unwrap();
    tx.execute("INSERT INTO counter (id, value) VALUES (0, 0), (1, 0), (2, 0)", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let tasks: Vec<_> = (0..64_i64)
        .map(|task| {
            let db = scratch.db.clone();
            tokio::spawn(async move {
                let mut dice = Dice::new(task as u64 + 1);
                let mut known = Known::default();
                for id in (task * each)..((task + 1) * each) {
                    let keep = dice.below(4) != 0;
                    match count_up(&db, id, dice.below(3) as i64, keep).await.unwrap() {
                        true => known.acknowledged.insert(id),
                        false => known.taken_back.insert(id),
                    };
                }
                known
            })
        })
        .collect();
    let mut model = Known::default();
    for task in tasks {
        let known = task.await.unwrap();
        model.acknowledged.extend(known.acknowledged);
        model.taken_back.extend(known.taken_back);
    }
    let found: BTreeSet<i64> = ids(&scratch.db).await.into_iter().collect();
    assert_eq!(found, model.acknowledged);
    assert_eq!(
        number(&scratch.db, "SELECT CAST(SUM(value) AS BIGINT) FROM counter").await,
        found.len() as i64
    );
    let stats = scratch.db.stats();
    assert_eq!(stats.rollbacks, model.taken_back.len() as u64);
    assert!(scratch.place.is_postgres() || stats.groups < stats.commits, "{stats:?}");
}

#[tokio::test]
async fn many_statements_go_with_the_commit_or_none() {
    // LA-04: more than a combinator of futures polls at once.
    let scratch = any().await;
    let mut tx = scratch.db.begin().await.unwrap();
    for id in 1..=100_i64 {
        tx.execute_later(INSERT, &[id.into(), 0_i64.into()]).unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(ids(&scratch.db).await, (1..=100).collect::<Vec<_>>());
    for bad in [1, 20, 60] {
        // The server refuses one: its number is there already.
        let mut tx = scratch.db.begin().await.unwrap();
        for id in 201..=260_i64 {
            let id = if id == 200 + bad { 1 } else { id };
            _ = tx.execute_later(INSERT, &[id.into(), 0_i64.into()]);
        }
        tx.commit().await.unwrap_err();
        assert_eq!(ids(&scratch.db).await.len(), 100);
        if !scratch.place.is_postgres() {
            continue; // SQLite stores what does not fit
        }
        // The driver refuses one, so that the server never hears of it.
        let mut tx = scratch.db.begin().await.unwrap();
        for id in 201..=260_i64 {
            let part = if id == 200 + bad { "no number".into() } else { 0_i64.into() };
            tx.execute_later(INSERT, &[id.into(), part]).unwrap();
        }
        tx.commit().await.unwrap_err();
        assert_eq!(ids(&scratch.db).await.len(), 100);
    }
}

#[tokio::test]
async fn what_was_done_for_a_transaction_is_taken_back_with_it() {
    // DS-04
    let scratch = any().await;
    let undone = Arc::new(AtomicU64::new(0));
    let begin = async || {
        let mut tx = scratch.db.begin().await.unwrap();
        for _ in 0..2 {
            let undone = undone.clone();
            tx.on_rollback(move || {
                undone.fetch_add(1, Relaxed);
            });
        }
        tx
    };
    begin().await.commit().await.unwrap();
    assert_eq!(undone.load(Relaxed), 0);
    drop(begin().await);
    assert_eq!(undone.load(Relaxed), 2);
    let mut tx = begin().await;
    assert!(tx.execute("INSERT INTO nowhere (a) VALUES (1)", &[]).await.is_err());
    assert!(tx.commit().await.is_err());
    assert_eq!(undone.load(Relaxed), 4);
}
