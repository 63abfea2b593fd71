//! CR-03: the outbox sends every committed mail at least once, and none that was taken back.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::mail::MOST_ATTEMPTS;
use mail::SendError;
use mail::transport::Outbox;
use service::user::set_password;

use crate::harness::{DAY, Harness, MINUTE, link_token, with_mail};

const NEW: &str = "another good password";

/// An account with a mail in the outbox.
async fn given(outbox: &Outbox) -> Harness {
    let harness = Harness::with(with_mail(outbox)).await;
    let ann = harness.register("ann").await;
    harness.post().await;
    set_password(&harness.app, ann.id, NEW).await.unwrap();
    harness
}

/// The notices that came.
fn notices(outbox: &Outbox) -> Vec<mail::transport::Sent> {
    outbox.sent().into_iter().filter(|mail| mail.template == mail::Template::PasswordChanged).collect()
}

#[tokio::test]
async fn a_committed_mail_is_sent_once_and_then_forgotten() {
    // CR-03, LA-06
    let outbox = Outbox::default();
    let harness = given(&outbox).await;
    assert!(notices(&outbox).is_empty(), "a commit sends nothing by itself");
    harness.post().await;
    harness.pass(DAY).await;
    harness.post().await;
    let [sent] = &notices(&outbox)[..] else { panic!("one mail: {:?}", outbox.sent()) };
    assert_eq!(sent.to, "ann@example.com");
    assert!(sent.text.text.contains("\"ann\" at shop.example was changed"), "{}", sent.text.text);
    let mut tx = harness.app.db.read().await.unwrap();
    let rows = tx.query("SELECT content, link_seed, sent_at FROM mails", &[]).await.unwrap();
    assert!(rows.iter().all(|row| row.text(0).unwrap().is_empty() && row.opt_blob(1).unwrap().is_none()));
    assert!(rows.iter().all(|row| row.opt_int(2).unwrap().is_some()));
    drop(tx);
    harness.pass(DAY * 31).await;
    service::worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    let mut tx = harness.app.db.read().await.unwrap();
    assert!(tx.query("SELECT id FROM mails", &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_mail_that_waits_holds_no_link_that_works() {
    // DB-03
    let outbox = Outbox::default();
    let harness = Harness::with(with_mail(&outbox)).await;
    harness.register("ann").await;
    let mut tx = harness.app.db.read().await.unwrap();
    let mail = tx.query("SELECT content, link_seed FROM mails", &[]).await.unwrap().remove(0);
    let digest = tx.query("SELECT digest FROM action_tokens", &[]).await.unwrap().remove(0);
    drop(tx);
    harness.post().await;
    let token = link_token(&outbox, mail::Template::VerifyEmail);
    let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
    assert!(!mail.text(0).unwrap().contains(&token) && !mail.text(0).unwrap().contains("token"));
    for stored in [mail.blob(1).unwrap(), digest.blob(0).unwrap()] {
        assert_ne!(stored, bytes);
        let (caller, guess) = (harness.caller(), URL_SAFE_NO_PAD.encode(stored));
        assert!(service::recovery::confirm(&harness.app, &caller, &guess, NEW).await.is_err());
    }
    assert_eq!(digest.blob(0).unwrap(), crypto::keyed::sha256(token.as_bytes()));
}

#[tokio::test]
async fn a_change_that_is_refused_sends_no_mail() {
    // CR-03
    let outbox = Outbox::default();
    let harness = Harness::with(with_mail(&outbox)).await;
    let ann = harness.register("ann").await;
    set_password(&harness.app, ann.id, "short").await.unwrap_err();
    set_password(&harness.app, domain::user::UserId::new(999), NEW).await.unwrap_err();
    harness.post().await;
    assert!(notices(&outbox).is_empty());
}

#[tokio::test]
async fn a_mail_that_is_not_taken_is_tried_again_with_the_same_id() {
    let outbox = Outbox::default();
    let harness = given(&outbox).await;
    outbox.refuse(Some(SendError::Later("busy".into())));
    harness.post().await;
    outbox.refuse(None);
    harness.post().await;
    assert!(notices(&outbox).is_empty(), "not before its time");
    harness.pass(Duration::from_secs(15)).await;
    harness.post().await;
    let [sent] = &notices(&outbox)[..] else { panic!("one mail") };
    let message = String::from_utf8_lossy(&sent.message).into_owned();
    let id: String = sent.id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(message.contains(&format!("Message-ID: <{id}@shop.example>")), "{message}");
    assert_eq!(harness.app.counters.mails_deferred.load(Relaxed), 1);
}

#[tokio::test]
async fn attempts_end_and_what_is_given_up_is_seen() {
    for (refusal, passes, attempts) in [
        (SendError::Later("busy".into()), MOST_ATTEMPTS, u64::from(MOST_ATTEMPTS) - 1),
        (SendError::Never("no such mailbox".into()), 1, 0),
    ] {
        let outbox = Outbox::default();
        let harness = given(&outbox).await;
        outbox.refuse(Some(refusal));
        for _ in 0..passes {
            harness.post().await;
            harness.pass(MINUTE * 120).await;
        }
        outbox.refuse(None);
        harness.post().await;
        assert!(notices(&outbox).is_empty());
        assert_eq!(harness.app.counters.mails_deferred.load(Relaxed), attempts);
        assert_eq!(harness.app.counters.mails_failed.load(Relaxed), 1, "seen in the metrics");
        let mut tx = harness.app.db.read().await.unwrap();
        let rows = tx.query("SELECT content FROM mails WHERE failed_at IS NOT NULL", &[]).await.unwrap();
        assert_eq!((rows.len(), rows[0].text(0).unwrap()), (1, ""), "seen in the table, without its content");
    }
}

#[tokio::test]
async fn what_nobody_sends_in_its_time_is_given_up() {
    let outbox = Outbox::default();
    let harness = given(&outbox).await;
    harness.pass(DAY * 4).await;
    service::worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    harness.post().await;
    assert!(notices(&outbox).is_empty());
    assert_eq!(harness.app.counters.mails_failed.load(Relaxed), 1);
}

#[tokio::test]
async fn replicas_share_the_outbox_and_one_that_dies_loses_nothing() {
    // CR-03
    let outbox = Outbox::default();
    let harness = Harness::with(with_mail(&outbox)).await;
    let mut users = Vec::new();
    for n in 0..20 {
        users.push(harness.register(&format!("user{n}")).await.id);
    }
    harness.post().await;
    for id in &users {
        set_password(&harness.app, *id, NEW).await.unwrap();
    }
    // Another replica has taken one and died before it was sent.
    let mut tx = harness.app.db.begin().await.unwrap();
    let now = harness.clock.now();
    let one = store::mail::due(&mut tx, now, 1).await.unwrap().remove(0);
    assert!(store::mail::claim(&mut tx, &one, now + MINUTE).await.unwrap());
    assert!(
        !store::mail::claim(&mut tx, &one, now + MINUTE).await.unwrap(),
        "as it was read it is there no more"
    );
    tx.commit().await.unwrap();
    let other = harness.replica(with_mail(&outbox)).await.unwrap();
    let rounds = (0..6).map(|round| {
        let app = if round % 2 == 0 { &harness.app } else { &other };
        async { service::mail::deliver(app).await }
    });
    for round in futures_util::future::join_all(rounds).await {
        round.unwrap();
    }
    harness.post().await;
    let ids: BTreeSet<_> = notices(&outbox).iter().map(|mail| mail.id).collect();
    assert_eq!((notices(&outbox).len(), ids.len()), (19, 19), "none twice while nobody dies");
    harness.pass(MINUTE).await;
    harness.post().await;
    assert_eq!(notices(&outbox).len(), 20, "the dead replica's");
}
