//! DB-06: a server that goes away costs its callers an error, in bounded time, and is used again when it is back.

use std::time::Duration;

use store::{Db, Error, PostgresOptions, Result};
use testdb::Cluster;
use tokio::time::Instant;

async fn add(db: &Db, id: i64) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.execute("INSERT INTO log (id) VALUES ($1)", &[id.into()]).await?;
    tx.commit().await
}

async fn open(cluster: &Cluster) -> Db {
    let db = Db::open_postgres(PostgresOptions::parse(cluster.url()).unwrap()).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    tx.execute("CREATE TABLE log (id BIGINT PRIMARY KEY NOT NULL)", &[]).await.unwrap();
    tx.commit().await.unwrap();
    db
}

async fn until_it_works(db: &Db, id: i64) {
    let began = Instant::now();
    while let Err(error) = add(db, id).await {
        assert!(error.is_transient() || matches!(error, Error::Conflict), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "{error:?}");
        if matches!(error, Error::Conflict) {
            return; // the one whose answer was lost
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_that_stops_or_dies_is_used_again_when_it_is_back() {
    let cluster = Cluster::start_with("");
    let db = open(&cluster).await;
    add(&db, 1).await.unwrap();
    for (round, crash) in [false, true, true].into_iter().enumerate() {
        let mut open = db.begin().await.unwrap();
        open.execute("INSERT INTO log (id) VALUES (999)", &[]).await.unwrap();
        if crash {
            cluster.kill()
        } else {
            cluster.stop()
        }
        assert!(matches!(open.commit().await, Err(Error::Unavailable(_))));
        for _ in 0..20 {
            let began = Instant::now();
            let error = add(&db, 998).await.unwrap_err();
            assert!(error.is_transient(), "{error:?}");
            assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        }
        cluster.start();
        until_it_works(&db, 10 + round as i64).await;
    }
    let mut tx = db.read().await.unwrap();
    let rows = tx.query("SELECT id FROM log ORDER BY id", &[]).await.unwrap();
    let ids: Vec<i64> = rows.iter().map(|row| row.int(0).unwrap()).collect();
    assert_eq!(ids, [1, 10, 11, 12]);
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash_under_load() {
    // CR-01
    let cluster = Cluster::start_with("");
    let db = open(&cluster).await;
    for round in 0..3_i64 {
        let tasks: Vec<_> = (0..8_i64)
            .map(|task| {
                let db = db.clone();
                tokio::spawn(async move {
                    let mut acknowledged = Vec::new();
                    for number in 0..100_000 {
                        let id = (round * 8 + task) * 100_000 + number;
                        match add(&db, id).await {
                            Ok(()) => acknowledged.push(id),
                            Err(error) if error.is_transient() => break,
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(150)).await;
        cluster.kill();
        let mut acknowledged = Vec::new();
        for task in tasks {
            acknowledged.extend(task.await.unwrap());
        }
        cluster.start();
        until_it_works(&db, -1 - round).await;
        assert!(!acknowledged.is_empty());
        let mut tx = db.read().await.unwrap();
        for id in &acknowledged {
            let found = tx.query_opt("SELECT 1 FROM log WHERE id = $1", &[(*id).into()]).await.unwrap();
            assert!(found.is_some(), "{id} was acknowledged and is lost");
        }
        println!("round {round}: {} acknowledged, all there", acknowledged.len());
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_the_password() {
    let options = PostgresOptions::parse("postgres://ann:CANARY@127.0.0.1:1/auth?sslmode=require").unwrap();
    let error = tokio::time::timeout(Duration::from_secs(15), Db::open_postgres(options)).await.unwrap();
    let error = error.err().unwrap();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("CANARY"));
}

// CR-01: a COMMIT that waits for a standby must not be called done when our own limit for statements ends the waiting.
#[tokio::test]
async fn what_a_standby_has_not_confirmed_is_not_acknowledged() {
    let cluster = Cluster::start_with("");
    let db = open(&cluster).await;
    add(&db, 1).await.unwrap();
    testdb::run(cluster.url(), "ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    testdb::run(cluster.url(), "SELECT pg_reload_conf()").await;
    let waits = async || {
        let mut tx = db.read().await.unwrap();
        let names = tx.query_opt("SHOW synchronous_standby_names", &[]).await.unwrap().unwrap();
        names.text(0).unwrap() == "nobody"
    };
    while !waits().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = Instant::now();
    let done = add(&db, 2).await;
    assert!(matches!(done, Err(Error::Unavailable(_))), "{done:?} after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    testdb::run(cluster.url(), "ALTER SYSTEM RESET synchronous_standby_names").await;
    testdb::run(cluster.url(), "SELECT pg_reload_conf()").await;
    until_it_works(&db, 3).await;
}
