//! Addresses: RC-09, RC-10, RC-11 and the five ways of A50.

use domain::user::{EmailAddress, UserId};
use mail::Template;
use mail::transport::Outbox;
use service::email::{Proof, change, confirm, send};
use service::recovery::{self, Whom};
use service::settings::{AccountSettings, Settings, Verification};
use service::verify::Identity;
use service::{Error, Kind};

use crate::harness::{DAY, Harness, MINUTE, PASSWORD, Refused, count, link_token, with_mail};

const NEW: &str = "another good password";

async fn given() -> (Harness, Outbox) {
    let outbox = Outbox::default();
    let harness = Harness::with(with_mail(&outbox)).await;
    harness.register("ann").await;
    harness.post().await;
    (harness, outbox)
}

async fn prove(harness: &Harness, token: &str, proof: Proof<'_>) -> Result<(), Error> {
    confirm(&harness.app, &harness.caller(), token, proof).await
}

async fn is_proved(harness: &Harness, id: i64) -> bool {
    let mut tx = harness.app.db.read().await.unwrap();
    store::user::find(&mut tx, UserId::new(id)).await.unwrap().unwrap().email_verified_at.is_some()
}

async fn address(harness: &Harness, who: Identity) -> String {
    service::me::show(&harness.app, who).await.unwrap().email.as_str().to_owned()
}

/// A new password for the account of an address, by its mailbox.
async fn recover(harness: &Harness, outbox: &Outbox, email: &str) {
    recovery::request(&harness.app, &harness.caller(), Whom::Email(email.into())).await.unwrap();
    harness.post().await;
    let token = link_token(outbox, Template::ResetPassword);
    recovery::confirm(&harness.app, &harness.caller(), &token, NEW).await.unwrap();
}

#[tokio::test]
async fn an_address_is_proved_by_its_link_and_by_who_knows_the_account() {
    // RC-09, RC-11
    let (harness, outbox) = given().await;
    let token = link_token(&outbox, Template::VerifyEmail);
    let wrong = prove(&harness, &token, Proof::Password("wrong")).await.unwrap_err();
    assert_eq!(wrong.kind, Kind::Forbidden);
    harness.register("bob").await;
    let bob = harness.who("bob", PASSWORD).await;
    assert!(prove(&harness, &token, Proof::Session(bob)).await.is_err(), "another's session proves nothing");
    assert!(!is_proved(&harness, 1).await);
    prove(&harness, &token, Proof::Password(PASSWORD)).await.unwrap();
    assert!(is_proved(&harness, 1).await);
    assert!(prove(&harness, &token, Proof::Password(PASSWORD)).await.is_err(), "once");
}

#[tokio::test]
async fn a_link_is_sent_on_demand_and_dies_in_a_day() {
    // RC-02, RC-06
    let (harness, outbox) = given().await;
    let who = harness.who("ann", PASSWORD).await;
    let first = link_token(&outbox, Template::VerifyEmail);
    send(&harness.app, &harness.caller(), who).await.unwrap();
    harness.post().await;
    assert_eq!(count(&outbox, Template::VerifyEmail), 1, "one was sent a moment ago");
    harness.pass(MINUTE).await;
    send(&harness.app, &harness.caller(), who).await.unwrap();
    harness.post().await;
    let second = link_token(&outbox, Template::VerifyEmail);
    assert!(prove(&harness, &first, Proof::Session(who)).await.is_err(), "a newer one kills it");
    harness.pass(DAY).await;
    assert!(prove(&harness, &second, Proof::Session(who)).await.is_err());
    send(&harness.app, &harness.caller(), who).await.unwrap();
    harness.post().await;
    prove(&harness, &link_token(&outbox, Template::VerifyEmail), Proof::Session(who)).await.unwrap();
    send(&harness.app, &harness.caller(), who).await.unwrap();
    harness.post().await;
    assert_eq!(count(&outbox, Template::VerifyEmail), 3, "it is proved");
}

