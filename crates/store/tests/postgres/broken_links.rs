//! DB-06, CR-06: a link to the server that is slow, half open or cut at any byte. What fails is an error in bounded time,
//! nothing is applied by halves or twice, and the pool is in order again when the link is.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::future::join_all;
use store::{Db, Error, PostgresOptions, Result};
use testdb::{FaultProxy, Place, Towards};
use tokio::time::Instant;

use crate::cluster;

const POOL: usize = 4;
/// An answer is waited for 7 s, a connection 5 s; a loaded machine gets some more.
const BOUND: Duration = Duration::from_secs(15);

/// A database by way of a link, with a table, and the same without the link.
struct Linked {
    db: Db,
    direct: Db,
    link: FaultProxy,
    _place: Place,
}

impl Linked {
    async fn new() -> Self {
        let place = Place::on(&cluster()).await;
        let direct = place.open().await;
        let mut tx = direct.begin().await.unwrap();
        let table = "CREATE TABLE log (id BIGINT PRIMARY KEY NOT NULL, part BIGINT NOT NULL)";
        tx.execute(table, &[]).await.unwrap();
        tx.execute("INSERT INTO log (id, part) VALUES (0, 0)", &[]).await.unwrap();
        tx.commit().await.unwrap();
        let link = FaultProxy::to(&place.url());
        let mut options = PostgresOptions::parse(&link.through(&place.url())).unwrap();
        options.pool = POOL;
        let db = Db::open_postgres(options).await.unwrap();
        Self { db, direct, link, _place: place }
    }

    /// Has every connection of the pool, and the reserved one, open and idle.
    async fn warm(&self) {
        let mut held = Vec::new();
        for _ in 0..POOL {
            let mut tx = self.db.begin().await.unwrap();
            tx.query("SELECT 1", &[]).await.unwrap();
            held.push(tx);
        }
        self.db.now().await.unwrap();
    }

    /// How many of the two rows of a pair are there.
    async fn rows(&self, pair: i64) -> i64 {
        let mut tx = self.direct.read().await.unwrap();
        let sql = "SELECT COUNT(*) FROM log WHERE id = $1 OR id = -$1";
        tx.query_opt(sql, &[pair.into()]).await.unwrap().unwrap().int(0).unwrap()
    }

    async fn counted(&self) -> i64 {
        let mut tx = self.direct.read().await.unwrap();
        tx.query_opt("SELECT part FROM log WHERE id = 0", &[]).await.unwrap().unwrap().int(0).unwrap()
    }
}

/// Two rows in one transaction, by two statements.
async fn add_pair(db: &Db, pair: i64) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.execute("INSERT INTO log (id, part) VALUES ($1, 1)", &[pair.into()]).await?;
    tx.execute("INSERT INTO log (id, part) VALUES ($1, 2)", &[(-pair).into()]).await?;
    tx.commit().await
}

/// What must not happen twice.
async fn count_on(db: &Db) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.execute("UPDATE log SET part = part + 1 WHERE id = 0", &[]).await?;
    tx.commit().await
}

#[tokio::test]
async fn a_half_open_link_costs_bounded_time_and_no_connection() {
    let linked = Linked::new().await;
    let happened = linked.link.happened();
    for round in 0..2_i64 {
        linked.warm().await;
        assert_eq!(happened.open.load(Relaxed), POOL + 1, "round {round}");
        let swallowed = happened.swallowed.load(Relaxed);
        linked.link.go_half_open();
        let began = Instant::now();
        let fails = async |pair: i64| {
            let error = add_pair(&linked.db, pair).await.unwrap_err();
            assert!(error.is_transient(), "{error:?}");
        };
        // More than the pool has: some wait for a connection, and find that none can be made.
        join_all((0..6).map(|number| fails(round * 10 + number + 1))).await;
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
        assert!(happened.swallowed.load(Relaxed) > swallowed, "the link was not half open");

        linked.link.heal();
        let began = Instant::now();
        // None of the connections that have died unnoticed is given to anybody.
        for number in 1..=POOL as i64 {
            add_pair(&linked.db, round * 10 + number).await.unwrap();
            assert_eq!(linked.rows(round * 10 + number).await, 2);
        }
        linked.db.now().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        assert!(happened.open.load(Relaxed) <= POOL + 1, "{happened:?}");
    }
    assert_eq!(linked.db.stats().waiting, 0);
}

