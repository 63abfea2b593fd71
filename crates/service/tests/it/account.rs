use service::user::{delete, disable, enable, list, set_password};
use service::{Error, Kind};

use crate::harness::{Harness, MINUTE, PASSWORD, Refused, settings};

#[tokio::test]
async fn disabling_ends_everything_at_once_and_enabling_revives_nothing() {
    // TK-14, SE-03, RF-07, LG-06, A01
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let pair = harness.login("ann").await;
    assert!(disable(&harness.app, ann.id).await.unwrap());
    assert!(!disable(&harness.app, ann.id).await.unwrap(), "it is disabled already");
    harness.verify(&pair.access).await.token_refused();
    harness.verify(&pair.refresh).await.token_refused();
    let refused = harness.refresh(&pair.refresh).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.detail, "No active account found for the given token.");
    assert!(harness.try_login("ann", PASSWORD).await.is_err());

    harness.pass(MINUTE).await;
    assert!(enable(&harness.app, ann.id).await.unwrap());
    harness.verify(&pair.access).await.token_refused();
    harness.refresh(&pair.refresh).await.map(|_| ()).token_refused();
    let new = harness.login("ann").await;
    assert!(harness.verify(&new.access).await.is_ok());

    let harness = harness.restart(settings()).await; // the feed is read anew
    harness.verify(&pair.access).await.token_refused();
    assert!(harness.verify(&new.access).await.is_ok());
}

#[tokio::test]
async fn another_process_is_heard_through_the_feed() {
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let pair = harness.login("ann").await;
    let mut tx = harness.app.db.begin().await.unwrap();
    let epoch = store::user::disable(&mut tx, ann.id, harness.clock.now()).await.unwrap().unwrap();
    let what = store::change::What::User { id: ann.id, epoch, active: false };
    store::change::append(&mut tx, harness.clock.now(), what).await.unwrap();
    tx.commit().await.unwrap();
    assert!(harness.verify(&pair.access).await.is_ok(), "not heard of yet");
    service::feed::poll(&harness.app).await.unwrap();
    harness.verify(&pair.access).await.token_refused();
}

#[tokio::test]
async fn a_deleted_account_is_gone_and_its_id_is_not_issued_again() {
    // LG-12, A34
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let pair = harness.login("ann").await;
    assert!(delete(&harness.app, ann.id).await.unwrap());
    harness.verify(&pair.access).await.token_refused();
    harness.verify(&pair.refresh).await.token_refused();
    harness.refresh(&pair.refresh).await.map(|_| ()).token_refused();
    let again = harness.register("ann").await;
    assert_ne!(again.id, ann.id);
    let new = harness.login("ann").await;
    assert!(harness.verify(&new.access).await.is_ok());
    harness.verify(&pair.access).await.token_refused();
}

#[tokio::test]
async fn a_new_password_ends_all_sessions() {
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let pair = harness.login("ann").await;
    let error = set_password(&harness.app, ann.id, "short").await.unwrap_err();
    assert!(matches!(error, Error { kind: Kind::Invalid(_), .. }));
    assert!(harness.verify(&pair.access).await.is_ok(), "nothing was changed");
    set_password(&harness.app, ann.id, "another good one").await.unwrap();
    harness.verify(&pair.access).await.token_refused();
    harness.refresh(&pair.refresh).await.map(|_| ()).token_refused();
    assert!(harness.try_login("ann", PASSWORD).await.is_err());
    assert!(harness.try_login("ann", "another good one").await.is_ok());
}

#[tokio::test]
async fn accounts_are_listed_page_by_page() {
    let harness = Harness::new().await;
    for name in ["a1", "b2", "c3"] {
        harness.register(name).await;
    }
    let first = list(&harness.app, None, 2).await.unwrap();
    let rest = list(&harness.app, Some(first[1].id), 2).await.unwrap();
    let names: Vec<_> = first.iter().chain(&rest).map(|user| user.username.as_str().to_owned()).collect();
    assert_eq!(names, ["a1", "b2", "c3"]);
}

#[tokio::test]
async fn dead_sessions_and_old_changes_are_purged_and_live_ones_are_not() {
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let old = harness.login("ann").await;
    disable(&harness.app, ann.id).await.unwrap();
    enable(&harness.app, ann.id).await.unwrap();
    harness.pass(crate::harness::DAY * 32).await;
    let new = harness.login("ann").await;
    service::worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    let mut tx = harness.app.db.read().await.unwrap();
    assert!(store::change::read_after(&mut tx, 0, 10).await.unwrap().is_empty());
    drop(tx);
    assert!(harness.refresh(&old.refresh).await.is_err());
    assert!(harness.refresh(&new.refresh).await.is_ok());
}

#[tokio::test]
async fn digits_that_mean_two_accounts_are_refused() {
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let squatter = harness.register(&ann.id.to_string()).await;
    let find = async |text: String| service::user::find(&harness.app, &text).await.map(|user| user.id);
    assert!(matches!(find(ann.id.to_string()).await.unwrap_err().kind, Kind::Conflict));
    assert_eq!(find(format!("id:{}", ann.id)).await.unwrap(), ann.id);
    assert_eq!(find(format!("name:{}", ann.id)).await.unwrap(), squatter.id);
    assert_eq!(find(squatter.id.to_string()).await.unwrap(), squatter.id);
}

#[tokio::test]
async fn a_change_with_an_earlier_time_hides_none_before_it_from_a_restart() {
    // CR-08: a clock was set back between two changes
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let ben = harness.register("ben").await;
    harness.pass(MINUTE * 60).await;
    let pair = harness.login("ann").await;
    disable(&harness.app, ann.id).await.unwrap();
    harness.clock.set(crate::harness::START);
    disable(&harness.app, ben.id).await.unwrap();
    harness.clock.advance(MINUTE * 61);
    let harness = harness.restart(settings()).await;
    harness.verify(&pair.access).await.token_refused();
}
