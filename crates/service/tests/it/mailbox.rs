//! How much mail one mailbox gets, whoever caused it: RC-01, RC-11, LA-06.

use std::net::IpAddr;

use mail::Template;
use mail::transport::Outbox;
use service::App;
use service::email::{Proof, confirm};
use service::password;
use service::recovery::{self, Whom};
use service::settings::Settings;
use service::worker::share_once;

use crate::harness::{Harness, MINUTE, PASSWORD, count, link_token, with_mail};

const ANN: &str = "ann@example.com";

fn on(outbox: &Outbox) -> Settings {
    Settings { throttle: true, ..with_mail(outbox) }
}

async fn given() -> (Harness, Outbox) {
    let outbox = Outbox::default();
    (Harness::with(on(&outbox)).await, outbox)
}

async fn squat(harness: &Harness, app: &App, name: &str) {
    let input = service::register::Input {
        username: Ok(name.into()),
        email: Ok(ANN.to_uppercase()),
        password: Ok(PASSWORD.into()),
    };
    service::register::register(app, &harness.caller(), input).await.unwrap();
}

async fn recover(harness: &Harness, whom: Whom) {
    recovery::request(&harness.app, &harness.caller(), whom).await.unwrap();
    harness.post().await;
}

async fn prove(harness: &Harness, token: &str) {
    confirm(&harness.app, &harness.caller(), token, Proof::Password(PASSWORD)).await.unwrap();
}

#[tokio::test]
async fn whoever_registers_with_anothers_address_does_not_fill_the_mailbox() {
    // RC-01, RC-11, DS-04
    let (mut harness, outbox) = given().await;
    let others = [harness.replica(on(&outbox)).await.unwrap()];
    for number in 0..10_u8 {
        harness.address = IpAddr::from([203, 0, 113, number]);
        squat(&harness, &harness.app, &format!("squatter{number}")).await;
    }
    harness.post().await;
    assert_eq!(count(&outbox, Template::VerifyEmail), 6, "the first account's, and five to all others");
    for app in [&harness.app, &others[0]] {
        share_once(app, harness.clock.now()).await.unwrap();
    }
    squat(&harness, &others[0], "by-another-replica").await;
    harness.post().await;
    assert_eq!(count(&outbox, Template::VerifyEmail), 6);
    harness.pass(MINUTE * 12).await;
    for name in ["later1", "later2"] {
        squat(&harness, &harness.app, name).await;
    }
    harness.register("bob").await;
    harness.post().await;
    assert_eq!(count(&outbox, Template::VerifyEmail), 8, "one in twelve minutes; bob is nobody's neighbour");
    assert_eq!(harness.app.counters.mails_withheld.load(std::sync::atomic::Ordering::Relaxed), 5);
}

#[tokio::test]
async fn an_owner_gets_links_whatever_others_have_asked_for() {
    // RC-01, RC-11
    let (harness, outbox) = given().await;
    harness.register("ann").await;
    harness.post().await;
    let verify = link_token(&outbox, Template::VerifyEmail);
    for number in 0..8 {
        squat(&harness, &harness.app, &format!("squatter{number}")).await;
        recover(&harness, Whom::Username(format!("squatter{number}"))).await;
    }
    let before = count(&outbox, Template::ResetPassword);
    recover(&harness, Whom::Username("ann".into())).await;
    assert_eq!(count(&outbox, Template::ResetPassword), before + 1, "the oldest account, not yet proved");
    prove(&harness, &verify).await;
    for round in 1..10 {
        harness.pass(MINUTE * 5).await;
        recover(&harness, Whom::Email(ANN.into())).await;
        assert_eq!(count(&outbox, Template::ResetPassword), before + 1 + round, "proved: every five minutes");
    }
}

#[tokio::test]
async fn a_link_that_is_not_sent_leaves_the_one_before_it_good() {
    // RC-06
    let (harness, outbox) = given().await;
    harness.register("ann").await;
    harness.post().await;
    let who = harness.who("ann", PASSWORD).await;
    for _ in 0..8 {
        harness.pass(MINUTE).await;
        service::email::send(&harness.app, &harness.caller(), who).await.unwrap();
        harness.post().await;
    }
    assert_eq!(count(&outbox, Template::VerifyEmail), 5);
    prove(&harness, &link_token(&outbox, Template::VerifyEmail)).await;
}

#[tokio::test]
async fn notices_always_come_to_a_proved_address_and_seldom_to_a_strangers() {
    // LA-06
    let (harness, outbox) = given().await;
    harness.register("ann").await;
    harness.post().await;
    let verify = link_token(&outbox, Template::VerifyEmail);
    let mut passwords = [PASSWORD, "another good password"];
    for round in 1..=16 {
        if round == 9 {
            prove(&harness, &verify).await;
        }
        let who = harness.who("ann", passwords[0]).await;
        let changed =
            password::change(&harness.app, &harness.caller(), who, passwords[0], passwords[1]).await;
        changed.map(drop).unwrap();
        passwords.reverse();
        harness.post().await;
        let expected = if round < 9 { round.min(5) } else { 5 + round - 8 };
        assert_eq!(count(&outbox, Template::PasswordChanged), expected);
    }
}