// A replica without requests finds out by the clock, which it asks for all the time.
#[tokio::test]
async fn who_asks_for_the_clock_finds_out_for_everybody() {
    let linked = Linked::new().await;
    linked.warm().await;
    linked.link.go_half_open();
    assert!(matches!(linked.db.now().await, Err(Error::Unavailable(_))));
    linked.link.heal();
    let began = Instant::now();
    add_pair(&linked.db, 1).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_listens_finds_out_too() {
    let linked = Linked::new().await;
    let mut announcements = linked.db.announcements().await.unwrap();
    linked.direct.announce().await.unwrap();
    announcements.next().await.unwrap();
    linked.link.go_half_open();
    // 5 s of silence, and 7 s without an answer.
    let heard =
        tokio::time::timeout(BOUND * 2, announcements.next()).await.expect("it would listen for ever");
    assert!(matches!(heard, Err(Error::Unavailable(_))));
    linked.link.heal();
    let mut announcements = linked.db.announcements().await.unwrap();
    linked.direct.announce().await.unwrap();
    announcements.next().await.unwrap();
}

#[tokio::test]
async fn a_slow_link_is_slow_and_nothing_else() {
    let linked = Linked::new().await;
    linked.link.delay(Duration::from_millis(20));
    let began = Instant::now();
    for done in join_all((1..=20).map(|pair| add_pair(&linked.db, pair))).await {
        done.unwrap();
    }
    assert!(began.elapsed() > Duration::from_millis(200), "{:?}", began.elapsed());
    for pair in 1..=20 {
        assert_eq!(linked.rows(pair).await, 2);
    }
}

#[tokio::test]
async fn cut_at_any_byte_a_transaction_is_whole_or_not_there() {
    let linked = Linked::new().await;
    let happened = linked.link.happened();
    let step = if full() { 1 } else { 5 };
    let (mut pair, mut failed, mut unknown) = (0, 0, 0);
    // On a connection that is there already every byte is one of the transaction; a new one has to be made first.
    for (warm, most) in [(true, 120), (false, 800)] {
        for (towards, bytes) in [Towards::Server, Towards::Client]
            .into_iter()
            .flat_map(|towards| (1..most).step_by(step).map(move |bytes| (towards, bytes)))
        {
            if warm {
                count_on(&linked.db).await.unwrap();
            } else {
                linked.link.cut();
            }
            pair += 1;
            linked.link.cut_after(towards, bytes);
            let done = add_pair(&linked.db, pair).await;
            linked.link.heal();
            match (done, linked.rows(pair).await) {
                (Ok(()), 2) => {}
                (Err(Error::Unavailable(_)), rows @ (0 | 2)) => {
                    failed += 1;
                    unknown += rows / 2;
                }
                (done, rows) => panic!("{towards:?}, {bytes} bytes: {done:?} with {rows} rows"),
            }
        }
    }
    println!("{pair} transactions, {failed} cut, {unknown} of them after the commit");
    assert!(failed > 50 && unknown > 0 && happened.cut.load(Relaxed) >= failed, "{happened:?}");
    assert!(happened.open.load(Relaxed) <= POOL + 1, "{happened:?}");
}

fn full() -> bool {
    std::env::var_os("BOOKSTORE_AUTH_FULL").is_some_and(|value| value == "1")
}

// CR-05: the server has committed and nobody was told.
#[tokio::test]
async fn a_lost_answer_to_commit_is_an_error_and_the_change_is_there_once() {
    let linked = Linked::new().await;
    let happened = linked.link.happened();
    linked.link.lose_commits();
    for round in 1..=10 {
        let began = Instant::now();
        assert!(matches!(count_on(&linked.db).await, Err(Error::Unavailable(_))));
        assert!(matches!(add_pair(&linked.db, round).await, Err(Error::Unavailable(_))));
        assert!(began.elapsed() < BOUND);
        assert_eq!(happened.commits_lost.load(Relaxed), 2 * round as usize);
        assert_eq!((linked.counted().await, linked.rows(round).await), (round, 2));
    }
    assert_eq!((linked.db.stats().failed_groups, linked.db.stats().commits), (20, 0));
    linked.link.heal();
    assert!(matches!(add_pair(&linked.db, 1).await, Err(Error::Conflict)), "who asks again is told");
    count_on(&linked.db).await.unwrap();
    assert_eq!(linked.counted().await, 11);
}

#[tokio::test]
async fn a_link_that_is_refused_is_an_error_at_once() {
    let linked = Linked::new().await;
    linked.warm().await;
    linked.link.refuse();
    for pair in 1..=10 {
        let began = Instant::now();
        let error = add_pair(&linked.db, pair).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        assert_eq!(linked.rows(pair).await, 0);
    }
    assert!(linked.link.happened().refused.load(Relaxed) > 0);
    linked.link.heal();
    add_pair(&linked.db, 1).await.unwrap();
}

// What a pooler in transaction mode does that is switched in at run time: our prepared statements are not there.
#[tokio::test]
async fn a_connection_that_a_pooler_shares_is_refused_and_not_used_again() {
    let linked = Linked::new().await;
    count_on(&linked.db).await.unwrap();
    let mut tx = linked.db.begin().await.unwrap();
    tx.execute("DEALLOCATE ALL", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let error = count_on(&linked.db).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(text) if text.contains("PgBouncer")), "{error:?}");
    count_on(&linked.db).await.unwrap();
    assert_eq!(linked.counted().await, 2);
}