#[tokio::test]
async fn where_proof_is_required_nobody_logs_in_without_it_and_nobody_is_told() {
    // LG-01
    let outbox = Outbox::default();
    let accounts = AccountSettings { verification: Verification::Required, ..AccountSettings::default() };
    let harness = Harness::with(Settings { accounts, ..with_mail(&outbox) }).await;
    harness.register("ann").await;
    harness.post().await;
    let unproved = harness.try_login("ann", PASSWORD).await.map(drop).unwrap_err();
    let wrong = harness.try_login("ann", "wrong").await.map(drop).unwrap_err();
    assert_eq!((&unproved.kind, &unproved.detail), (&wrong.kind, &wrong.detail));
    prove(&harness, &link_token(&outbox, Template::VerifyEmail), Proof::Password(PASSWORD)).await.unwrap();
    harness.login("ann").await;
    // A new password proves it too.
    harness.register("bob").await;
    recover(&harness, &outbox, "bob@example.com").await;
    assert!(harness.try_login("bob", NEW).await.is_ok());
}

#[tokio::test]
async fn a_new_address_is_confirmed_there_and_told_at_the_old_one() {
    // RC-09, RC-10, SE-05
    let (harness, outbox) = given().await;
    prove(&harness, &link_token(&outbox, Template::VerifyEmail), Proof::Password(PASSWORD)).await.unwrap();
    let who = harness.who("ann", PASSWORD).await;
    let caller = harness.caller();
    let wrong = change(&harness.app, &caller, who, "new@example.com", "wrong").await.unwrap_err();
    assert_eq!(wrong.kind, Kind::Forbidden);
    for bad in ["", "x", "a@b\r\nBcc: c@d"] {
        assert!(matches!(
            change(&harness.app, &caller, who, bad, PASSWORD).await.unwrap_err().kind,
            Kind::Invalid(_)
        ));
    }
    change(&harness.app, &caller, who, "new@example.com", PASSWORD).await.unwrap();
    let again = change(&harness.app, &caller, who, "victim@example.com", PASSWORD).await.unwrap_err();
    assert!(matches!(again.kind, Kind::Throttled { .. }), "one account fills no mailboxes");
    harness.post().await;
    assert_eq!(address(&harness, who).await, "ann@example.com", "until it is confirmed");
    assert!(is_proved(&harness, 1).await);
    let sent = outbox.sent();
    let to = |template| sent.iter().rfind(|mail| mail.template == template).map(|mail| mail.to.clone());
    assert_eq!(to(Template::ChangeEmail).as_deref(), Some("new@example.com"));
    assert_eq!(to(Template::EmailChangeRequested).as_deref(), Some("ann@example.com"));
    // A link to the old address does not outlive it.
    recovery::request(&harness.app, &caller, Whom::Username("ann".into())).await.unwrap();
    harness.post().await;
    let reset = link_token(&outbox, Template::ResetPassword);
    prove(&harness, &link_token(&outbox, Template::ChangeEmail), Proof::Session(who)).await.unwrap();
    harness.post().await;
    assert_eq!(address(&harness, who).await, "new@example.com");
    assert!(is_proved(&harness, 1).await);
    let told = outbox.sent().into_iter().rfind(|mail| mail.template == Template::EmailChanged).unwrap();
    assert_eq!(told.to, "ann@example.com", "LA-06");
    assert!(recovery::confirm(&harness.app, &caller, &reset, NEW).await.is_err(), "RC-06");
}

#[tokio::test]
async fn a_proved_address_is_one_accounts_alone() {
    let (harness, outbox) = given().await;
    prove(&harness, &link_token(&outbox, Template::VerifyEmail), Proof::Password(PASSWORD)).await.unwrap();
    harness.register("bob").await;
    let bob = harness.who("bob", PASSWORD).await;
    change(&harness.app, &harness.caller(), bob, "ANN@example.com", PASSWORD).await.unwrap();
    harness.post().await;
    let refused =
        prove(&harness, &link_token(&outbox, Template::ChangeEmail), Proof::Session(bob)).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Conflict);
    assert_eq!(address(&harness, bob).await, "bob@example.com");
}

