//! Status lists: what is published about sessions that have ended (SE-10).

use std::io::Read;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use crypto::jws::{Algorithm, Unverified};
use flate2::read::ZlibDecoder;
use serde_json::Value;
use service::logout::{logout, logout_all};
use service::settings::{Settings, StatusSettings};
use service::{App, Kind, user};

use crate::harness::{DAY, Harness, MINUTE, Refused, settings};
use crate::keys::public;

const URL: &str = "https://auth.example";
const SECOND: Duration = Duration::from_secs(1);

fn with_lists(algorithm: Algorithm) -> Settings {
    let status = StatusSettings { public_url: URL.to_owned(), ttl: MINUTE };
    Settings { status: Some(status), ..public(algorithm) }
}

fn json(token: &str, part: usize) -> Value {
    let part = token.split('.').nth(part).unwrap();
    serde_json::from_slice(&BASE64URL.decode(part).unwrap()).unwrap()
}

/// List and place of an access token.
fn place(access: &str) -> (i64, usize) {
    let status = &json(access, 1)["status"]["status_list"];
    let list = status["uri"].as_str().unwrap().strip_prefix("https://auth.example/status-lists/").unwrap();
    (list.parse().unwrap(), usize::try_from(status["idx"].as_u64().unwrap()).unwrap())
}

async fn list(app: &App, list: i64) -> String {
    let token = service::status_list::token(app, list).await.unwrap().unwrap();
    String::from_utf8(token.to_vec()).unwrap()
}

/// Whether the published list says that the session of a token has ended.
async fn has_ended(harness: &Harness, app: &App, access: &str) -> bool {
    harness.clock.advance(SECOND); // a list is signed anew once a second
    service::feed::poll(app).await.unwrap();
    let (number, place) = place(access);
    let claims = json(&list(app, number).await, 1);
    let compressed = BASE64URL.decode(claims["status_list"]["lst"].as_str().unwrap()).unwrap();
    let mut bits = Vec::new();
    ZlibDecoder::new(compressed.as_slice()).read_to_end(&mut bits).unwrap();
    assert_eq!(bits.len(), 1 << 17, "the length says nothing about how many there are");
    bits[place / 8] & 1 << (place % 8) != 0
}

#[tokio::test]
async fn an_ended_session_is_published_as_such_and_no_other() {
    let harness = Harness::with(with_lists(Algorithm::EdDsa)).await;
    harness.register("ann").await;
    harness.register("bob").await;
    let replica = harness.replica(with_lists(Algorithm::EdDsa)).await.unwrap();
    let [phone, laptop, tablet] =
        [harness.login("ann").await, harness.login("ann").await, harness.login("ann").await];
    let bob = harness.login("bob").await;
    let places: std::collections::HashSet<_> =
        [&phone, &laptop, &tablet, &bob].map(|pair| place(&pair.access)).into();
    assert_eq!(places.len(), 4, "one place for each session");
    let refreshed = harness.refresh(&laptop.refresh).await.unwrap();
    assert_eq!(place(&refreshed.access), place(&laptop.access), "a session keeps its place");

    logout(&harness.app, &harness.caller(), &phone.access).await.unwrap();
    for app in [&harness.app, &replica] {
        assert!(has_ended(&harness, app, &phone.access).await);
        assert!(!has_ended(&harness, app, &laptop.access).await);
    }
    logout_all(&harness.app, &harness.caller(), &laptop.access).await.unwrap();
    for app in [&harness.app, &replica] {
        for pair in [&phone, &laptop, &tablet] {
            assert!(has_ended(&harness, app, &pair.access).await);
        }
        assert!(!has_ended(&harness, app, &bob.access).await);
    }
    let again = harness.login("ann").await;
    assert!(!has_ended(&harness, &replica, &again.access).await);
}

#[tokio::test]
async fn disabled_and_deleted_users_are_published_too_and_after_a_restart() {
    let harness = Harness::with(with_lists(Algorithm::Es256)).await;
    let mut pairs = Vec::new();
    for (n, name) in ["ann", "bob", "cy"].into_iter().enumerate() {
        let id = harness.register(name).await.id;
        pairs.push(harness.login(name).await);
        match n {
            0 => assert!(user::disable(&harness.app, id).await.unwrap()),
            1 => assert!(user::delete(&harness.app, id).await.unwrap()),
            _ => {}
        }
    }
    // A deleted user's place is not given to anybody else.
    let mut tx = harness.app.db.begin().await.unwrap();
    let (list, taken) = place(&pairs[1].access);
    let taken = domain::status::StatusPlace { list, place: u32::try_from(taken).unwrap() };
    let (session, user) = (domain::session::SessionId::new([9; 12], 0), domain::user::UserId::new(3));
    let now = harness.clock.now();
    assert!(!store::status_list::take(&mut tx, taken, session, user, now).await.unwrap());
    drop(tx);
    for (pair, ended) in pairs.iter().zip([true, true, false]) {
        assert_eq!(has_ended(&harness, &harness.app, &pair.access).await, ended);
    }
    let later = harness.replica(with_lists(Algorithm::Es256)).await.unwrap();
    for (pair, ended) in pairs.iter().zip([true, true, false]) {
        assert_eq!(has_ended(&harness, &later, &pair.access).await, ended, "read from the database");
    }
}

