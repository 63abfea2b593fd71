use std::time::Duration;

use service::settings::{Settings, TokenSettings};

use crate::harness::{DAY, Harness, MINUTE, Refused, settings};

#[tokio::test]
async fn every_use_rotates_and_the_spent_token_ends_the_session() {
    // RF-01, SE-03
    let harness = Harness::new().await;
    harness.register("ann").await;
    let first = harness.login("ann").await;
    harness.pass(MINUTE).await;
    let second = harness.refresh(&first.refresh).await.unwrap();
    harness.pass(MINUTE).await;
    let third = harness.refresh(second.refresh.as_ref().unwrap()).await.unwrap();
    assert!(harness.verify(&third.access).await.is_ok());

    assert_eq!(harness.refresh(&first.refresh).await.map(|_| ()).token_refused(), "Token is invalid");

    harness.refresh(third.refresh.as_ref().unwrap()).await.map(|_| ()).token_refused();
    for token in [&first.access, &second.access, &third.access, third.refresh.as_ref().unwrap()] {
        harness.verify(token).await.token_refused();
    }
    assert!(harness.login("ann").await.access.len() > 20, "the account itself is not touched");
}

#[tokio::test]
async fn within_the_grace_window_a_repeated_refresh_gets_the_same_successor_while_it_is_unused() {
    // RF-03
    let harness = Harness::new().await;
    harness.register("ann").await;
    let first = harness.login("ann").await;
    harness.pass(MINUTE).await;
    let second = harness.refresh(&first.refresh).await.unwrap();
    harness.pass(Duration::from_secs(9)).await;
    assert!(harness.verify(&first.refresh).await.is_ok(), "the previous generation is good within grace");
    let again = harness.refresh(&first.refresh).await.unwrap();
    assert_eq!(again.refresh, second.refresh);
    assert_ne!(again.access, second.access);
    harness.pass(Duration::from_secs(1)).await; // the redelivery has not moved the window
    harness.verify(&first.refresh).await.token_refused();
    harness.refresh(&first.refresh).await.map(|_| ()).token_refused();
}

#[tokio::test]
async fn once_the_successor_is_used_the_old_token_is_reuse_even_within_grace() {
    // RF-03
    let harness = Harness::new().await;
    harness.register("ann").await;
    let first = harness.login("ann").await;
    let second = harness.refresh(&first.refresh).await.unwrap();
    let third = harness.refresh(second.refresh.as_ref().unwrap()).await.unwrap();
    harness.refresh(&first.refresh).await.map(|_| ()).token_refused();
    harness.verify(&third.access).await.token_refused();
}

#[tokio::test]
async fn a_grace_of_zero_makes_every_repetition_reuse() {
    let tokens = TokenSettings { refresh_grace: Duration::ZERO, ..TokenSettings::default() };
    let harness = Harness::with(Settings { tokens, ..settings() }).await;
    harness.register("ann").await;
    let first = harness.login("ann").await;
    harness.refresh(&first.refresh).await.unwrap();
    harness.refresh(&first.refresh).await.map(|_| ()).token_refused();
}

#[tokio::test]
async fn the_absolute_lifetime_is_never_extended_and_no_access_token_outlives_it() {
    // RF-04, SE-02
    let harness = Harness::new().await;
    harness.register("ann").await;
    let mut token = harness.login("ann").await.refresh;
    for _ in 0..29 {
        harness.pass(DAY).await;
        token = harness.refresh(&token).await.unwrap().refresh.unwrap();
    }
    harness.pass(DAY - Duration::from_secs(10)).await;
    let last = harness.refresh(&token).await.unwrap();
    harness.pass(Duration::from_secs(10)).await;
    assert_eq!(harness.verify(&last.access).await.token_refused(), "Token is expired");
    harness.refresh(last.refresh.as_ref().unwrap()).await.map(|_| ()).token_refused();
}

#[tokio::test]
async fn an_idle_session_ends() {
    let harness = Harness::new().await;
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    harness.pass(7 * DAY).await;
    assert_eq!(harness.refresh(&pair.refresh).await.map(|_| ()).token_refused(), "Token is expired");
}

#[tokio::test]
async fn without_rotation_the_token_stays_and_only_an_access_token_comes_back() {
    let tokens = TokenSettings { rotation: false, ..TokenSettings::default() };
    let harness = Harness::with(Settings { tokens, ..settings() }).await;
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    for _ in 0..3 {
        harness.pass(MINUTE).await;
        let refreshed = harness.refresh(&pair.refresh).await.unwrap();
        assert!(refreshed.refresh.is_none());
        assert!(harness.verify(&refreshed.access).await.is_ok());
    }
}

#[tokio::test]
async fn an_access_token_does_not_refresh() {
    // TK-03
    let harness = Harness::new().await;
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    assert_eq!(harness.refresh(&pair.access).await.map(|_| ()).token_refused(), "Token has wrong type");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_parallel_refreshes_leave_one_live_branch() {
    // RF-02
    let harness = std::sync::Arc::new(Harness::new().await);
    harness.register("ann").await;
    let mut token = harness.login("ann").await.refresh;
    for _ in 0..10 {
        harness.pass(MINUTE).await;
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (harness, token) = (harness.clone(), token.clone());
                tokio::spawn(async move { harness.refresh(&token).await.unwrap().refresh.unwrap() })
            })
            .collect();
        let mut successors = std::collections::HashSet::new();
        for task in tasks {
            successors.insert(task.await.unwrap());
        }
        assert_eq!(successors.len(), 1, "all got the same successor");
        token = successors.into_iter().next().unwrap();
    }
}

#[tokio::test]
async fn spent_and_revoked_stay_so_after_a_restart() {
    // RF-08
    let harness = Harness::new().await;
    harness.register("ann").await;
    let first = harness.login("ann").await;
    harness.refresh(&first.refresh).await.unwrap();
    harness.pass(MINUTE).await;
    let harness = harness.restart(settings()).await;
    harness.refresh(&first.refresh).await.map(|_| ()).token_refused();
    let harness = harness.restart(settings()).await;
    harness.verify(&first.access).await.token_refused();
}

#[tokio::test]
async fn a_clock_that_steps_back_revives_nothing() {
    // CR-08
    let harness = Harness::new().await;
    harness.register("ann").await;
    harness.pass(60 * MINUTE).await;
    let first = harness.login("ann").await;
    let second = harness.refresh(&first.refresh).await.unwrap();
    harness.refresh(second.refresh.as_ref().unwrap()).await.unwrap();
    harness.clock.set(crate::harness::START);
    assert!(harness.refresh(&first.refresh).await.is_err());
    harness.clock.advance(60 * MINUTE);
    assert!(harness.refresh(&first.refresh).await.is_err());
}

#[tokio::test]
async fn a_stale_feed_judges_no_access_token() {
    // SE-09: fails closed, and never with 400 or 401
    let harness = Harness::new().await;
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    harness.clock.advance(Duration::from_secs(61));
    let error = harness.verify(&pair.access).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    service::feed::poll(&harness.app).await.unwrap();
    assert!(harness.verify(&pair.access).await.is_ok());
}
