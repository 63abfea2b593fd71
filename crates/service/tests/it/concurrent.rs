//! Many requests at the same moment: what must hold then is the same on every engine.

use std::collections::BTreeSet;

use service::Kind;
use service::settings::Settings;

use crate::harness::{Harness, PASSWORD, settings};

const CROWD: usize = 24;

/// Runs as many of these at the same time and answers what came of each.
async fn crowd<T>(work: impl AsyncFn(usize) -> T) -> Vec<T> {
    futures_util::future::join_all((0..CROWD).map(|number| work(number))).await
}

#[tokio::test]
async fn many_refreshes_of_one_token_get_one_successor() {
    // RF-02
    let harness = Harness::new().await;
    harness.register("ann").await;
    let token = harness.login("ann").await.refresh;
    let given = crowd(async |_| harness.refresh(&token).await.unwrap().refresh.unwrap()).await;
    let different: BTreeSet<&String> = given.iter().collect();
    assert_eq!(different.len(), 1);
    assert!(harness.refresh(&given[0]).await.is_ok());
}

#[tokio::test]
async fn many_logins_to_one_account_are_never_in_each_others_way() {
    // With throttling every attempt counts until its password is found good, and five from one network may be open.
    for (throttle, least) in [(false, CROWD), (true, 5)] {
        let harness = Harness::with(Settings { throttle, ..settings() }).await;
        harness.register("ann").await;
        let done = crowd(async |_| harness.try_login("ann", PASSWORD).await).await;
        assert!(done.iter().filter(|done| done.is_ok()).count() >= least, "throttled {throttle}");
        for (number, pair) in done.into_iter().enumerate() {
            match pair {
                Ok(pair) => assert!(harness.refresh(&pair.refresh).await.is_ok()),
                Err(error) => assert!(
                    throttle && matches!(error.kind, Kind::Throttled { .. }),
                    "login {number}, throttled {throttle}: {error:?}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn a_name_is_given_once_and_every_id_once() {
    let harness = Harness::new().await;
    let same = crowd(async |_| harness.try_register("ann", PASSWORD).await).await;
    assert_eq!(same.iter().filter(|done| done.is_ok()).count(), 1);
    for error in same.into_iter().filter_map(Result::err) {
        assert!(matches!(error.kind, Kind::Invalid(_)), "{error:?}");
    }
    let ids = crowd(async |number| {
        if number % 4 == 0 {
            service::import::reserve_ids(&harness.app, 1_000 * number as i64).await.unwrap();
        }
        harness.register(&format!("user{number}")).await.id
    });
    let ids = ids.await;
    let different: BTreeSet<_> = ids.iter().collect();
    assert_eq!(different.len(), CROWD);
    service::import::reserve_ids(&harness.app, 7).await.unwrap();
    let highest = 1_000 * 20;
    assert!(harness.register("last").await.id.get() > highest, "a reservation never lowers it");
}

#[tokio::test]
async fn refreshing_while_the_account_is_disabled_leaves_no_live_session() {
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    for _ in 0..5 {
        let pair = harness.login("ann").await;
        let done = crowd(async |number| match number {
            0 => {
                service::user::disable(&harness.app, ann.id).await.unwrap();
                None
            }
            _ => harness.refresh(&pair.refresh).await.ok(),
        });
        for given in done.await.into_iter().flatten() {
            assert!(harness.verify(&given.access).await.is_err());
            assert!(harness.refresh(given.refresh.as_ref().unwrap()).await.is_err());
        }
        service::user::enable(&harness.app, ann.id).await.unwrap();
    }
}
