//! Several replicas on one database: what they tell each other of networks and of logins.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use service::settings::Settings;
use service::worker::{share_once, tidy_once};
use service::{App, Error, Kind, TokenPair};

use crate::harness::{DAY, Harness, PASSWORD, START, settings};

fn on() -> Settings {
    Settings { throttle: true, ..settings() }
}

fn is_throttled<T>(done: &Result<T, Error>) -> bool {
    matches!(done, Err(Error { kind: Kind::Throttled { .. }, .. }))
}

async fn login(harness: &Harness, app: &App, name: &str, password: &str) -> Result<TokenPair, Error> {
    let input = service::login::Input { username: name.into(), password: password.into() };
    service::login::login(app, &harness.caller(), input).await
}

/// A registration that is refused for its fields, unless it is throttled before: it costs no hash and asks no database.
async fn faulty_registration(harness: &Harness, app: &App) -> Result<(), Error> {
    let faulty = || Err(vec!["This field is required.".into()]);
    let input = service::register::Input { username: faulty(), email: faulty(), password: faulty() };
    service::register::register(app, &harness.caller(), input).await.map(drop)
}

/// How many registrations in a row are let through, at most 1000.
async fn let_through(harness: &Harness, app: &App) -> usize {
    for number in 0..1000 {
        if is_throttled(&faulty_registration(harness, app).await) {
            return number;
        }
    }
    1000
}

async fn share(harness: &Harness, apps: &[&App]) {
    for app in apps.iter().chain(apps) {
        share_once(app, harness.clock.now()).await.unwrap();
    }
}

async fn rows(app: &App, count: &'static str) -> i64 {
    let row = app.db.read().await.unwrap().query_opt(count, &[]).await.unwrap().unwrap();
    row.int(0).unwrap()
}

#[tokio::test]
async fn five_hundred_accounts_from_one_network_are_not_tried_by_asking_three_replicas() {
    // LG-08
    let harness = Harness::with(on()).await;
    let others = [harness.replica(on()).await.unwrap(), harness.replica(on()).await.unwrap()];
    let apps = [&harness.app, &others[0], &others[1]];
    for number in [7, 450] {
        harness.register(&format!("user{number}")).await;
    }
    let mut served = 0;
    for number in 0..500 {
        let done = login(&harness, apps[number % 3], &format!("user{number}"), "Password1").await;
        served += usize::from(!is_throttled(&done));
        if number % 15 == 14 {
            share(&harness, &apps).await;
        }
        // A known name and unknown ones beside it get the same.
        if number > 440 {
            assert!(is_throttled(&done), "user{number}");
        }
    }
    assert!((100..=115).contains(&served), "{served}");
    assert!(is_throttled(&login(&harness, apps[0], "user450", PASSWORD).await));
}

#[tokio::test]
async fn replicas_give_one_budget_and_a_new_one_knows_of_it() {
    // LG-08, CR-08
    let mut harness = Harness::with(on()).await;
    let other = harness.replica(on()).await.unwrap();
    assert_eq!(let_through(&harness, &harness.app).await, 100);
    share(&harness, &[&harness.app, &other]).await;
    assert_eq!(let_through(&harness, &other).await, 0);
    let home = std::mem::replace(&mut harness.address, IpAddr::from([203, 0, 113, 1]));
    assert_eq!(let_through(&harness, &other).await, 100, "of another network nobody has told");
    harness.address = home;
    let third = harness.replica(on()).await.unwrap();
    assert_eq!(let_through(&harness, &third).await, 0);
    other.db.close().await;
    third.db.close().await;
    let harness = harness.restart(on()).await;
    assert_eq!(let_through(&harness, &harness.app).await, 0, "a restart forgets nothing");
    harness.pass(Duration::from_secs(31)).await;
    assert_eq!(let_through(&harness, &harness.app).await, 1, "one in 30 seconds");
}