// A50, the first way: an account that waits for its owner to be merged into it.
#[tokio::test]
async fn an_account_made_with_anothers_address_never_becomes_the_others() {
    let (harness, outbox) = given().await; // the attacker, with ann's address
    let ann = harness.register_with("real-ann", "ann@example.com").await;
    harness.post().await;
    let token = link_token(&outbox, Template::VerifyEmail);
    prove(&harness, &token, Proof::Password(PASSWORD)).await.unwrap();
    assert!(is_proved(&harness, ann.id.get()).await && !is_proved(&harness, 1).await);
    recover(&harness, &outbox, "ann@example.com").await;
    assert_eq!(count(&outbox, Template::ResetPassword), 1, "recovery is the owner's alone");
    assert!(harness.try_login("real-ann", NEW).await.is_ok() && harness.try_login("ann", NEW).await.is_err());
}

// A50, the second way: a session of before that lives on. RC-11, SE-03
#[tokio::test]
async fn sessions_and_password_from_before_the_proof_are_gone() {
    let (harness, outbox) = given().await;
    let attackers = harness.login("ann").await;
    recover(&harness, &outbox, "ann@example.com").await;
    harness.verify(&attackers.access).await.token_refused();
    harness.refresh(&attackers.refresh).await.map(|_| ()).token_refused();
    assert!(harness.try_login("ann", PASSWORD).await.is_err());
}

// A50, the third way: a second identifier that the attacker keeps. RC-11
#[tokio::test]
async fn links_from_before_the_proof_are_gone() {
    let (harness, outbox) = given().await;
    let attacker = harness.who("ann", PASSWORD).await;
    change(&harness.app, &harness.caller(), attacker, "attacker@example.com", PASSWORD).await.unwrap();
    harness.post().await;
    let theirs = link_token(&outbox, Template::ChangeEmail);
    recover(&harness, &outbox, "ann@example.com").await;
    let owner = harness.who("ann", NEW).await;
    for proof in
        [Proof::Session(attacker), Proof::Password(PASSWORD), Proof::Password(NEW), Proof::Session(owner)]
    {
        assert!(prove(&harness, &theirs, proof).await.is_err());
    }
    let user = service::me::show(&harness.app, owner).await.unwrap();
    assert_eq!((user.email.as_str(), user.pending_email), ("ann@example.com", None));
}

// A50, the fourth way: a change of address that the owner of the mailbox is to confirm for the attacker.
#[tokio::test]
async fn whoever_opens_a_link_that_they_did_not_ask_for_gives_nothing_away() {
    let (harness, outbox) = given().await;
    harness.register("mallory").await;
    let mallory = harness.who("mallory", PASSWORD).await;
    change(&harness.app, &harness.caller(), mallory, "ann@example.com", PASSWORD).await.unwrap();
    harness.post().await;
    let token = link_token(&outbox, Template::ChangeEmail);
    let ann = harness.who("ann", PASSWORD).await;
    assert!(prove(&harness, &token, Proof::Session(ann)).await.is_err());
    assert_eq!(address(&harness, mallory).await, "mallory@example.com");
}

