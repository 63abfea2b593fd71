use service::Kind;

use crate::harness::{Harness, PASSWORD};

#[tokio::test]
async fn a_name_is_found_in_any_spelling_that_means_one_account() {
    // LG-03
    let harness = Harness::new().await;
    harness.register("Ann").await;
    for name in ["Ann", "ANN", "ann", "  Ann\u{1f}", "Ａｎｎ"] {
        assert!(harness.try_login(name, PASSWORD).await.is_ok(), "{name:?}");
    }
    for name in ["ANN", "ann", "Ａnn"] {
        let error = harness.try_register(name, PASSWORD).await.unwrap_err();
        assert!(matches!(error.kind, Kind::Invalid(_)), "{name:?} is a spoof of Ann");
    }
}

#[tokio::test]
async fn failures_are_indistinguishable_and_cost_one_hash_each() {
    // LG-01, LG-02
    let harness = Harness::new().await;
    let disabled = harness.register("disabled").await;
    harness.register("ann").await;
    service::user::disable(&harness.app, disabled.id).await.unwrap();
    for (name, password) in
        [("ann", "wrong"), ("nobody", PASSWORD), ("disabled", PASSWORD), ("disabled", "wrong")]
    {
        let before = harness.app.hasher.stats().computed;
        let error = harness.try_login(name, password).await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind, Kind::Unauthenticated);
        assert_eq!(error.detail, "No active account found with the given credentials");
        assert_eq!(harness.app.hasher.stats().computed, before + 1, "{name} {password}");
    }
}

#[tokio::test]
async fn passwords_are_normalised_to_nfc_and_otherwise_taken_as_they_are() {
    // PW-04
    let harness = Harness::new().await;
    harness.try_register("ann", "cafe\u{301} au lait ").await.unwrap();
    assert!(harness.try_login("ann", "caf\u{e9} au lait ").await.is_ok());
    for wrong in ["caf\u{e9} au lait", "Caf\u{e9} au lait ", "caf\u{e9} au lait \0", " caf\u{e9} au lait "] {
        assert!(harness.try_login("ann", wrong).await.is_err(), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_parallel_registrations_of_one_name_make_one_account() {
    // LG-03, DB-02
    let harness = std::sync::Arc::new(Harness::new().await);
    let tasks: Vec<_> = (0..50)
        .map(|i| {
            let harness = harness.clone();
            let name = if i % 2 == 0 { "Ann" } else { "aNN" };
            tokio::spawn(async move { harness.try_register(name, PASSWORD).await.is_ok() })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        made += usize::from(task.await.unwrap());
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn last_login_is_written_and_verify_does_not_touch_it() {
    let harness = Harness::new().await;
    let user = harness.register("ann").await;
    assert_eq!(user.last_login_at, None);
    let pair = harness.login("ann").await;
    harness.clock.advance(std::time::Duration::from_secs(5));
    harness.verify(&pair.access).await.unwrap();
    let user = service::user::find(&harness.app, "ann").await.unwrap();
    assert_eq!(user.last_login_at, Some(crate::harness::START));
}
