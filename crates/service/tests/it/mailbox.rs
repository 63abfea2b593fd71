//! How much mail one mailbox gets, whoever caused it: RC-01, RC-11, LA-06.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crypto::keyed::IndexKey;
use domain::user::{EmailAddress, UserId};
use mail::Template;
use mail::transport::Outbox;
use service::App;
use service::email::{Proof, confirm};
use service::password;
use service::recovery::{self, Whom};
use service::settings::Settings;
use service::worker::share_once;

use crate::harness::{DAY, Harness, MINUTE, PASSWORD, SECRET, count, link_token, with_mail};
use crate::import::{apply, django_hash, row};

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
    assert_eq!(count(&outbox, Template::VerifyEmail), 5, "to all together");
    for app in [&harness.app, &others[0]] {
        share_once(app, harness.clock.now()).await.unwrap();
    }
    squat(&harness, &others[0], "by-another-replica").await;
    harness.post().await;
    assert_eq!(count(&outbox, Template::VerifyEmail), 5);
    harness.pass(MINUTE * 12).await;
    for name in ["later1", "later2"] {
        squat(&harness, &harness.app, name).await;
    }
    harness.register("bob").await;
    harness.post().await;
    assert_eq!(count(&outbox, Template::VerifyEmail), 7, "one in twelve minutes; bob is nobody's neighbour");
    assert_eq!(harness.app.counters.mails_withheld.load(std::sync::atomic::Ordering::Relaxed), 6);
}

