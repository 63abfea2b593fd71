//! Accounts whose address nobody proves do not stay: RC-11.

use std::time::Duration;

use domain::admin::Role;
use domain::user::UserId;
use mail::Template;
use mail::transport::Outbox;
use service::email::{Proof, confirm};
use service::settings::{AccountSettings, Settings, Verification};
use service::worker::tidy_once;

use crate::harness::{DAY, Harness, PASSWORD, link_token, with_mail};

fn required(outbox: &Outbox, unverified_lifetime: Option<Duration>) -> Settings {
    let verification = Verification::Required;
    let accounts = AccountSettings { verification, unverified_lifetime, ..AccountSettings::default() };
    Settings { accounts, ..with_mail(outbox) }
}

async fn given() -> (Harness, Outbox) {
    let outbox = Outbox::default();
    let harness = Harness::with(required(&outbox, Some(DAY * 7))).await;
    harness.register("ann").await;
    harness.post().await;
    (harness, outbox)
}

async fn is_there(harness: &Harness, id: i64) -> bool {
    let mut tx = harness.app.db.read().await.unwrap();
    store::user::find(&mut tx, UserId::new(id)).await.unwrap().is_some()
}

async fn tidy_after(harness: &Harness, time: Duration) {
    harness.pass(time).await;
    tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    harness.post().await;
}

#[tokio::test]
async fn an_account_that_nobody_has_proved_goes_and_leaves_its_name() {
    // RC-11, A50, LG-12
    let (harness, outbox) = given().await;
    let sent = outbox.sent().len();
    tidy_after(&harness, DAY * 7 - Duration::from_secs(1)).await;
    assert!(is_there(&harness, 1).await);
    tidy_after(&harness, Duration::from_secs(1)).await;
    assert!(!is_there(&harness, 1).await);
    assert_eq!(outbox.sent().len(), sent, "the address may be anybody's: it is told nothing");
    service::audit::chain::chain(&harness.app).await.unwrap();
    let mut tx = harness.app.db.read().await.unwrap();
    assert!(store::user::is_deleted(&mut tx, UserId::new(1)).await.unwrap());
    let rows = tx.query("SELECT actor FROM audit_events WHERE kind = 'user.deleted' AND user_id = 1", &[]);
    let rows = rows.await.unwrap();
    assert_eq!((rows.len(), rows[0].text(0).unwrap()), (1, "system"), "LA-01");
    drop(tx);
    assert_ne!(harness.register("ann").await.id.get(), 1);
}

#[tokio::test]
async fn accounts_that_were_proved_or_that_others_have_made_stay() {
    // RC-11
    let (harness, outbox) = given().await;
    let proof = Proof::Password(PASSWORD);
    let token = link_token(&outbox, Template::VerifyEmail);
    confirm(&harness.app, &harness.caller(), &token, proof).await.unwrap();
    let mut tx = harness.app.db.begin().await.unwrap();
    let held =
        store::account::hold_unproved(&mut tx, UserId::new(1), harness.clock.now() + DAY).await.unwrap();
    assert!(!held, "also when it was proved after it was found");
    drop(tx);
    let made = service::user::NewUser {
        username: "operators".into(),
        email: "o@example.com".into(),
        password: PASSWORD.into(),
        is_superuser: false,
        is_staff: false,
    };
    let made = service::user::create(&harness.app, made).await.unwrap().id.get();
    let disabled = harness.register("disabled").await.id;
    service::user::disable(&harness.app, disabled).await.unwrap();
    let staff = harness.register("staff").await.id;
    let mut tx = harness.app.db.begin().await.unwrap();
    store::role::set(&mut tx, staff, Role::Staff, true).await.unwrap();
    tx.commit().await.unwrap();
    let nobody = harness.register("nobody").await.id.get();
    tidy_after(&harness, DAY * 30).await;
    for id in [1, made, disabled.get(), staff.get()] {
        assert!(is_there(&harness, id).await, "{id}");
    }
    assert!(!is_there(&harness, nobody).await);
}

#[tokio::test]
async fn accounts_that_somebody_has_logged_in_to_stay_whatever_is_required_later() {
    // RC-11
    let outbox = Outbox::default();
    let harness = Harness::with(with_mail(&outbox)).await;
    harness.register("ann").await;
    harness.login("ann").await;
    harness.register("bob").await;
    tidy_after(&harness, DAY * 30).await;
    assert!(is_there(&harness, 2).await, "nothing is required yet");
    let harness = harness.restart(required(&outbox, Some(DAY))).await;
    harness.pass(DAY).await;
    tidy_after(&harness, DAY).await;
    assert_eq!((is_there(&harness, 1).await, is_there(&harness, 2).await), (true, false), "never used");
    // Registered where a proof was required, and used where it was not.
    let carl = harness.register("carl").await.id.get();
    let dora = harness.register("dora").await.id.get();
    let harness = harness.restart(with_mail(&outbox)).await;
    harness.login("carl").await;
    tidy_after(&harness, DAY * 60).await;
    assert!(is_there(&harness, dora).await, "nothing is required now");
    let harness = harness.restart(required(&outbox, None)).await;
    tidy_after(&harness, DAY).await;
    assert!(is_there(&harness, dora).await, "for ever");
    let harness = harness.restart(required(&outbox, Some(DAY))).await;
    tidy_after(&harness, DAY).await;
    assert_eq!((is_there(&harness, carl).await, is_there(&harness, dora).await), (true, false));
}

#[tokio::test]
async fn accounts_that_others_have_vouched_for_stay() {
    // RC-11: whatever is taken from them again
    let (harness, _) = given().await;
    let app = &harness.app;
    let opened = harness.register("opened").await.id;
    service::user::disable(app, opened).await.unwrap();
    service::user::enable(app, opened).await.unwrap();
    let given = harness.register("given").await.id;
    service::user::set_password(app, given, "another good password").await.unwrap();
    let member = harness.register("member").await.id;
    let group = service::group::create(app, "Editors").await.unwrap().id;
    service::group::add_user(app, group, member).await.unwrap();
    service::group::remove_user(app, group, member).await.unwrap();
    let staff = harness.register("staff").await.id;
    let mut tx = app.db.begin().await.unwrap();
    for has in [true, false] {
        store::role::set(&mut tx, staff, Role::Staff, has).await.unwrap();
    }
    tx.commit().await.unwrap();
    tidy_after(&harness, DAY * 30).await;
    for id in [opened, given, member, staff] {
        assert!(is_there(&harness, id.get()).await, "{id}");
    }
}

#[tokio::test]
async fn what_an_account_was_given_after_it_was_found_keeps_it() {
    // RC-11: by a version that does not know of the column
    let (harness, _) = given().await;
    let now = harness.clock.now() + DAY;
    let group = service::group::create(&harness.app, "Editors").await.unwrap().id;
    let mut tx = harness.app.db.begin().await.unwrap();
    let id = UserId::new(1);
    let permission = store::group::insert_permission(&mut tx, None, "shop.add", "Add").await.unwrap();
    assert!(store::account::hold_unproved(&mut tx, id, now).await.unwrap());
    store::group::add_user(&mut tx, id, group).await.unwrap();
    assert!(!store::account::hold_unproved(&mut tx, id, now).await.unwrap(), "a group");
    store::group::clear_user(&mut tx, id).await.unwrap();
    assert!(store::account::hold_unproved(&mut tx, id, now).await.unwrap());
    store::group::grant_user(&mut tx, id, permission).await.unwrap();
    assert!(!store::account::hold_unproved(&mut tx, id, now).await.unwrap(), "a permission");
}
