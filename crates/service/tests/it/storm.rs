//! Storms of failed logins: seen by all replicas together, told once, and felt by strangers alone.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use service::settings::Settings;
use service::worker::{share_once, tidy_once};
use service::{App, Error, Kind};

use crate::harness::{DAY, Harness, MINUTE, PASSWORD, START, settings};

fn on() -> Settings {
    Settings { throttle: true, ..settings() }
}

fn wait_of<T>(done: Result<T, Error>) -> Option<Duration> {
    match done.map(drop).map_err(|error| error.kind) {
        Err(Kind::Throttled { retry_after }) => Some(retry_after),
        _ => None,
    }
}

/// As if so many logins had failed and succeeded here, from wherever.
fn logins(app: &App, failed: u64, succeeded: u64) {
    app.counters.failed_logins.fetch_add(failed, Relaxed);
    app.counters.logins.fetch_add(succeeded, Relaxed);
}

async fn look(harness: &Harness, apps: &[&App]) {
    for app in apps.iter().chain(apps) {
        share_once(app, harness.clock.now()).await.unwrap();
    }
}

async fn rows(app: &App, count: &'static str) -> i64 {
    let row = app.db.read().await.unwrap().query_opt(count, &[]).await.unwrap().unwrap();
    row.int(0).unwrap()
}

const BEGAN: &str = "SELECT COUNT(*) FROM audit_pending WHERE kind = 'login.storm_began'";
const ENDED: &str = "SELECT COUNT(*) FROM audit_pending WHERE kind = 'login.storm_ended'";

/// Attempts at names that nobody has, from where the harness is, until one is throttled; how many were let through, and the wait.
async fn spray(harness: &Harness, names: &str) -> (usize, Duration) {
    for number in 0..50 {
        if let Some(wait) = wait_of(harness.try_login(&format!("{names}{number}"), "Password1").await) {
            return (number, wait);
        }
    }
    panic!("never throttled");
}

#[tokio::test]
async fn what_no_replica_sees_alone_all_see_together_and_one_says_so() {
    // LG-08
    let harness = Harness::with(on()).await;
    let others = [harness.replica(on()).await.unwrap(), harness.replica(on()).await.unwrap()];
    let apps = [&harness.app, &others[0], &others[1]];
    let raging = || apps.map(|app| app.in_login_storm());
    for app in apps {
        logins(app, 99, 10);
    }
    look(&harness, &apps).await;
    assert_eq!(raging(), [false; 3], "297 are no storm");
    harness.clock.advance(Duration::from_secs(20));
    logins(apps[2], 3, 0);
    look(&harness, &apps).await;
    assert_eq!(raging(), [true; 3]);
    let said = || apps.iter().map(|app| app.counters.login_storms.load(Relaxed)).sum::<u64>();
    assert_eq!((said(), rows(apps[0], BEGAN).await, rows(apps[0], ENDED).await), (1, 1, 0));

    // Whoever starts now hears of it, although it is calm by now.
    harness.clock.advance(MINUTE * 2);
    look(&harness, &apps).await;
    let fresh = harness.replica(on()).await.unwrap();
    look(&harness, &[&fresh]).await;
    assert!(fresh.in_login_storm());

    harness.clock.advance(MINUTE * 5);
    look(&harness, &apps).await;
    look(&harness, &[&fresh]).await;
    assert_eq!((raging(), fresh.in_login_storm()), ([false; 3], false));
    assert_eq!((said(), rows(apps[0], BEGAN).await, rows(apps[0], ENDED).await), (1, 1, 1));
    harness.clock.advance(MINUTE * 20);
    tidy_once(apps[0], harness.clock.now()).await.unwrap();
    assert_eq!(rows(apps[0], "SELECT COUNT(*) FROM login_counts").await, 0, "and the counts are forgotten");
}

#[tokio::test]
async fn many_failures_among_many_successes_are_no_storm() {
    // LG-08
    let harness = Harness::with(on()).await;
    logins(&harness.app, 5_000, 4_000);
    look(&harness, &[&harness.app]).await;
    assert!(!harness.app.in_login_storm());
}

#[tokio::test]
async fn in_a_storm_strangers_get_little_and_the_networks_of_owners_notice_nothing() {
    // LG-04, LG-08
    let mut harness = Harness::with(on()).await;
    harness.register("ann").await;
    harness.register("bob").await;
    harness.login("ann").await;
    logins(&harness.app, 1_000, 10);
    look(&harness, &[&harness.app]).await;
    assert!(harness.app.in_login_storm());
    let home = std::mem::replace(&mut harness.address, IpAddr::from([203, 0, 113, 1]));

    // LG-01: unknown names and known ones are told the same, and the right password is no better.
    let (served, wait) = spray(&harness, "user").await;
    assert_eq!((served, wait), (5, MINUTE));
    for (name, password) in [("ann", "wrong"), ("ann", PASSWORD), ("bob", PASSWORD), ("nobody", "wrong")] {
        assert_eq!(wait_of(harness.try_login(name, password).await), Some(wait), "{name}");
    }
    harness.address = IpAddr::from([203, 0, 113, 2]);
    for _ in 0..20 {
        assert!(harness.try_login("bob", PASSWORD).await.is_ok(), "what succeeds takes nothing");
    }
    harness.address = home;
    assert_eq!(spray(&harness, "other").await.0, 5);
    for _ in 0..20 {
        assert!(harness.try_login("ann", PASSWORD).await.is_ok(), "beside a sprayer in the same network");
    }
    harness.pass(MINUTE * 10).await;
    look(&harness, &[&harness.app]).await;
    assert!(!harness.app.in_login_storm());
    for number in 0..12 {
        assert_eq!(wait_of(harness.try_login(&format!("later{number}"), "Password1").await), None);
    }
    logins(&harness.app, 1_000, 10);
    look(&harness, &[&harness.app]).await;
    assert!(harness.app.in_login_storm());
    assert_eq!(spray(&harness, "last").await.0, 0, "what was tried before it was seen counts");
}

#[tokio::test]
async fn a_clock_that_goes_back_makes_no_storm_longer() {
    // CR-08
    let harness = Harness::with(on()).await;
    logins(&harness.app, 1_000, 10);
    look(&harness, &[&harness.app]).await;
    assert!(harness.app.in_login_storm());
    harness.clock.set(START - DAY);
    look(&harness, &[&harness.app]).await;
    harness.clock.advance(MINUTE * 5);
    look(&harness, &[&harness.app]).await;
    assert!(!harness.app.in_login_storm());
    tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    assert_eq!(rows(&harness.app, "SELECT COUNT(*) FROM login_counts").await, 0, "of a day that was not");
}
