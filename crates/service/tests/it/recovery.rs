//! Lost passwords: RC-01, RC-02, RC-06, RC-07.

use std::time::Duration;

use domain::user::UserId;
use mail::Template;
use mail::transport::Outbox;
use service::recovery::{Whom, confirm, request};
use service::settings::Settings;
use service::{Error, Kind};

use crate::harness::{Harness, MINUTE, PASSWORD, Refused, count, link_token, with_mail};

const NEW: &str = "another good password";

async fn given() -> (Harness, Outbox) {
    let outbox = Outbox::default();
    let harness = Harness::with(with_mail(&outbox)).await;
    harness.register("ann").await;
    harness.post().await;
    (harness, outbox)
}

async fn ask(harness: &Harness, name: &str) {
    request(&harness.app, &harness.caller(), Whom::Username(name.into())).await.unwrap();
    harness.post().await;
}

async fn ask_by_email(harness: &Harness, email: &str) {
    request(&harness.app, &harness.caller(), Whom::Email(email.into())).await.unwrap();
    harness.post().await;
}

async fn reset(harness: &Harness, token: &str) -> Result<(), Error> {
    confirm(&harness.app, &harness.caller(), token, NEW).await
}

fn is_bad_link(done: Result<(), Error>) -> bool {
    matches!(done, Err(Error { kind: Kind::Invalid(errors), .. }) if errors.iter().any(|(name, _)| name == "token"))
}

#[tokio::test]
async fn a_link_sets_a_password_once_and_ends_everything_else() {
    // RC-02, RC-06, RC-07
    let (harness, outbox) = given().await;
    let pair = harness.login("ann").await;
    let verify = link_token(&outbox, Template::VerifyEmail);
    ask(&harness, "ANN").await;
    let token = link_token(&outbox, Template::ResetPassword);
    assert_eq!(token.len(), 43, "256 bits");
    let weak = confirm(&harness.app, &harness.caller(), &token, "short").await.unwrap_err();
    assert!(matches!(weak.kind, Kind::Invalid(_)), "PW-10: the same policy, and the link is not used up");
    reset(&harness, &token).await.unwrap();
    harness.verify(&pair.access).await.token_refused();
    harness.refresh(&pair.refresh).await.map(|_| ()).token_refused();
    assert!(harness.try_login("ann", PASSWORD).await.is_err());
    assert!(is_bad_link(reset(&harness, &token).await), "once");
    let who = harness.who("ann", NEW).await;
    let proof = service::email::Proof::Session(who);
    let old = service::email::confirm(&harness.app, &harness.caller(), &verify, proof).await;
    assert!(is_bad_link(old), "other links are dead");
    harness.post().await;
    assert_eq!(count(&outbox, Template::PasswordChanged), 1, "LA-06");
}

#[tokio::test]
async fn of_many_uses_of_one_link_at_once_one_wins() {
    // RC-06
    let (harness, outbox) = given().await;
    ask(&harness, "ann").await;
    let token = link_token(&outbox, Template::ResetPassword);
    let caller = harness.caller();
    let uses = (0..50).map(|n| {
        let (app, caller, token) = (&harness.app, &caller, &token);
        async move { confirm(app, caller, token, &format!("another good password {n}")).await.map(|()| n) }
    });
    let done = futures_util::future::join_all(uses).await;
    let won: Vec<_> = done.iter().filter_map(|one| one.as_ref().ok()).collect();
    assert_eq!(won.len(), 1, "{won:?}");
    for lost in done.iter().filter_map(|one| one.as_ref().err()) {
        assert!(matches!(lost.kind, Kind::Invalid(_) | Kind::Unavailable { .. }), "{lost:?}");
    }
    assert!(harness.try_login("ann", &format!("another good password {}", won[0])).await.is_ok());
}

#[tokio::test]
async fn links_die_in_time_and_by_newer_ones() {
    // RC-02, RC-06
    let (harness, outbox) = given().await;
    ask(&harness, "ann").await;
    let first = link_token(&outbox, Template::ResetPassword);
    harness.pass(MINUTE).await;
    ask(&harness, "ann").await;
    assert_eq!(count(&outbox, Template::ResetPassword), 1, "not so soon");
    harness.pass(MINUTE * 4).await;
    ask(&harness, "ann").await;
    let second = link_token(&outbox, Template::ResetPassword);
    assert_ne!(first, second);
    assert!(is_bad_link(reset(&harness, &first).await));
    harness.pass(MINUTE * 30 - Duration::from_micros(1)).await;
    let weak = confirm(&harness.app, &harness.caller(), &second, "short").await.unwrap_err();
    assert!(
        matches!(weak.kind, Kind::Invalid(errors) if errors.iter().all(|(name, _)| name == "new_password"))
    );
    harness.pass(Duration::from_micros(1)).await;
    assert!(is_bad_link(reset(&harness, &second).await), "half an hour");
    service::worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
}

