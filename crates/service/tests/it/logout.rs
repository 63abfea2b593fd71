//! Logging out with tokens of the replaced service, and on another replica.

use service::logout::{logout, logout_all};
use service::{Error, Kind};

use crate::harness::{Harness, Refused, START, legacy_token, settings};

// SE-03: a token that never opened a session here is spent all the same.
#[tokio::test]
async fn a_refresh_token_of_the_replaced_service_is_spent() {
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    for used in [false, true] {
        let jti = if used { "a".repeat(32) } else { "b".repeat(32) };
        let token = legacy_token("refresh", ann.id.get(), &jti, START.seconds() + 1, 86_400);
        harness.clock.advance(std::time::Duration::from_secs(2));
        let next = if used { harness.refresh(&token).await.unwrap().refresh } else { None };
        logout(&harness.app, &harness.caller(), &token).await.unwrap();
        harness.verify(&token).await.token_refused();
        harness.refresh(&token).await.map(|_| ()).token_refused();
        if let Some(next) = next {
            harness.refresh(&next).await.map(|_| ()).token_refused();
        }
        logout(&harness.app, &harness.caller(), &token).await.unwrap();
    }
    let access = legacy_token("access", ann.id.get(), "c", START.seconds() + 1, 86_400);
    let error = logout(&harness.app, &harness.caller(), &access).await.unwrap_err();
    assert!(matches!(error, Error { kind: Kind::Conflict, .. }), "{error:?}");
    assert!(harness.verify(&access).await.is_ok(), "nothing was changed");
}

// SE-03: the tokens that name no session end with all the others.
#[tokio::test]
async fn logging_out_everywhere_takes_the_tokens_of_the_replaced_service_along() {
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    harness.clock.advance(std::time::Duration::from_secs(2));
    let access = legacy_token("access", ann.id.get(), "c", START.seconds() + 1, 86_400);
    let refresh = legacy_token("refresh", ann.id.get(), "d", START.seconds() + 1, 86_400);
    let pair = harness.login("ann").await;
    assert_eq!(logout_all(&harness.app, &harness.caller(), &access).await.unwrap(), ann.id);
    for token in [&access, &refresh, &pair.access, &pair.refresh] {
        harness.verify(token).await.token_refused();
    }
    harness.refresh(&refresh).await.map(|_| ()).token_refused();
    logout_all(&harness.app, &harness.caller(), &pair.refresh).await.token_refused();
}

// SE-03, RF-08: what has ended stays ended over a restart.
#[tokio::test]
async fn a_logout_survives_a_restart() {
    let harness = Harness::new().await;
    harness.register("ann").await;
    let (one, all) = (harness.login("ann").await, harness.login("ann").await);
    logout(&harness.app, &harness.caller(), &one.access).await.unwrap();
    let harness = harness.restart(settings()).await;
    harness.verify(&one.access).await.token_refused();
    assert!(harness.verify(&all.access).await.is_ok());
    logout_all(&harness.app, &harness.caller(), &all.access).await.unwrap();
    let harness = harness.restart(settings()).await;
    harness.verify(&all.access).await.token_refused();
    harness.refresh(&all.refresh).await.map(|_| ()).token_refused();
}

// RF-02: a logout and refreshes at the same time leave no live token, whoever is first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_refresh_outlives_a_logout_that_ran_beside_it() {
    let harness = std::sync::Arc::new(Harness::new().await);
    harness.register("ann").await;
    for _ in 0..20 {
        let pair = harness.login("ann").await;
        let refreshing: Vec<_> = (0..8)
            .map(|_| {
                let (harness, token) = (harness.clone(), pair.refresh.clone());
                tokio::spawn(async move { harness.refresh(&token).await.ok() })
            })
            .collect();
        logout(&harness.app, &harness.caller(), &pair.refresh).await.unwrap();
        for task in refreshing {
            let Some(given) = task.await.unwrap() else { continue };
            harness.verify(&given.access).await.token_refused();
            harness.refresh(&given.refresh.unwrap()).await.map(|_| ()).token_refused();
        }
        harness.refresh(&pair.refresh).await.map(|_| ()).token_refused();
    }
}