#[tokio::test]
async fn workers_share_by_themselves() {
    // LG-08
    let harness = Harness::with(on()).await;
    let other = harness.replica(on()).await.unwrap();
    assert_eq!(let_through(&harness, &harness.app).await, 100);
    let workers = [&harness.app, &other].map(|app| tokio::spawn(service::worker::run(app.clone())));
    // Fewer looks than the replica's own budget has.
    for _ in 0..90 {
        if is_throttled(&faulty_registration(&harness, &other).await) {
            return workers.iter().for_each(tokio::task::JoinHandle::abort);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody has told");
}

#[tokio::test]
async fn what_a_success_gives_back_is_given_back_everywhere() {
    let harness = Harness::with(on()).await;
    let other = harness.replica(on()).await.unwrap();
    harness.register("ann").await;
    for _ in 0..3 {
        assert!(login(&harness, &other, "ann", PASSWORD).await.is_ok());
    }
    share(&harness, &[&harness.app, &other]).await;
    assert_eq!(rows(&other, "SELECT COUNT(*) FROM network_rates WHERE kind = 0").await, 0, "nothing to tell");
}

#[tokio::test]
async fn without_the_database_every_replica_has_its_own_budget_and_tells_later() {
    let harness = Harness::with(on()).await;
    let other = harness.replica(on()).await.unwrap();
    assert_eq!(let_through(&harness, &harness.app).await, 100);
    share(&harness, &[&harness.app]).await;
    other.db.close().await;
    assert!(share_once(&other, harness.clock.now()).await.is_err());
    assert_eq!(let_through(&harness, &other).await, 100, "fails safe: no more than alone");
    assert!(share_once(&other, harness.clock.now()).await.is_err());
    assert_eq!(let_through(&harness, &other).await, 0, "what could not be told is not forgotten");
}

#[tokio::test]
async fn a_clock_that_was_wrong_keeps_no_network_waiting() {
    // CR-08
    let harness = Harness::with(on()).await;
    let other = harness.replica(on()).await.unwrap();
    assert_eq!(let_through(&harness, &harness.app).await, 100);
    share(&harness, &[&harness.app, &other]).await;
    harness.clock.set(START - DAY);
    share(&harness, &[&harness.app, &other]).await;
    assert_eq!(let_through(&harness, &other).await, 100, "nobody waits for a day that was not");
    share(&harness, &[&other, &harness.app]).await;
    assert_eq!(let_through(&harness, &harness.app).await, 0, "what is told since is heard");
}

#[tokio::test]
async fn budgets_that_are_whole_again_are_forgotten() {
    // DS-03
    let mut harness = Harness::with(on()).await;
    for number in 0..20 {
        harness.address = IpAddr::from([203, 0, 113, number]);
        let _ = faulty_registration(&harness, &harness.app).await;
    }
    share(&harness, &[&harness.app]).await;
    assert_eq!(rows(&harness.app, "SELECT COUNT(*) FROM network_rates").await, 20);
    harness.pass(Duration::from_secs(60)).await;
    tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    assert_eq!(rows(&harness.app, "SELECT COUNT(*) FROM network_rates").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_parallel_guesses_on_two_replicas_cost_five_hashes() {
    // LG-04: also where the right password is among those past the limit.
    let harness = Arc::new(Harness::with(on()).await);
    harness.register("ann").await;
    let other = harness.replica(on()).await.unwrap();
    for _ in 0..5 {
        assert!(login(&harness, &other, "ann", "wrong").await.is_err());
    }
    let apps = [harness.app.clone(), other];
    let hashes = || apps.iter().map(|app| app.hasher.stats().computed).sum::<u64>();
    let before = hashes();
    for name in ["ann", "nobody"] {
        let tasks: Vec<_> = (0..200)
            .map(|number| {
                let (harness, app) = (harness.clone(), apps[number % 2].clone());
                let guess = if number == 150 { PASSWORD.to_owned() } else { format!("guess {number}") };
                tokio::spawn(async move { login(&harness, &app, name, &guess).await.is_ok() })
            })
            .collect();
        for task in tasks {
            assert!(!task.await.unwrap());
        }
    }
    let computed = hashes() - before;
    assert!(
        computed <= 5,
        "{computed}: none for the account past its limit, five for a name that nobody has"
    );
}
