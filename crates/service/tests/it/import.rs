use domain::time::Timestamp;
use domain::user::{EmailAddress, UserId, Username};
use service::import::{ImportedUser, RowOutcome, apply_batch, reserve_ids};

use crate::harness::{Harness, PASSWORD, START};

/// Made by Django 4.2: PBKDF2 over "django secret", few iterations to be quick.
const DJANGO_HASH: &str = "pbkdf2_sha256$1000$abcdefghijkl$";

pub(crate) fn row(id: i64, name: &str) -> ImportedUser {
    ImportedUser {
        id: UserId::new(id),
        username: Username::from_stored(name.into()),
        email: EmailAddress::from_stored(format!("{name}@example.com")),
        first_name: String::new(),
        last_name: String::new(),
        password_hash: DJANGO_HASH.into(),
        is_active: true,
        is_staff: false,
        is_superuser: false,
        created_at: Timestamp::from_seconds(1_600_000_000),
        last_login_at: None,
        fingerprint: crypto::keyed::sha256(name.as_bytes()),
    }
}

pub(crate) async fn apply(harness: &Harness, rows: &[ImportedUser]) -> Vec<RowOutcome> {
    apply_batch(&harness.app, "django", rows, false).await.unwrap()
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_changes_on_one_side_are_followed() {
    let harness = Harness::new().await;
    let mut rows = vec![row(5, "ann"), row(9, "ben")];
    let created = RowOutcome::Created { same_key_as: None };
    assert_eq!(apply_batch(&harness.app, "django", &rows, true).await.unwrap().len(), 2);
    assert!(service::user::find(&harness.app, "ann").await.is_err(), "a dry run writes nothing");
    assert_eq!(apply(&harness, &rows).await, [created.clone(), created]);
    assert_eq!(apply(&harness, &rows).await, [RowOutcome::Unchanged, RowOutcome::Unchanged]);

    rows[0].first_name = "Ann".into();
    rows[0].fingerprint = [1; 32];
    rows[1].first_name = "Ben".into();
    rows[1].fingerprint = [2; 32];
    service::user::disable(&harness.app, UserId::new(9)).await.unwrap();
    let outcomes = apply(&harness, &rows).await;
    assert_eq!(outcomes, [RowOutcome::Updated { same_key_as: None }, RowOutcome::Conflict]);
    assert_eq!(service::user::find(&harness.app, "ann").await.unwrap().first_name, "Ann");
    assert!(service::user::find(&harness.app, "ben").await.unwrap().disabled_at.is_some(), "ours wins");
}

#[tokio::test]
async fn names_that_differ_by_case_are_both_found_exactly_and_neither_by_another_spelling() {
    let harness = Harness::new().await;
    let outcomes = apply(&harness, &[row(1, "Ann"), row(2, "ann"), row(3, "Ann")]).await;
    assert_eq!(outcomes[1], RowOutcome::Created { same_key_as: Some(UserId::new(1)) });
    assert_eq!(outcomes[2], RowOutcome::NameTaken { by: UserId::new(1) });
    assert_eq!(service::user::find(&harness.app, "ann").await.unwrap().id, UserId::new(2));
    assert_eq!(service::user::find(&harness.app, "Ann").await.unwrap().id, UserId::new(1));
    assert!(service::user::find(&harness.app, "ANN").await.is_err());
    assert!(harness.try_register("aNN", PASSWORD).await.is_err());
}

#[tokio::test]
async fn what_was_deleted_here_stays_deleted_and_ids_go_on_above_the_source() {
    let harness = Harness::new().await;
    apply(&harness, &[row(5, "ann")]).await;
    service::user::delete(&harness.app, UserId::new(5)).await.unwrap();
    assert_eq!(apply(&harness, &[row(5, "ann")]).await, [RowOutcome::DeletedHere]);
    reserve_ids(&harness.app, 40).await.unwrap();
    reserve_ids(&harness.app, 7).await.unwrap();
    assert_eq!(harness.register("cleo").await.id, UserId::new(41));
    let taken = RowOutcome::IdTaken { username: "cleo".into() };
    assert_eq!(apply(&harness, &[row(41, "dan")]).await, [taken]);
}

#[tokio::test]
async fn an_imported_password_is_trimmed_as_django_did_and_upgraded_once() {
    // PW-07, PW-09
    let harness = Harness::new().await;
    let mut ann = row(5, "ann");
    ann.password_hash = django_hash(" spaced out ".trim());
    apply(&harness, &[ann.clone()]).await;
    assert!(harness.try_login("ann", "wrong").await.is_err());
    assert_eq!(stored_hash(&harness).await.split('$').next(), Some("pbkdf2_sha256"), "not on failure");
    assert!(harness.try_login("ann", " spaced out ").await.is_ok());
    let upgraded = stored_hash(&harness).await;
    assert!(upgraded.starts_with("$argon2id$"), "{upgraded}");
    assert!(harness.try_login("ann", "\u{1f}spaced out").await.is_ok(), "trimmed until the password changes");
    assert_eq!(stored_hash(&harness).await, upgraded);

    let mut disabled_there = ann.clone();
    disabled_there.is_active = false;
    disabled_there.fingerprint = [3; 32];
    let outcome = apply(&harness, &[disabled_there]).await;
    assert_eq!(outcome, [RowOutcome::Updated { same_key_as: None }], "an upgraded hash is no change of ours");
    assert!(harness.try_login("ann", "spaced out").await.is_err());
    ann.fingerprint = [4; 32];
    apply(&harness, &[ann.clone()]).await;
    service::user::set_password(&harness.app, UserId::new(5), " new and spaced ").await.unwrap();
    harness.clock.set(START + std::time::Duration::from_secs(5));
    assert!(harness.try_login("ann", "new and spaced").await.is_err());
    assert!(harness.try_login("ann", " new and spaced ").await.is_ok());
    ann.fingerprint = [5; 32];
    assert_eq!(apply(&harness, &[ann]).await, [RowOutcome::Conflict], "a new password is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_parallel_first_logins_upgrade_to_one_hash_and_all_succeed() {
    // PW-07
    let harness = std::sync::Arc::new(Harness::new().await);
    let mut ann = row(5, "ann");
    ann.password_hash = django_hash("django secret");
    apply(&harness, &[ann]).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let harness = harness.clone();
            tokio::spawn(async move { harness.try_login("ann", "django secret").await.is_ok() })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap());
    }
    assert!(stored_hash(&harness).await.starts_with("$argon2id$"));
}

async fn stored_hash(harness: &Harness) -> String {
    let mut tx = harness.app.db.read().await.unwrap();
    let found = store::imported_user::find_credentials(&mut tx, UserId::new(5)).await.unwrap().unwrap();
    found.password_hash
}

/// What Django would have stored: made by PyCA-independent means in the hash format's own tests.
fn django_hash(password: &str) -> String {
    use pbkdf2::pbkdf2_hmac;
    let mut output = [0; 32];
    pbkdf2_hmac::<sha2::Sha256>(password.as_bytes(), b"abcdefghijkl", 1000, &mut output);
    format!("{DJANGO_HASH}{}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, output))
}

#[tokio::test]
async fn the_right_password_of_a_disabled_account_costs_what_a_wrong_one_does() {
    // LG-01, LG-02
    let harness = Harness::new().await;
    let mut ann = row(5, "ann");
    ann.password_hash = django_hash("django secret");
    ann.is_active = false;
    apply(&harness, &[ann]).await;
    for password in ["django secret", "wrong"] {
        let before = harness.app.hasher.stats().computed;
        assert!(harness.try_login("ann", password).await.is_err());
        assert_eq!(harness.app.hasher.stats().computed, before + 1, "{password}");
    }
}
