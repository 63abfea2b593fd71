//! Tokens that the replaced service minted: no session in them.

use std::time::Duration;

use service::settings::{Settings, TokenSettings};

use crate::harness::{DAY, Harness, MINUTE, Refused, START, legacy_token, settings};

const JTI: &str = "0123456789abcdef0123456789abcdef";
const WEEK: i64 = 7 * 24 * 60 * 60;

#[tokio::test]
async fn an_old_access_token_verifies_until_it_expires() {
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let token = legacy_token("access", ann.id.get(), JTI, START.seconds(), 3600);
    assert!(harness.verify(&token).await.is_ok());
    harness.pass(60 * MINUTE).await;
    assert_eq!(harness.verify(&token).await.token_refused(), "Token is expired");
}

#[tokio::test]
async fn an_old_refresh_token_opens_one_session_and_is_then_spent() {
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let old = legacy_token("refresh", ann.id.get(), JTI, START.seconds(), WEEK);
    assert!(harness.verify(&old).await.is_ok());
    let first = harness.refresh(&old).await.unwrap();
    let racing_tab = harness.refresh(&old).await.unwrap();
    assert_eq!(first.refresh, racing_tab.refresh, "two racing tabs get the same session");
    harness.pass(Duration::from_secs(10)).await;
    harness.verify(&old).await.token_refused();
    harness.refresh(&old).await.map(|_| ()).token_refused();
    harness.verify(&first.access).await.token_refused();
    harness.refresh(first.refresh.as_ref().unwrap()).await.map(|_| ()).token_refused();
}

#[tokio::test]
async fn a_spent_old_token_opens_no_second_session_after_its_session_was_purged() {
    let tokens = TokenSettings { session_lifetime: DAY, ..TokenSettings::default() };
    let harness = Harness::with(Settings { tokens, ..settings() }).await;
    let ann = harness.register("ann").await;
    let old = legacy_token("refresh", ann.id.get(), JTI, START.seconds(), WEEK);
    harness.refresh(&old).await.unwrap();
    harness.pass(DAY * 3).await;
    service::worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    harness.refresh(&old).await.map(|_| ()).token_refused();
}

#[tokio::test]
async fn old_tokens_end_with_their_time_with_their_user_and_with_the_users_not_before() {
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let before = legacy_token("access", ann.id.get(), JTI, START.seconds() - 1, WEEK);
    harness.verify(&before).await.token_refused(); // older than the account
    let token = legacy_token("access", ann.id.get(), JTI, START.seconds(), 30 * WEEK);
    assert!(harness.verify(&token).await.is_ok());
    harness.verify(&legacy_token("access", 999, JTI, START.seconds(), WEEK)).await.token_refused();

    service::user::disable(&harness.app, ann.id).await.unwrap();
    harness.verify(&token).await.token_refused();
    service::user::enable(&harness.app, ann.id).await.unwrap();
    harness.verify(&token).await.token_refused(); // from before the account was disabled
    let later = legacy_token("access", ann.id.get(), JTI, START.seconds() + 60, 30 * WEEK);
    harness.pass(MINUTE).await;
    assert!(harness.verify(&later).await.is_ok());
    harness.pass(7 * DAY).await;
    harness.verify(&later).await.token_refused(); // seven days after the first start
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_race_of_one_old_token_gives_one_session() {
    // RF-02
    let harness = std::sync::Arc::new(Harness::new().await);
    let ann = harness.register("ann").await;
    let old = legacy_token("refresh", ann.id.get(), JTI, START.seconds(), WEEK);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (harness, old) = (harness.clone(), old.clone());
            tokio::spawn(async move { harness.refresh(&old).await.unwrap().refresh.unwrap() })
        })
        .collect();
    let mut successors = std::collections::HashSet::new();
    for task in tasks {
        successors.insert(task.await.unwrap());
    }
    assert_eq!(successors.len(), 1);
}

#[tokio::test]
async fn a_spent_old_token_stays_spent_when_an_import_changes_its_user() {
    // RF-08, SE-03
    let harness = Harness::new().await;
    let mut ann = crate::import::row(5, "ann");
    crate::import::apply(&harness, std::slice::from_ref(&ann)).await;
    let old = legacy_token("refresh", 5, JTI, START.seconds(), WEEK);
    let access = legacy_token("access", 5, JTI, START.seconds(), WEEK);
    harness.refresh(&old).await.unwrap();
    harness.pass(MINUTE).await;
    for fingerprint in [[1; 32], [2; 32]] {
        ann.is_active = !ann.is_active;
        ann.fingerprint = fingerprint;
        crate::import::apply(&harness, std::slice::from_ref(&ann)).await;
    }
    harness.refresh(&old).await.map(|_| ()).token_refused();
    harness.verify(&access).await.token_refused();
}

#[tokio::test]
async fn without_rotation_an_old_refresh_token_stays_in_force() {
    let tokens = TokenSettings { rotation: false, ..TokenSettings::default() };
    let harness = Harness::with(Settings { tokens, ..settings() }).await;
    let ann = harness.register("ann").await;
    let old = legacy_token("refresh", ann.id.get(), JTI, START.seconds(), WEEK);
    for _ in 0..3 {
        let refreshed = harness.refresh(&old).await.unwrap();
        assert!(refreshed.refresh.is_none());
        harness.pass(MINUTE).await;
        assert!(harness.verify(&refreshed.access).await.is_ok());
        assert!(harness.verify(&old).await.is_ok());
    }
}