// A50, the fifth way: an address that another system changed counts as proved. RC-06, RC-09
#[tokio::test]
async fn a_link_proves_no_other_address_than_the_one_that_it_was_sent_to() {
    let (harness, outbox) = given().await;
    let token = link_token(&outbox, Template::VerifyEmail);
    let mut tx = harness.app.db.begin().await.unwrap();
    tx.execute("UPDATE users SET email = 'victim@example.com' WHERE id = 1", &[]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(prove(&harness, &token, Proof::Password(PASSWORD)).await.is_err());
    assert!(!is_proved(&harness, 1).await);
}

#[tokio::test]
async fn an_import_that_changes_an_address_takes_its_proof_away() {
    // RC-09
    let (harness, outbox) = given().await;
    prove(&harness, &link_token(&outbox, Template::VerifyEmail), Proof::Password(PASSWORD)).await.unwrap();
    let mut tx = harness.app.db.begin().await.unwrap();
    let stored = store::imported_user::find_credentials(&mut tx, UserId::new(1)).await.unwrap().unwrap();
    let mut user = stored.user.clone();
    for (email, proved) in [("ann@example.com", true), ("other@example.com", false)] {
        user.email = EmailAddress::parse(email).unwrap();
        let new = store::user::NewUser {
            id: Some(user.id),
            username: &user.username,
            claims_key: true,
            email: &user.email,
            first_name: "",
            last_name: "",
            password: store::user::NewPassword { hash: &stored.password_hash, scheme: "", trims: false },
            is_staff: false,
            is_superuser: false,
            created_at: user.created_at,
            last_login_at: None,
            disabled_at: None,
        };
        store::imported_user::update_user(&mut tx, user.id, &new, false, harness.clock.now()).await.unwrap();
        let now = store::user::find(&mut tx, user.id).await.unwrap().unwrap();
        assert_eq!(now.email_verified_at.is_some(), proved, "{email}");
    }
}

#[tokio::test]
async fn a_domain_in_other_letters_is_one_mailbox_in_every_spelling() {
    // RC-09, RC-11
    let (harness, outbox) = given().await;
    harness.register_with("eva", "Eva@BÜCHER.example").await;
    harness.post().await;
    let token = link_token(&outbox, Template::VerifyEmail);
    recover(&harness, &outbox, "eva@xn--bcher-kva.example").await;
    assert!(harness.try_login("eva", NEW).await.is_ok(), "not yet proved, and found in another spelling");
    assert!(prove(&harness, &token, Proof::Password(NEW)).await.is_err());
    for (number, other) in ["eva@bücher.example", "eva@xn--bcher-kva.example"].iter().enumerate() {
        let name = format!("other{number}");
        harness.register_with(&name, other).await;
        harness.post().await;
        let token = link_token(&outbox, Template::VerifyEmail);
        let refused = prove(&harness, &token, Proof::Password(PASSWORD)).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Conflict, "{other} is eva's");
    }
    // Proved before keys were those of the DNS: found, and as much its own.
    let mut tx = harness.app.db.begin().await.unwrap();
    tx.execute("UPDATE users SET email_claim = 'eva@bücher.example' WHERE username = 'eva'", &[])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let token = link_token(&outbox, Template::VerifyEmail);
    assert_eq!(prove(&harness, &token, Proof::Password(PASSWORD)).await.unwrap_err().kind, Kind::Conflict);
    harness.pass(MINUTE * 5).await;
    let before = count(&outbox, Template::ResetPassword);
    recover(&harness, &outbox, "eva@XN--bcher-KVA.example").await;
    assert_eq!(count(&outbox, Template::ResetPassword), before + 1, "the one that has proved it alone");
}

#[tokio::test]
async fn an_imported_address_in_capitals_is_found_and_stays_its_owners() {
    // RC-09, RC-11: as the database folded it before keys were those of the DNS
    let (harness, outbox) = given().await;
    let mut imported = crate::import::row(500, "eva");
    imported.email = EmailAddress::from_stored("Eva@BÜCHER.example".into());
    crate::import::apply(&harness, &[imported]).await;
    for (round, typed) in
        ["eva@BÜCHER.example", "eva@bücher.example", "eva@xn--bcher-kva.example"].into_iter().enumerate()
    {
        recover(&harness, &outbox, typed).await;
        assert_eq!(count(&outbox, Template::ResetPassword), 1 + round, "{typed}");
        let mut tx = harness.app.db.begin().await.unwrap();
        let before = "UPDATE users SET email_verified_at = NULL, email_claim = NULL, reset_sent_at = NULL WHERE id = 500";
        tx.execute(before, &[]).await.unwrap();
        tx.commit().await.unwrap();
    }
    let sent = outbox.sent().into_iter().rfind(|mail| mail.template == Template::ResetPassword).unwrap();
    assert_eq!(sent.to, "Eva@xn--bcher-kva.example", "where mail goes");
    let mut tx = harness.app.db.begin().await.unwrap();
    let proved = "UPDATE users SET email_verified_at = 1, email_claim = 'eva@bÜcher.example' WHERE id = 500";
    tx.execute(proved, &[]).await.unwrap();
    tx.commit().await.unwrap();
    for (number, other) in ["eva@bücher.example", "eva@xn--bcher-kva.example"].iter().enumerate() {
        harness.register_with(&format!("other{number}"), other).await;
        harness.post().await;
        let token = link_token(&outbox, Template::VerifyEmail);
        let refused = prove(&harness, &token, Proof::Password(PASSWORD)).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Conflict, "{other} is eva's");
    }
}
