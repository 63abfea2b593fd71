//! The life of signing keys: made once, rotated in time, dropped at once, and opened by nothing but their key.

use std::time::Duration;

use crypto::jws::{Algorithm, Unverified};
use crypto::seal::SealingKey;
use crypto::secret::Secret;
use domain::signing_key::{Purpose, State};
use service::settings::{KeySettings, Settings};
use service::{App, Kind, signing_key};

use crate::harness::{DAY, Harness, MINUTE, Refused, START};
use crate::keys::{public, sealing, stored};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn key_id(token: &str) -> String {
    Unverified::parse(token).unwrap().key_id().unwrap().to_owned()
}

fn published(app: &App) -> String {
    signing_key::published(app).json.clone()
}

async fn in_state(app: &App, purpose: Purpose, state: State) -> Vec<String> {
    let keys = signing_key::list(app).await.unwrap();
    keys.into_iter().filter(|key| key.purpose == purpose && key.state == state).map(|key| key.id).collect()
}

async fn run(app: &App, sql: &'static str) {
    let mut tx = app.db.begin().await.unwrap();
    assert!(tx.execute(sql, &[]).await.unwrap() > 0, "{sql}");
    tx.commit().await.unwrap();
}

// TK-10
#[tokio::test]
async fn replicas_that_start_at_once_end_with_one_set_of_keys() {
    let harness = Harness::new().await;
    let replica = || async { harness.replica(public(Algorithm::Es256)).await.unwrap() };
    let apps: [App; 4] = tokio::join!(replica(), replica(), replica(), replica()).into();
    let keys = stored(&apps[0]).await;
    assert_eq!(keys.len(), 2, "{keys:?}");
    for app in &apps {
        assert_eq!(published(app), published(&apps[0]));
    }
}

// TK-10: published ahead, then signing; the old one checks until its last token died, then it is gone.
#[tokio::test]
async fn keys_rotate_on_time_without_a_gap() {
    let harness = Harness::with(public(Algorithm::EdDsa)).await;
    harness.register("ann").await;
    let tidy = async || service::worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    let first = key_id(&harness.login("ann").await.access);
    harness.pass(DAY * 90 - HOUR - MINUTE).await;
    tidy().await;
    assert_eq!(stored(&harness.app).await.len(), 2, "not yet");
    harness.pass(MINUTE).await;
    tidy().await;
    let next = in_state(&harness.app, Purpose::Access, State::Next).await;
    let [next] = next.as_slice() else { panic!("{next:?}") };
    for id in [&first, next] {
        assert!(published(&harness.app).contains(id.as_str()), "both are published");
    }
    harness.pass(HOUR - Duration::from_secs(1)).await;
    let before = harness.login("ann").await;
    assert_eq!(key_id(&before.access), first, "the next does not sign before its time");
    harness.pass(Duration::from_secs(1)).await;
    let after = harness.login("ann").await;
    assert_eq!(key_id(&after.access), *next);
    assert_ne!(key_id(&after.refresh), key_id(&before.refresh));
    harness.verify(&before.access).await.unwrap();
    harness.pass(MINUTE * 14).await;
    tidy().await;
    harness.verify(&before.access).await.unwrap();
    harness.pass(MINUTE * 7).await;
    tidy().await;
    assert!(!published(&harness.app).contains(first.as_str()), "the last token of the first key has died");
    // Refresh tokens live longer, and so does the key that checks them.
    harness.pass(DAY * 6).await;
    tidy().await;
    harness.refresh(&before.refresh).await.unwrap();
    harness.pass(DAY * 2).await;
    tidy().await;
    assert_eq!(stored(&harness.app).await.len(), 2);
}

#[tokio::test]
async fn an_operator_rotates_at_any_time_but_not_twice_at_once() {
    let harness = Harness::with(public(Algorithm::EdDsa)).await;
    harness.register("ann").await;
    let first = key_id(&harness.login("ann").await.access);
    let next = signing_key::rotate(&harness.app).await.unwrap();
    assert_eq!(next.len(), 2);
    assert!(next.iter().all(|key| key.state == State::Next));
    assert_eq!(signing_key::rotate(&harness.app).await.unwrap_err().kind, Kind::Conflict);
    assert_eq!(key_id(&harness.login("ann").await.access), first);
    harness.pass(HOUR).await;
    assert_eq!(key_id(&harness.login("ann").await.access), next[0].id);
    let shared = Harness::new().await;
    assert_eq!(signing_key::rotate(&shared.app).await.unwrap_err().kind, Kind::Conflict);
}