#[tokio::test]
async fn an_owner_gets_links_whatever_others_have_asked_for() {
    // RC-01, RC-11
    let (harness, outbox) = given().await;
    harness.register("ann").await;
    harness.post().await;
    let verify = link_token(&outbox, Template::VerifyEmail);
    harness.login("ann").await;
    for number in 0..8 {
        squat(&harness, &harness.app, &format!("squatter{number}")).await;
        recover(&harness, Whom::Username(format!("squatter{number}"))).await;
    }
    let before = count(&outbox, Template::ResetPassword);
    recover(&harness, Whom::Username("ann".into())).await;
    assert_eq!(count(&outbox, Template::ResetPassword), before + 1, "used, and not yet proved");
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
    assert_eq!(count(&outbox, Template::VerifyEmail), 6, "one before its first use, and five after it");
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

/// Accounts that use up what goes to ann's address without anybody who speaks for it.
async fn squat_all(harness: &mut Harness, count: usize) {
    for number in 0..count {
        harness.address = IpAddr::from([203, 0, 113, number as u8]);
        squat(harness, &harness.app, &format!("squatter{number}")).await;
    }
    harness.post().await;
}

/// Whom the links for a new password were sent to, by the names in the mails.
fn reset_of(outbox: &Outbox, names: &[String]) -> BTreeSet<String> {
    let sent = outbox.sent();
    let resets = sent.iter().filter(|mail| mail.template == Template::ResetPassword);
    let texts: Vec<_> = resets.map(|mail| mail.text.text.clone()).collect();
    let is_named = |name: &&String| texts.iter().any(|text| text.contains(&format!("\"{name}\"")));
    names.iter().filter(is_named).cloned().collect()
}

#[tokio::test]
async fn the_link_that_keeps_an_account_comes_whatever_others_have_used_up() {
    // RC-11, LA-06: closed by somebody who has stolen the password
    let (mut harness, outbox) = given().await;
    squat_all(&mut harness, 6).await;
    let mut ann = row(500, "ann");
    (ann.email, ann.password_hash) = (EmailAddress::from_stored(ANN.into()), django_hash("django secret"));
    apply(&harness, &[ann]).await;
    for _ in 0..7 {
        let who = harness.who("ann", "django secret").await;
        service::me::close(&harness.app, &harness.caller(), who, "django secret").await.unwrap();
        harness.post().await;
        let token = link_token(&outbox, Template::DeletionScheduled);
        service::me::keep(&harness.app, &harness.caller(), &token).await.unwrap();
    }
    assert_eq!(count(&outbox, Template::DeletionScheduled), 7);
    let who = harness.who("ann", "django secret").await;
    service::me::close(&harness.app, &harness.caller(), who, "django secret").await.unwrap();
    harness.pass(DAY * 60).await;
    service::worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    harness.post().await;
    assert_eq!(count(&outbox, Template::AccountDeleted), 1);
}

#[tokio::test]
async fn who_registers_an_address_first_keeps_no_links_from_accounts_of_others() {
    // RC-01, RC-11
    let (mut harness, outbox) = given().await;
    squat_all(&mut harness, 8).await;
    let mut imported = row(500, "imported");
    imported.email = EmailAddress::from_stored(ANN.into());
    apply(&harness, &[imported]).await;
    let made = service::user::NewUser {
        username: "made".into(),
        email: ANN.into(),
        password: PASSWORD.into(),
        is_superuser: false,
        is_staff: false,
    };
    service::user::create(&harness.app, made).await.unwrap();
    let names = ["imported".to_owned(), "made".to_owned()];
    for name in &names {
        recover(&harness, Whom::Username(name.clone())).await;
    }
    assert_eq!(count(&outbox, Template::ResetPassword), 2, "by name");
    assert_eq!(reset_of(&outbox, &names).len(), 2);
    for round in 2..10 {
        harness.pass(MINUTE * 6).await;
        recover(&harness, Whom::Email(ANN.into())).await;
        let mails = outbox.sent();
        let to_them = mails.iter().filter(|mail| {
            mail.template == Template::ResetPassword
                && names.iter().any(|name| mail.text.text.contains(name.as_str()))
        });
        assert_eq!(to_them.count(), round * 2, "by address, each time");
    }
    // Nor from one of the others', where an administrator sends it.
    crate::admin::superuser(&harness, "root").await;
    let root = crate::admin::admin(&harness, "root").await;
    for _ in 0..7 {
        let before = count(&outbox, Template::ResetPassword);
        harness.pass(MINUTE * 5).await;
        service::admin::user::start_reset(&harness.app, &harness.caller(), &root, UserId::new(1))
            .await
            .unwrap();
        harness.post().await;
        assert_eq!(count(&outbox, Template::ResetPassword), before + 1);
    }
}

#[tokio::test]
async fn a_hundred_accounts_with_an_address_hide_nobody() {
    // RC-11
    let (mut harness, outbox) = given().await;
    squat_all(&mut harness, 120).await;
    squat(&harness, &harness.app, "ann").await;
    harness.login("ann").await;
    recover(&harness, Whom::Email(ANN.into())).await;
    let names = ["ann".to_owned()];
    assert_eq!(reset_of(&outbox, &names).len(), 1, "the youngest, and the only one that was used");
    // Of the others each has its turn, as far as the budget goes.
    let names: Vec<_> = (0..120).map(|number| format!("squatter{number}")).collect();
    harness.pass(MINUTE * 60).await;
    for round in 1..=20 {
        let before = reset_of(&outbox, &names).len();
        harness.pass(MINUTE * 12).await;
        recover(&harness, Whom::Email(ANN.into())).await;
        assert!(reset_of(&outbox, &names).len() > before, "round {round}");
    }
}

#[tokio::test]
async fn a_mailbox_that_shares_a_slot_with_another_still_gets_its_mails() {
    // DS-04: of the two slots that each has
    let (harness, outbox) = given().await;
    let key = IndexKey::derive(SECRET, "tests");
    let slot = |email: &str| key.number(format!("first  {email}").as_bytes()) % (1 << 15);
    let neighbour = (0..).map(|number| format!("a{number}@example.com"));
    let neighbour = neighbour.into_iter().find(|email| slot(email) == slot(ANN)).unwrap();
    for number in 0..6 {
        harness.register_with(&format!("neighbour{number}"), &neighbour).await;
    }
    harness.post().await;
    assert_eq!(count(&outbox, Template::VerifyEmail), 5);
    harness.register("ann").await;
    harness.post().await;
    assert_eq!(count(&outbox, Template::VerifyEmail), 6);
}

#[tokio::test]
async fn a_mail_that_is_taken_back_does_not_count() {
    // RC-06, DS-04
    let (harness, outbox) = given().await;
    harness.register("ann").await;
    let who = harness.who("ann", PASSWORD).await;
    harness.pass(MINUTE * 60).await;
    let rename = async |sql: &'static str| {
        let mut tx = harness.app.db.begin().await.unwrap();
        tx.execute(sql, &[]).await.unwrap();
        tx.commit().await.unwrap();
    };
    rename("ALTER TABLE mails RENAME TO mails_away").await;
    for _ in 0..8 {
        assert!(service::email::send(&harness.app, &harness.caller(), who).await.is_err());
    }
    rename("ALTER TABLE mails_away RENAME TO mails").await;
    harness.post().await;
    let before = count(&outbox, Template::VerifyEmail);
    service::email::send(&harness.app, &harness.caller(), who).await.unwrap();
    harness.post().await;
    assert_eq!(count(&outbox, Template::VerifyEmail), before + 1);
}
