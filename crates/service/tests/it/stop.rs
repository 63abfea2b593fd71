//! The hard stop: after a hundred consecutive failures a password is taken no more.

use std::net::IpAddr;

use domain::user::UserId;
use mail::Template;
use mail::transport::Outbox;
use service::password::change;
use service::settings::Settings;
use service::{Error, Kind};

use crate::harness::{DAY, Harness, PASSWORD, count, link_token, with_mail};

fn on(outbox: &Outbox) -> Settings {
    Settings { throttle: true, hard_stop: true, ..with_mail(outbox) }
}

const NEW: &str = "another long password";

const STOPPED: &str = "SELECT COUNT(*) FROM audit_pending WHERE kind = 'password.stopped'";

async fn rows(harness: &Harness, count: &'static str) -> i64 {
    harness.app.db.read().await.unwrap().query_opt(count, &[]).await.unwrap().unwrap().int(0).unwrap()
}

/// So many passwords from as many networks, one a day: nothing but the hard stop minds.
async fn guess(harness: &mut Harness, name: &str, times: usize) {
    let home = harness.address;
    for number in 0..times {
        harness.pass(DAY).await;
        harness.address = IpAddr::from([203, 0, 113, number as u8]);
        assert!(is_wrong(harness.try_login(name, "wrong").await), "{number}");
    }
    harness.address = home;
}

fn is_wrong<T>(done: Result<T, Error>) -> bool {
    matches!(done, Err(Error { kind: Kind::Unauthenticated, .. }))
}

#[tokio::test]
async fn a_password_stops_for_strangers_and_not_for_the_owner_at_home() {
    // LG-04, LG-05, LG-06, A20
    let outbox = Outbox::default();
    let mut harness = Harness::with(on(&outbox)).await;
    let ann = harness.register("ann").await.id;
    harness.login("ann").await;
    set_strangers(&harness, ann, 98).await;
    guess(&mut harness, "ann", 1).await;
    harness.login("ann").await;
    guess(&mut harness, "ann", 2).await;
    assert_eq!(rows(&harness, STOPPED).await, 0, "they were not consecutive");
    set_strangers(&harness, ann, 98).await;
    guess(&mut harness, "ann", 3).await;
    assert_eq!(rows(&harness, STOPPED).await, 1, "once");

    let mut harness = harness.restart(on(&outbox)).await;
    let home = std::mem::replace(&mut harness.address, IpAddr::from([198, 51, 100, 1]));
    let before = harness.app.hasher.stats().computed;
    let right = harness.try_login("ann", PASSWORD).await.map(drop).unwrap_err();
    let wrong = harness.try_login("ann", "wrong").await.map(drop).unwrap_err();
    let nobody = harness.try_login("nobody", "wrong").await.map(drop).unwrap_err();
    // LG-01, LG-02: the same answer for the same work.
    let shown = |error: &Error| (format!("{:?}", error.kind), error.code, error.detail.to_string());
    assert_eq!((shown(&right), shown(&wrong)), (shown(&nobody), shown(&nobody)));
    assert_eq!(harness.app.hasher.stats().computed - before, 3);

    // The owner at home, and the sessions from before.
    harness.address = home;
    let pair = harness.login("ann").await;
    assert!(harness.refresh(&pair.refresh).await.is_ok());
    harness.address = IpAddr::from([198, 51, 100, 2]);
    assert!(is_wrong(harness.try_login("ann", PASSWORD).await), "that gives strangers nothing");

    // RC-01: the way back is open, from wherever.
    let whom = service::recovery::Whom::Username("ann".into());
    service::recovery::request(&harness.app, &harness.caller(), whom).await.unwrap();
    harness.post().await;
    assert_eq!(count(&outbox, Template::PasswordStopped), 1, "the owner is told once");
    let token = link_token(&outbox, Template::ResetPassword);
    service::recovery::confirm(&harness.app, &harness.caller(), &token, NEW).await.unwrap();
    assert!(harness.try_login("ann", NEW).await.is_ok(), "a new password, from anywhere");
}

#[tokio::test]
async fn a_stolen_token_is_no_way_around_the_stop() {
    // LG-04, SE-05, LA-06
    let outbox = Outbox::default();
    let mut harness = Harness::with(on(&outbox)).await;
    let ann = harness.register("ann").await.id;
    let who = harness.who("ann", PASSWORD).await;
    set_strangers(&harness, ann, 99).await;
    let home = std::mem::replace(&mut harness.address, IpAddr::from([198, 51, 100, 1]));
    for (typed, note) in [("wrong", "the hundredth"), (PASSWORD, "the right one is not taken either")] {
        let refused = change(&harness.app, &harness.caller(), who, typed, NEW).await.map(drop).unwrap_err();
        assert_eq!((refused.kind, refused.code), (Kind::Forbidden, "wrong_password"), "{note}");
    }
    assert!(is_wrong(harness.try_login("ann", PASSWORD).await), "they count together");
    assert_eq!(rows(&harness, STOPPED).await, 1);
    harness.post().await;
    assert_eq!(count(&outbox, Template::PasswordStopped), 1);

    harness.address = home;
    change(&harness.app, &harness.caller(), who, PASSWORD, NEW).await.unwrap();
    harness.address = IpAddr::from([198, 51, 100, 1]);
    assert!(harness.try_login("ann", NEW).await.is_ok(), "a change at home ends it everywhere");
}

/// As if strangers had tried so many before.
async fn set_strangers(harness: &Harness, id: UserId, times: u32) {
    let mut tx = harness.app.db.begin().await.unwrap();
    let found = store::imported_user::find_credentials(&mut tx, id).await.unwrap().unwrap();
    let old = found.login_failures.unwrap();
    let mut new = old.clone();
    new[13..17].copy_from_slice(&times.to_be_bytes());
    assert!(store::user::save_failures(&mut tx, id, Some(&old), &new).await.unwrap());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn without_the_setting_delays_are_all() {
    // LG-04
    let outbox = Outbox::default();
    let off = Settings { hard_stop: false, ..on(&outbox) };
    let mut harness = Harness::with(off).await;
    let ann = harness.register("ann").await.id;
    harness.login("ann").await;
    set_strangers(&harness, ann, 500).await;
    harness.address = IpAddr::from([198, 51, 100, 1]);
    assert!(is_wrong(harness.try_login("ann", "wrong").await));
    assert!(harness.try_login("ann", PASSWORD).await.is_ok());
    assert_eq!(rows(&harness, STOPPED).await, 0);
    let harness = harness.restart(on(&outbox)).await;
    assert!(harness.try_login("ann", PASSWORD).await.is_ok(), "the login made the count begin anew");
}

#[tokio::test]
async fn whoever_could_not_get_a_new_password_is_not_stopped() {
    // LG-04: without mail, or without an address, there is no way back.
    let outbox = Outbox::default();
    let harness = Harness::with(on(&outbox)).await;
    let bob = harness.register_with("bob", "").await.id;
    let ann = harness.register("ann").await.id;
    for (name, id) in [("bob", bob), ("ann", ann)] {
        assert!(is_wrong(harness.try_login(name, "wrong").await));
        set_strangers(&harness, id, 500).await;
    }
    assert!(is_wrong(harness.try_login("ann", PASSWORD).await));
    assert!(harness.try_login("bob", PASSWORD).await.is_ok());
    let harness = harness.restart(Settings { mail: None, ..on(&outbox) }).await;
    assert!(harness.try_login("ann", PASSWORD).await.is_ok());
}