// TK-10: a new algorithm comes as a next key, published ahead.
#[tokio::test]
async fn another_algorithm_comes_with_notice() {
    let harness = Harness::with(public(Algorithm::EdDsa)).await;
    harness.register("ann").await;
    let old = harness.login("ann").await;
    let harness = harness.restart(public(Algorithm::Es256)).await;
    let algorithm = |token: &str| Unverified::parse(token).unwrap().algorithm().to_owned();
    assert_eq!(algorithm(&harness.login("ann").await.access), "EdDSA");
    harness.pass(HOUR).await;
    let new = harness.login("ann").await;
    assert_eq!(algorithm(&new.access), "ES256");
    harness.verify(&new.access).await.unwrap();
    harness.refresh(&old.refresh).await.unwrap();
}

// TK-10, KY-05: the emergency: at once here, at the next look elsewhere, and somebody signs.
#[tokio::test]
async fn a_dropped_key_is_dead_at_once_and_another_signs() {
    let harness = Harness::with(public(Algorithm::EdDsa)).await;
    let replica = harness.replica(public(Algorithm::EdDsa)).await.unwrap();
    harness.register("ann").await;
    let old = harness.login("ann").await;
    let id = key_id(&old.access);
    let verify = async |app: &App, token: &str| service::verify::verify(app, &harness.caller(), token).await;
    assert!(verify(&replica, &old.access).await.is_ok());
    let signing = signing_key::drop_keys(&harness.app, std::slice::from_ref(&id)).await.unwrap();
    harness.verify(&old.access).await.token_refused();
    assert!(verify(&replica, &old.access).await.is_ok(), "it has not looked yet");
    service::feed::poll(&replica).await.unwrap();
    verify(&replica, &old.access).await.token_refused();
    let new = harness.refresh(&old.refresh).await.unwrap();
    assert!(signing.contains(&key_id(&new.access)), "{signing:?}");
    assert!(verify(&replica, &new.access).await.is_ok());
    for app in [&harness.app, &replica] {
        assert!(!published(app).contains(&id) && published(app).contains(&key_id(&new.access)));
    }
    let row = stored(&harness.app).await.into_iter().find(|row| row.id == id).unwrap();
    assert!(row.sealed.is_empty(), "its private part is gone");
    let harness = harness.restart(public(Algorithm::EdDsa)).await;
    harness.verify(&old.access).await.token_refused();
    let error = signing_key::drop_keys(&harness.app, &[id]).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
}

// TK-10
#[tokio::test]
async fn a_published_successor_takes_over_and_a_dropped_successor_changes_nothing() {
    let harness = Harness::with(public(Algorithm::EdDsa)).await;
    harness.register("ann").await;
    let first = key_id(&harness.login("ann").await.access);
    let next = signing_key::rotate(&harness.app).await.unwrap().remove(0).id;
    signing_key::drop_keys(&harness.app, std::slice::from_ref(&next)).await.unwrap();
    harness.pass(HOUR * 2).await;
    assert_eq!(key_id(&harness.login("ann").await.access), first, "it goes on");
    assert_eq!(in_state(&harness.app, Purpose::Access, State::Signing).await, [first.as_str()]);
    let next = signing_key::rotate(&harness.app).await.unwrap().remove(0).id;
    signing_key::drop_keys(&harness.app, &[first]).await.unwrap();
    assert_eq!(key_id(&harness.login("ann").await.access), next, "services know it already");
    let kinds = crate::audit::kinds(&harness).await;
    let told: Vec<_> = kinds.iter().filter(|kind| kind.starts_with("key.")).map(String::as_str).collect();
    // LA-01: each for two keys but the drops, which were of one.
    let expected =
        ["made", "made", "rotated", "rotated", "dropped", "rotated", "rotated", "dropped", "activated"];
    assert_eq!(told, expected.map(|kind| format!("key.{kind}")));
}

#[tokio::test]
async fn dropping_the_key_of_refresh_tokens_ends_what_they_hold() {
    let harness = Harness::with(public(Algorithm::EdDsa)).await;
    harness.register("ann").await;
    let old = harness.login("ann").await;
    let all: Vec<String> = stored(&harness.app).await.into_iter().map(|row| row.id).collect();
    let signing = signing_key::drop_keys(&harness.app, &all).await.unwrap();
    assert!(signing.len() == 2 && signing.iter().all(|id| !all.contains(id)));
    harness.verify(&old.access).await.token_refused();
    harness.refresh(&old.refresh).await.map(drop).token_refused();
    let new = harness.login("ann").await;
    harness.verify(&new.access).await.unwrap();
    harness.refresh(&new.refresh).await.unwrap();
}