#[tokio::test]
async fn the_token_of_a_list_is_signed_by_a_published_key_and_says_what_it_is() {
    let harness = Harness::with(with_lists(Algorithm::EdDsa)).await;
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    let token = list(&harness.app, 1).await;
    let (header, claims) = (json(&token, 0), json(&token, 1));
    assert_eq!((header["typ"].as_str(), header["alg"].as_str()), (Some("statuslist+jwt"), Some("EdDSA")));
    assert_eq!(header["kid"], json(&pair.access, 0)["kid"]);
    assert_eq!(claims["sub"], format!("{URL}/status-lists/1"));
    assert_eq!((&claims["ttl"], &claims["status_list"]["bits"]), (&60.into(), &1.into()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    let published: Value = serde_json::from_str(&service::signing_key::published(&harness.app).json).unwrap();
    let x = BASE64URL.decode(published["keys"][0]["x"].as_str().unwrap()).unwrap();
    let key = crypto::jws::PublicKey::ed25519(&x).unwrap();
    Unverified::parse(&token).unwrap().payload_by_public(&key).unwrap();
    // TK-03: a list is no access token, and no refresh token.
    harness.verify(&token).await.token_refused();
    harness.refresh(&token).await.map(|_| ()).token_refused();
    assert!(service::status_list::token(&harness.app, 2).await.unwrap().is_none());
}

// DS-03: whoever asks often does not make us sign often; what has changed waits a second.
#[tokio::test]
async fn a_list_is_signed_when_it_has_changed_and_once_a_second_at_most() {
    let harness = Harness::with(with_lists(Algorithm::Es256)).await;
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    harness.clock.advance(SECOND);
    let first = list(&harness.app, 1).await;
    logout(&harness.app, &harness.caller(), &pair.access).await.unwrap();
    harness.pass(SECOND / 2).await;
    assert_eq!(list(&harness.app, 1).await, first, "not a second old");
    harness.pass(SECOND / 2).await;
    let second = list(&harness.app, 1).await;
    assert_ne!(second, first);
    harness.pass(29 * SECOND).await;
    assert_eq!(
        list(&harness.app, 1).await,
        second,
        "nothing has changed (ES256 signatures differ every time)"
    );
    harness.pass(SECOND).await;
    assert_ne!(list(&harness.app, 1).await, second, "half of its time to live is over");
    // A replica that does not know any more says so.
    harness.clock.advance(MINUTE + SECOND);
    let error = service::status_list::token(&harness.app, 1).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_list_is_followed_by_the_next_and_goes_with_its_last_token() {
    let harness = Harness::with(with_lists(Algorithm::EdDsa)).await;
    harness.register("ann").await;
    let old = harness.login("ann").await;
    let tidy = async || {
        harness.pass(MINUTE).await;
        service::worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
        harness.pass(MINUTE).await;
    };
    harness.pass(29 * DAY).await;
    tidy().await;
    let late = harness.login("ann").await;
    assert_eq!((place(&old.access).0, place(&late.access).0), (1, 1));
    harness.pass(DAY).await;
    tidy().await;
    let next = harness.login("ann").await;
    assert_eq!(place(&next.access).0, 2, "thirty days are over");
    harness.pass(29 * DAY).await;
    tidy().await;
    assert!(service::status_list::token(&harness.app, 1).await.unwrap().is_some(), "the late one may live");
    harness.pass(3 * DAY).await;
    tidy().await;
    tidy().await;
    assert!(service::status_list::token(&harness.app, 1).await.unwrap().is_none());
    assert!(service::status_list::token(&harness.app, 3).await.unwrap().is_some(), "the one in use stays");
}

#[tokio::test]
async fn without_public_keys_or_an_address_there_are_no_lists() {
    let status = StatusSettings { public_url: URL.to_owned(), ttl: MINUTE };
    for settings in [Settings { status: Some(status), ..settings() }, public(Algorithm::EdDsa)] {
        let harness = Harness::with(settings).await;
        harness.register("ann").await;
        let pair = harness.login("ann").await;
        assert!(json(&pair.access, 1).get("status").is_none());
        assert!(service::status_list::token(&harness.app, 1).await.unwrap().is_none());
    }
}
