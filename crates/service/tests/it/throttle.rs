use std::net::IpAddr;
use std::time::Duration;

use service::settings::Settings;
use service::{Error, Kind};

use crate::harness::{Harness, PASSWORD, settings};

fn on() -> Settings {
    Settings { throttle: true, ..settings() }
}

fn throttled<T>(result: Result<T, Error>) -> Option<Duration> {
    match result.map(|_| ()).map_err(|error| error.kind) {
        Err(Kind::Throttled { retry_after }) => Some(retry_after),
        _ => None,
    }
}

async fn fail_until_throttled(harness: &Harness, name: &str) -> (usize, Duration) {
    for failures in 0..50 {
        if let Some(wait) = throttled(harness.try_login(name, "wrong").await) {
            return (failures, wait);
        }
    }
    panic!("never throttled");
}

#[tokio::test]
async fn known_and_unknown_names_are_throttled_alike_in_every_spelling() {
    // LG-03, LG-04, LG-08, A42
    let harness = Harness::with(on()).await;
    harness.register("Ann").await;
    let known = fail_until_throttled(&harness, "Ann").await;
    let unknown = fail_until_throttled(&harness, "Nobody").await;
    assert_eq!(known, unknown);
    for name in ["ann", "ANN", " Ann ", "nobody", "NOBODY"] {
        assert_eq!(throttled(harness.try_login(name, PASSWORD).await), Some(known.1), "{name}");
    }
}

#[tokio::test]
async fn failures_survive_a_restart() {
    // LG-05, CR-08
    let harness = Harness::with(on()).await;
    harness.register("ann").await;
    fail_until_throttled(&harness, "ann").await;
    fail_until_throttled(&harness, "nobody").await;
    let harness = harness.restart(on()).await;
    assert!(throttled(harness.try_login("ann", PASSWORD).await).is_some());
    assert!(throttled(harness.try_login("nobody", PASSWORD).await).is_some());
}

#[tokio::test]
async fn the_delay_ends_and_a_success_clears_the_count() {
    let harness = Harness::with(on()).await;
    harness.register("ann").await;
    let (free, wait) = fail_until_throttled(&harness, "ann").await;
    harness.pass(wait).await;
    assert!(harness.try_login("ann", PASSWORD).await.is_ok());
    assert_eq!(fail_until_throttled(&harness, "ann").await.0, free);
}

#[tokio::test]
async fn an_attacker_elsewhere_does_not_lock_the_owner_out() {
    // LG-04, A20
    let mut harness = Harness::with(on()).await;
    harness.register("ann").await;
    harness.login("ann").await;
    let home = harness.address;
    for i in 0..200_u8 {
        harness.address = IpAddr::from([203, 0, 113, i]);
        let _ = harness.try_login("ann", "wrong").await;
    }
    harness.address = home;
    assert!(harness.try_login("ann", PASSWORD).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_guesses_do_not_get_past_the_limit() {
    // LG-04: an attempt is counted before its hash
    let harness = std::sync::Arc::new(Harness::with(on()).await);
    harness.register("ann").await;
    let before = harness.app.hasher.stats().computed;
    let tasks: Vec<_> = (0..90)
        .map(|i| {
            let harness = harness.clone();
            tokio::spawn(async move { harness.try_login("ann", &format!("guess {i}")).await.is_ok() })
        })
        .collect();
    for task in tasks {
        assert!(!task.await.unwrap());
    }
    assert!(harness.app.hasher.stats().computed - before <= 5);
}

#[tokio::test]
async fn one_address_cannot_spray_many_accounts() {
    // LG-08
    let harness = Harness::with(on()).await;
    let mut served = 0;
    for i in 0..150 {
        if throttled(harness.try_login(&format!("user{i}"), "Password1").await).is_some() {
            break;
        }
        served += 1;
    }
    assert_eq!(served, 100);
}

#[tokio::test]
async fn one_ipv6_network_is_one_source() {
    // LG-07
    let mut harness = Harness::with(on()).await;
    harness.register("ann").await;
    let mut free = 0;
    for i in 1..100_u16 {
        harness.address = IpAddr::from([0x2001, 0xdb8, 0, 0, i, i, i, i]);
        if throttled(harness.try_login("ann", "wrong").await).is_some() {
            break;
        }
        free += 1;
    }
    assert_eq!(free, 5);
}