// KY-03: fail closed.
#[tokio::test]
async fn keys_that_cannot_be_opened_forbid_the_start() {
    let harness = Harness::with(public(Algorithm::EdDsa)).await;
    let other = || {
        let sealing = SealingKey::derive(&Secret::from("another key-encryption key".to_owned()));
        let settings = public(Algorithm::EdDsa);
        Settings { keys: KeySettings { sealing: Some(sealing), ..settings.keys }, ..settings }
    };
    harness.clock.advance(DAY * 200); // a key is due, and must not be made by whoever cannot open the others
    let before = stored(&harness.app).await;
    let Err(error) = harness.replica(other()).await else { panic!("it started") };
    assert_eq!(stored(&harness.app).await, before);
    assert!(error.kind == Kind::Conflict && error.detail.contains("KEY_ENCRYPTION_KEY"), "{error:?}");
    let repair = Settings { keys: KeySettings { require_all: false, ..other().keys }, ..other() };
    let app = harness.replica(repair).await.unwrap();
    let all: Vec<String> = stored(&app).await.into_iter().map(|row| row.id).collect();
    signing_key::drop_keys(&app, &all).await.unwrap();
    assert!(harness.replica(other()).await.is_ok());
}

// KY-03, KY-05: a new key-encryption key, with nobody logged out.
#[tokio::test]
async fn keys_are_sealed_anew_under_a_new_key() {
    let new = || SealingKey::derive(&Secret::from("another key-encryption key".to_owned()));
    let with = |sealing: SealingKey, sealing_before: Vec<SealingKey>| {
        let settings = public(Algorithm::EdDsa);
        let keys = KeySettings { sealing: Some(sealing), sealing_before, ..settings.keys };
        Settings { keys, ..settings }
    };
    let harness = Harness::with(with(sealing(), vec![])).await;
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    let ahead = harness.replica(with(sealing(), vec![new()])).await.unwrap();
    let before = stored(&harness.app).await;
    let swapped = harness.replica(with(new(), vec![sealing()])).await.unwrap();
    assert!(stored(&harness.app).await.iter().zip(&before).all(|(now, then)| now.sealed != then.sealed));
    for app in [&harness.app, &ahead, &swapped] {
        service::feed::poll(app).await.unwrap();
        service::verify::verify(app, &harness.caller(), &pair.access).await.unwrap();
    }
    assert!(harness.replica(with(sealing(), vec![])).await.is_err(), "the old one opens nothing any more");
    let harness = harness.restart(with(new(), vec![])).await;
    harness.verify(&pair.access).await.unwrap();
    harness.refresh(&pair.refresh).await.unwrap();
    let resealed = crate::audit::kinds(&harness).await.into_iter().filter(|kind| kind == "key.resealed");
    assert_eq!(resealed.count(), 2, "LA-01");
}

// KY-03: whoever writes to the database cannot make a key count for what it is not.
#[tokio::test]
async fn changed_rows_are_not_keys() {
    for (change, why) in [
        ("UPDATE signing_keys SET purpose = 'refresh' WHERE purpose = 'access'", "another purpose"),
        ("UPDATE signing_keys SET alg = 'ES256' WHERE purpose = 'access'", "another algorithm"),
        ("UPDATE signing_keys SET kid = 'mine' WHERE purpose = 'access'", "another id"),
        (
            "UPDATE signing_keys SET sealed = (SELECT sealed FROM signing_keys WHERE purpose = 'refresh')",
            "another key's content",
        ),
        ("UPDATE signing_keys SET sealed = substr(sealed, 2)", "nothing"),
    ] {
        let harness = Harness::with(public(Algorithm::EdDsa)).await;
        run(&harness.app, change).await;
        assert!(harness.replica(public(Algorithm::EdDsa)).await.is_err(), "{why}");
    }
    let harness = Harness::with(public(Algorithm::EdDsa)).await;
    let before = published(&harness.app);
    run(
        &harness.app,
        "UPDATE signing_keys SET public_part = '{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"AAAA\"}'",
    )
    .await;
    let replica = harness.replica(public(Algorithm::EdDsa)).await.unwrap();
    assert_eq!(published(&replica), before, "the public part follows from the sealed one");
}

// KY-03: a running service keeps the keys that it has.
#[tokio::test]
async fn a_running_service_keeps_its_good_keys() {
    let harness = Harness::with(public(Algorithm::EdDsa)).await;
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    run(&harness.app, "UPDATE signing_keys SET sealed = substr(sealed, 2)").await;
    run(&harness.app, "UPDATE meta SET value = 'changed' WHERE key = 'keys_version'").await;
    harness.pass(MINUTE).await;
    harness.verify(&pair.access).await.unwrap();
    harness.verify(&harness.login("ann").await.access).await.unwrap();
    assert!(harness.clock.now() > START);
}

#[tokio::test]
async fn public_keys_need_a_key_encryption_key() {
    let harness = Harness::new().await;
    let settings = public(Algorithm::EdDsa);
    let keys = KeySettings { sealing: None, ..settings.keys };
    assert!(harness.replica(Settings { keys, ..settings }).await.is_err());
}
