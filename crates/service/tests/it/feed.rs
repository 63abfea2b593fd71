//! How a change reaches other replicas: none is skipped, whatever order they commit in, and word of them travels fast.

use std::time::Duration;

use domain::session::SessionId;
use service::settings::Settings;
use service::{App, worker};
use store::change::{What, append};
use store::{Db, Tx};

use crate::harness::{Harness, Refused, settings};

/// A transaction that has written its entry and is not committed.
async fn ending(db: &Db, harness: &Harness, access: &str) -> Tx {
    let mut tx = db.begin().await.unwrap();
    append(&mut tx, harness.clock.now(), What::SessionEnded(session_of(access))).await.unwrap();
    tx
}

fn session_of(access: &str) -> SessionId {
    let claims = crypto::jws::KeyRing::hs256(crate::harness::SECRET, &[]).verify(access).unwrap();
    let claims = String::from_utf8(claims).unwrap();
    let start = claims.find(r#""sid":""#).unwrap() + 7;
    SessionId::parse(claims[start..].split('"').next().unwrap()).unwrap()
}

#[tokio::test]
async fn changes_that_commit_out_of_order_are_all_seen() {
    let harness = Harness::new().await;
    harness.register("ann").await;
    let [first, second, third] =
        [harness.login("ann").await, harness.login("ann").await, harness.login("ann").await];
    let writer = harness.place.open().await;
    let early = ending(&writer, &harness, &first.access).await;
    if !harness.place.is_postgres() {
        // Writers run one after another there: the second cannot begin before the first has ended.
        early.commit().await.unwrap();
        ending(&writer, &harness, &second.access).await.commit().await.unwrap();
        service::feed::poll(&harness.app).await.unwrap();
    } else {
        let dropped = ending(&writer, &harness, &third.access).await;
        ending(&writer, &harness, &second.access).await.commit().await.unwrap();
        drop(dropped);
        service::feed::poll(&harness.app).await.unwrap();
        harness.verify(&second.access).await.token_refused();
        assert!(harness.verify(&first.access).await.is_ok(), "it is not committed yet");
        harness.pass(Duration::from_secs(30)).await;
        early.commit().await.unwrap();
        service::feed::poll(&harness.app).await.unwrap();
    }
    harness.verify(&first.access).await.token_refused();
    harness.verify(&second.access).await.token_refused();
    assert!(harness.verify(&third.access).await.is_ok(), "taken back");
}

#[tokio::test]
async fn a_change_that_is_open_while_a_replica_starts_is_seen_when_it_commits() {
    let harness = Harness::new().await;
    harness.register("ann").await;
    let [first, second] = [harness.login("ann").await, harness.login("ann").await];
    let writer = harness.place.open().await;
    let early = ending(&writer, &harness, &first.access).await;
    if harness.place.is_postgres() {
        ending(&writer, &harness, &second.access).await.commit().await.unwrap();
    }
    // On SQLite a start writes, and so waits for who writes already.
    let (harness, early) = match harness.place.is_postgres() {
        true => (harness.restart(settings()).await, early),
        false => {
            early.commit().await.unwrap();
            let harness = harness.restart(settings()).await;
            (harness, writer.begin().await.unwrap())
        }
    };
    early.commit().await.unwrap();
    service::feed::poll(&harness.app).await.unwrap();
    harness.verify(&first.access).await.token_refused();
}

/// Disables the account by one replica and answers how long the other took to hear of it.
async fn heard_after(hearing: &Harness, by: &App, access: &str) -> Duration {
    let ann = service::user::find(by, "ann").await.unwrap();
    let began = tokio::time::Instant::now();
    service::user::disable(by, ann.id).await.unwrap();
    service::feed::announce(by).await;
    while hearing.verify(access).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(20), "not heard of");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = began.elapsed();
    service::user::enable(by, ann.id).await.unwrap();
    took
}

#[tokio::test]
async fn a_replica_hears_of_changes_at_once_and_without_a_word_within_the_bound() {
    // SE-03
    let bound = |revocation_bound, feed_notify| Settings { revocation_bound, feed_notify, ..settings() };
    let harness = Harness::with(bound(Duration::from_secs(3_600), true)).await;
    harness.register("ann").await;
    let silent = bound(Duration::from_millis(300), false);
    let cases = match harness.place.is_postgres() {
        true => vec![harness.app.settings.clone(), silent],
        false => vec![silent], // nobody listens there
    };
    let mut harness = harness;
    for settings in cases {
        let notified = settings.feed_notify;
        harness = harness.restart(settings).await;
        let other = harness.replica(harness.app.settings.clone()).await.unwrap();
        let working = tokio::spawn(worker::run(harness.app.clone()));
        // Time to listen and for the first look, which every start takes.
        tokio::time::sleep(Duration::from_millis(300)).await;
        for _ in 0..5 {
            let access = harness.login("ann").await.access;
            let took = heard_after(&harness, &other, &access).await;
            println!("notified {notified}: heard after {took:?}");
        }
        working.abort();
    }
}

#[tokio::test]
async fn entries_are_kept_as_long_as_the_tokens_of_any_replica_live() {
    // DS-03
    let harness = Harness::new().await;
    let before = harness.app.feed.horizon();
    let mut settings = settings();
    settings.tokens.access_lifetime = Duration::from_secs(2 * 60 * 60);
    let longer = harness.replica(settings).await.unwrap();
    worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    assert!(before < Duration::from_secs(60 * 60));
    assert_eq!(harness.app.feed.horizon(), longer.feed.horizon());
}