#[tokio::test]
async fn a_request_is_the_same_work_for_known_and_unknown_names() {
    // RC-01, LG-02: counted; the bench measures the time
    let (harness, outbox) = given().await;
    let mut work = Vec::new();
    for whom in [Whom::Username("ann".into()), Whom::Username("nobody".into())] {
        let (db, hashes) = (harness.app.db.stats(), harness.app.hasher.stats().computed);
        request(&harness.app, &harness.caller(), whom).await.unwrap();
        let after = harness.app.db.stats();
        let done = (after.commits - db.commits, after.rollbacks - db.rollbacks);
        work.push((done, harness.app.hasher.stats().computed - hashes));
    }
    assert_eq!(work[0], work[1]);
    assert_eq!(work[0].1, 0, "no password is hashed");
    assert_eq!(count(&outbox, Template::ResetPassword), 0, "nobody is looked up before the answer");
    harness.post().await;
    assert_eq!(count(&outbox, Template::ResetPassword), 1);
    let mut tx = harness.app.db.read().await.unwrap();
    assert!(
        tx.query("SELECT id FROM recovery_requests", &[]).await.unwrap().is_empty(),
        "nothing typed is kept"
    );
}

#[tokio::test]
async fn an_address_that_nobody_has_proved_is_proved_by_its_use() {
    // RC-11
    let (harness, outbox) = given().await;
    ask_by_email(&harness, " Ann@EXAMPLE.com").await;
    reset(&harness, &link_token(&outbox, Template::ResetPassword)).await.unwrap();
    let who = harness.who("ann", NEW).await;
    assert!(service::me::show(&harness.app, who).await.unwrap().email_verified_at.is_some());
}

#[tokio::test]
async fn disabled_accounts_and_those_without_an_address_get_no_link() {
    let (harness, outbox) = given().await;
    service::user::disable(&harness.app, UserId::new(1)).await.unwrap();
    ask(&harness, "ann").await;
    ask_by_email(&harness, "ann@example.com").await;
    assert_eq!(count(&outbox, Template::ResetPassword), 0);
    // Disabled after the link was sent.
    service::user::enable(&harness.app, UserId::new(1)).await.unwrap();
    ask(&harness, "ann").await;
    let token = link_token(&outbox, Template::ResetPassword);
    service::user::disable(&harness.app, UserId::new(1)).await.unwrap();
    assert!(is_bad_link(reset(&harness, &token).await));
}

#[tokio::test]
async fn what_an_operator_does_ends_links_too() {
    // RC-06
    let (harness, outbox) = given().await;
    for disable in [true, false] {
        ask(&harness, "ann").await;
        let token = link_token(&outbox, Template::ResetPassword);
        if disable {
            service::user::disable(&harness.app, UserId::new(1)).await.unwrap();
            service::user::enable(&harness.app, UserId::new(1)).await.unwrap();
        } else {
            service::user::set_password(&harness.app, UserId::new(1), "yet another password").await.unwrap();
        }
        assert!(is_bad_link(reset(&harness, &token).await));
    }
}

#[tokio::test]
async fn failures_to_log_in_do_not_keep_an_owner_from_a_new_password() {
    let outbox = Outbox::default();
    let harness = Harness::with(Settings { throttle: true, ..with_mail(&outbox) }).await;
    harness.register("ann").await;
    for _ in 0..30 {
        _ = harness.try_login("ann", "wrong").await;
    }
    ask(&harness, "ann").await;
    reset(&harness, &link_token(&outbox, Template::ResetPassword)).await.unwrap();
    assert!(harness.try_login("ann", NEW).await.is_ok(), "the failures are cleared");
}

#[tokio::test]
async fn without_mail_it_is_said() {
    let harness = Harness::new().await;
    let refused = request(&harness.app, &harness.caller(), Whom::Username("ann".into())).await.unwrap_err();
    assert_eq!((refused.kind, refused.code), (Kind::Conflict, "mail_off"));
}

// RC-11: accounts that somebody else made before with one's address.
#[tokio::test]
async fn accounts_made_with_anothers_address_do_not_hide_the_owners() {
    let outbox = Outbox::default();
    let harness = Harness::with(with_mail(&outbox)).await;
    for number in 0..8 {
        harness.register_with(&format!("squatter{number}"), "ann@example.com").await;
    }
    harness.register("ann").await;
    harness.login("ann").await;
    ask_by_email(&harness, "ann@example.com").await;
    let names = || {
        let sent = outbox.sent();
        let resets = sent.iter().filter(|mail| mail.template == Template::ResetPassword);
        resets.map(|mail| mail.text.text.clone()).collect::<Vec<_>>()
    };
    let first = names();
    assert_eq!(first.len(), 5, "the work and the mails are bounded");
    assert!(first.iter().any(|text| text.contains("\"ann\"")), "one that was used goes first: {first:?}");
    // If others have used theirs, too, who asks again comes to the rest.
    ask_by_email(&harness, "ann@example.com").await;
    assert_eq!(names().len(), 9);
    ask_by_email(&harness, "ann@example.com").await;
    assert_eq!(names().len(), 9, "each has one");
}
