//! What a connection is set to, and that it never goes back to the pool with a transaction on it.

use std::time::Duration;

use store::{Db, Error, PostgresOptions};
use testdb::Place;
use tokio::time::{Instant, timeout};

use crate::cluster;

async fn place_with_table() -> (Place, Db) {
    let place = Place::on(&cluster()).await;
    let mut options = place.postgres_options().unwrap();
    options.pool = 4;
    let db = Db::open_postgres(options).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    tx.execute("CREATE TABLE log (id BIGINT PRIMARY KEY NOT NULL, part BIGINT NOT NULL)", &[]).await.unwrap();
    tx.execute("INSERT INTO log (id, part) VALUES (1, 0), (2, 0)", &[]).await.unwrap();
    tx.commit().await.unwrap();
    (place, db)
}

async fn setting(db: &Db, name: &str) -> String {
    let mut tx = db.begin().await.unwrap();
    let row = tx.query_opt("SELECT current_setting($1)", &[name.into()]).await.unwrap().unwrap();
    row.text(0).unwrap().to_owned()
}

#[tokio::test]
async fn what_is_acknowledged_is_durable_whatever_the_role_or_the_address_say() {
    let place = Place::on(&cluster()).await;
    let url = place.url() + "%20-c%20synchronous_commit%3Doff%20-c%20statement_timeout%3D0";
    let db = Db::open_postgres(PostgresOptions::parse(&url).unwrap()).await.unwrap();
    for (name, value) in [
        ("synchronous_commit", "on"),
        ("statement_timeout", "5s"),
        ("lock_timeout", "3s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("TimeZone", "UTC"),
        ("transaction_isolation", "read committed"),
    ] {
        assert_eq!(setting(&db, name).await, value, "{name}");
    }
}

#[tokio::test]
async fn the_servers_clock_is_told() {
    let (_place, db) = place_with_table().await;
    let (first, second) = (db.now().await.unwrap().unwrap(), db.now().await.unwrap().unwrap());
    assert!(first < second && first.seconds() > 1_700_000_000, "{first:?} {second:?}");
}

#[tokio::test]
async fn a_lock_is_waited_for_and_not_for_ever() {
    let (_place, db) = place_with_table().await;
    let update = "UPDATE log SET part = part + 1 WHERE id = 1";
    let mut holder = db.begin().await.unwrap();
    holder.execute(update, &[]).await.unwrap();
    let began = Instant::now();
    let mut other = db.begin().await.unwrap();
    assert!(matches!(other.execute(update, &[]).await, Err(Error::Busy)));
    assert!((2..5).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    drop(other);
    holder.commit().await.unwrap();
}

#[tokio::test]
async fn of_two_that_wait_for_each_other_one_is_told_to_try_again() {
    // DB-02
    let (_place, db) = place_with_table().await;
    let lock = async |first: i64, second: i64| {
        let mut tx = db.begin().await?;
        tx.execute("UPDATE log SET part = 1 WHERE id = $1", &[first.into()]).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        tx.execute("UPDATE log SET part = 1 WHERE id = $1", &[second.into()]).await?;
        tx.commit().await
    };
    let (one, other) = tokio::join!(lock(1, 2), lock(2, 1));
    assert!(one.is_ok() != other.is_ok());
    assert!(matches!(one.and(other), Err(Error::Contention)));
}

#[tokio::test]
async fn a_statement_that_nobody_waits_for_any_more_leaves_no_transaction_behind() {
    let (_place, db) = place_with_table().await;
    let mut holder = db.begin().await.unwrap();
    holder.execute("UPDATE log SET part = part + 1 WHERE id = 1", &[]).await.unwrap();
    for _ in 0..3 {
        let mut tx = db.begin().await.unwrap();
        tx.execute("INSERT INTO log (id, part) VALUES (7, 0)", &[]).await.unwrap();
        let waiting = tx.execute("UPDATE log SET part = part + 1 WHERE id = 1", &[]);
        assert!(timeout(Duration::from_millis(50), waiting).await.is_err(), "it waits for the lock");
        // Whoever goes on with it is told that nobody knows what became of it.
        assert!(matches!(tx.commit().await, Err(Error::Statement(_))));
    }
    holder.commit().await.unwrap();
    // All connections are in order again, and nothing of what was left is there.
    let all: Vec<_> = futures_util::future::join_all((0..4).map(|_| db.begin())).await;
    for tx in all {
        let mut tx = tx.unwrap();
        let row = tx.query_opt("SELECT COUNT(*) FROM log", &[]).await.unwrap().unwrap();
        assert_eq!(row.int(0).unwrap(), 2);
    }
    assert_eq!(db.stats().waiting, 0);
}

#[tokio::test]
async fn a_pool_that_is_in_use_answers_busy_in_time() {
    let (_place, db) = place_with_table().await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(db.begin().await.unwrap());
    }
    let began = Instant::now();
    assert!(matches!(db.begin().await, Err(Error::Busy)));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // Whatever requests do, the feed of changes and the clock are read: token checks depend on them.
    db.watch().await.unwrap();
    db.now().await.unwrap();
    drop(held);
    db.begin().await.unwrap();
}

#[tokio::test]
async fn who_listens_hears_of_announcements() {
    let (place, db) = place_with_table().await;
    let mut announcements = place.open().await.announcements().await.unwrap();
    let silent = timeout(Duration::from_millis(200), announcements.next()).await;
    assert!(silent.is_err(), "nothing was announced");
    db.announce().await.unwrap();
    timeout(Duration::from_secs(5), announcements.next()).await.unwrap().unwrap();
}
