//! Accounts in the hands of their owners: passwords, names, exports, the end.

use std::time::Duration;

use mail::Template;
use mail::transport::Outbox;
use service::me::{close, export, keep, rename, show};
use service::password::change;
use service::settings::{AccountSettings, Settings};
use service::{Kind, worker};

use crate::harness::{DAY, Harness, PASSWORD, Refused, count, link_token, with_mail};

const NEW: &str = "another good password";

async fn given() -> (Harness, Outbox) {
    let outbox = Outbox::default();
    let harness = Harness::with(with_mail(&outbox)).await;
    harness.register("ann").await;
    harness.post().await;
    (harness, outbox)
}

async fn proved(harness: &Harness, outbox: &Outbox) {
    let (token, proof) =
        (link_token(outbox, Template::VerifyEmail), service::email::Proof::Password(PASSWORD));
    service::email::confirm(&harness.app, &harness.caller(), &token, proof).await.unwrap();
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it_and_other_sessions_end() {
    // PW-10, SE-03, SE-05, LA-06
    let (harness, outbox) = given().await;
    let (laptop, phone) = (harness.login("ann").await, harness.login("ann").await);
    let who = harness.identity(&phone.access).await;
    let caller = harness.caller();
    let wrong = change(&harness.app, &caller, who, "wrong", NEW).await.map(drop).unwrap_err();
    assert_eq!((wrong.kind, wrong.code), (Kind::Forbidden, "wrong_password"));
    let weak = change(&harness.app, &caller, who, PASSWORD, "short").await.map(drop).unwrap_err();
    assert!(matches!(weak.kind, Kind::Invalid(_)));
    assert!(harness.verify(&laptop.access).await.is_ok(), "nothing was changed");
    let new = change(&harness.app, &caller, who, PASSWORD, NEW).await.unwrap();
    for old in [&laptop, &phone] {
        harness.verify(&old.access).await.token_refused();
        harness.refresh(&old.refresh).await.map(|_| ()).token_refused();
    }
    assert!(harness.verify(&new.access).await.is_ok() && harness.refresh(&new.refresh).await.is_ok());
    assert!(harness.try_login("ann", PASSWORD).await.is_err() && harness.try_login("ann", NEW).await.is_ok());
    harness.post().await;
    assert_eq!(count(&outbox, Template::PasswordChanged), 1);
}

#[tokio::test]
async fn a_stolen_token_is_no_way_to_guess_a_password() {
    // SE-05, LG-04
    let harness = Harness::with(Settings { throttle: true, ..crate::harness::settings() }).await;
    harness.register("ann").await;
    let who = harness.who("ann", PASSWORD).await;
    let mut refused = Vec::new();
    for _ in 0..20 {
        refused.push(
            change(&harness.app, &harness.caller(), who, "wrong", NEW).await.map(drop).unwrap_err().kind,
        );
    }
    assert!(refused.iter().any(|kind| matches!(kind, Kind::Throttled { .. })), "{refused:?}");
    let login = harness.try_login("ann", PASSWORD).await.map(drop).unwrap_err();
    assert!(matches!(login.kind, Kind::Throttled { .. }), "they count together");
}

#[tokio::test]
async fn names_are_changed_and_all_is_exported() {
    let (harness, _outbox) = given().await;
    let who = harness.who("ann", PASSWORD).await;
    let user = rename(&harness.app, &harness.caller(), who, (Some("Ann"), None)).await.unwrap();
    assert_eq!((user.first_name.as_str(), user.last_name.as_str()), ("Ann", ""));
    rename(&harness.app, &harness.caller(), who, (None, Some("Lee"))).await.unwrap();
    let user = show(&harness.app, who).await.unwrap();
    assert_eq!((user.first_name.as_str(), user.last_name.as_str()), ("Ann", "Lee"));
    service::audit::chain::chain(&harness.app).await.unwrap();
    let all = export(&harness.app, &harness.caller(), who).await.unwrap();
    assert_eq!((all.sessions.len(), all.mails.len()), (1, 1));
    assert_eq!(all.mails[0].recipient, "ann@example.com");
    let kinds: Vec<&str> = all.events.iter().map(|event| event.kind.as_str()).collect();
    assert!(kinds.contains(&"user.registered") && kinds.contains(&"profile.changed"), "{kinds:?}");
}

#[tokio::test]
async fn a_closed_account_can_be_kept_until_its_day_and_is_gone_then() {
    // SE-03, SE-05, LG-01, LG-12
    let (harness, outbox) = given().await;
    proved(&harness, &outbox).await;
    let pair = harness.login("ann").await;
    let who = harness.identity(&pair.access).await;
    let caller = harness.caller();
    assert_eq!(close(&harness.app, &caller, who, "wrong").await.unwrap_err().kind, Kind::Forbidden);
    let day = close(&harness.app, &caller, who, PASSWORD).await.unwrap();
    assert_eq!(day.since(harness.clock.now()), DAY * 7);
    harness.verify(&pair.access).await.token_refused();
    let closed = harness.try_login("ann", PASSWORD).await.map(drop).unwrap_err();
    let unknown = harness.try_login("nobody", PASSWORD).await.map(drop).unwrap_err();
    assert_eq!((closed.kind, closed.detail), (unknown.kind, unknown.detail));
    harness.post().await;
    let token = link_token(&outbox, Template::DeletionScheduled);
    harness.pass(DAY * 7 - Duration::from_secs(1)).await;
    worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    keep(&harness.app, &harness.caller(), &token).await.unwrap();
    assert!(keep(&harness.app, &harness.caller(), &token).await.is_err(), "once");
    harness.pass(DAY).await;
    worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    harness.verify(&pair.access).await.token_refused();
    let who = harness.who("ann", PASSWORD).await;

    close(&harness.app, &harness.caller(), who, PASSWORD).await.unwrap();
    harness.post().await;
    let token = link_token(&outbox, Template::DeletionScheduled);
    harness.pass(DAY * 7).await;
    assert!(keep(&harness.app, &harness.caller(), &token).await.is_err(), "too late");
    worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    harness.post().await;
    assert_eq!(count(&outbox, Template::AccountDeleted), 1);
    let mut tx = harness.app.db.read().await.unwrap();
    assert!(store::user::find(&mut tx, who.user_id).await.unwrap().is_none());
    assert!(store::user::is_deleted(&mut tx, who.user_id).await.unwrap(), "LG-12");
    let left = tx.query("SELECT recipient, content FROM mails", &[]).await.unwrap();
    assert!(left.iter().all(|row| row.text(0).unwrap().is_empty() && row.text(1).unwrap().is_empty()));
    drop(tx);
    assert_ne!(harness.register("ann").await.id, who.user_id);
}

#[tokio::test]
async fn an_operator_opens_a_closed_account_and_disables_it_for_good() {
    let (harness, outbox) = given().await;
    let who = harness.who("ann", PASSWORD).await;
    close(&harness.app, &harness.caller(), who, PASSWORD).await.unwrap();
    harness.post().await;
    let token = link_token(&outbox, Template::DeletionScheduled);
    service::user::disable(&harness.app, who.user_id).await.unwrap();
    assert!(keep(&harness.app, &harness.caller(), &token).await.is_err(), "the operator's word counts");
    assert!(service::user::enable(&harness.app, who.user_id).await.unwrap());
    harness.pass(DAY * 8).await;
    worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    harness.login("ann").await;
}

#[tokio::test]
async fn logins_by_programs_not_seen_before_are_told() {
    // LA-06
    let (harness, outbox) = given().await;
    harness.login("ann").await;
    proved(&harness, &outbox).await;
    harness.login("ann").await;
    harness.post().await;
    assert_eq!(count(&outbox, Template::NewLogin), 0, "the same program");
    let other = service::Caller { user_agent: "another <img src=x>".into(), ..harness.caller() };
    let input = || service::login::Input { username: "ann".into(), password: PASSWORD.into() };
    service::login::login(&harness.app, &other, input()).await.unwrap();
    service::login::login(&harness.app, &other, input()).await.unwrap();
    harness.post().await;
    let told: Vec<_> = outbox.sent().into_iter().filter(|mail| mail.template == Template::NewLogin).collect();
    assert_eq!(told.len(), 1, "once");
    assert!(!told[0].text.html.contains("<img"), "RC-12");
}

#[tokio::test]
async fn a_proved_address_stands_for_a_name_where_that_is_wanted() {
    let outbox = Outbox::default();
    let accounts = AccountSettings { login_by_email: true, ..AccountSettings::default() };
    let harness = Harness::with(Settings { accounts, ..with_mail(&outbox) }).await;
    harness.register("ann").await;
    harness.post().await;
    assert!(harness.try_login("ann@example.com", PASSWORD).await.is_err(), "not proved");
    proved(&harness, &outbox).await;
    assert!(harness.try_login(" Ann@Example.com", PASSWORD).await.is_ok());
    assert!(harness.try_login("ann@example.com", "wrong").await.is_err());
    let squatter = harness.try_register("victim@example.org", PASSWORD).await.map(drop).unwrap_err();
    assert!(matches!(squatter.kind, Kind::Invalid(_)), "a name with @ is one's own address");
    harness.register_with("bob@example.org", "bob@example.org").await;
    assert!(harness.try_login("bob@example.org", PASSWORD).await.is_ok(), "by its name");
}

#[tokio::test]
async fn an_export_takes_a_login_of_late() {
    // SE-05
    let (harness, _outbox) = given().await;
    let pair = harness.login("ann").await;
    harness.pass(Duration::from_secs(10 * 60) - Duration::from_micros(1)).await;
    let who = harness.identity(&pair.access).await;
    assert!(export(&harness.app, &harness.caller(), who).await.is_ok());
    harness.pass(Duration::from_micros(1)).await;
    let refreshed = harness.refresh(&pair.refresh).await.unwrap();
    for access in [&pair.access, &refreshed.access] {
        let who = harness.identity(access).await;
        let refused = export(&harness.app, &harness.caller(), who).await.map(drop).unwrap_err();
        assert_eq!(
            (refused.kind, refused.code),
            (Kind::Forbidden, "login_not_fresh"),
            "a refresh is no login"
        );
    }
    let start = harness.clock.now().seconds();
    let old = crate::harness::legacy_token("access", 1, "00000000000000000000000000000001", start, 300);
    let refused = export(&harness.app, &harness.caller(), harness.identity(&old).await).await.map(drop);
    assert_eq!(refused.unwrap_err().code, "login_not_fresh", "nor is a token of the replaced service");
    let who = harness.who("ann", PASSWORD).await;
    assert!(export(&harness.app, &harness.caller(), who).await.is_ok());
}
