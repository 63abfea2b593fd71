//! Tokens under keys of our own: what they look like, whose signature counts, and the bridge from the shared secret.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use crypto::jws::{Algorithm, KeyRing, SigningKey, TokenKind, Unverified};
use crypto::seal::SealingKey;
use crypto::secret::Secret;
use domain::signing_key::Purpose;
use service::settings::{KeySettings, Settings, SharedUntil, TokenProfile, TokenSettings};
use service::{App, Kind};
use store::signing_key::StoredKey;

use crate::harness::{DAY, Harness, MINUTE, Refused, SECRET, START, settings};

pub(crate) fn sealing() -> SealingKey {
    SealingKey::derive(&Secret::from("a key-encryption key of the tests".to_owned()))
}

/// Settings under which a key of this algorithm signs.
pub(crate) fn public(algorithm: Algorithm) -> Settings {
    let keys = KeySettings { algorithm, sealing: Some(sealing()), ..KeySettings::default() };
    Settings { keys, ..settings() }
}

pub(crate) fn with_until(shared_until: SharedUntil) -> Settings {
    let settings = public(Algorithm::EdDsa);
    Settings { keys: KeySettings { shared_until, ..settings.keys }, ..settings }
}

pub(crate) async fn stored(app: &App) -> Vec<StoredKey> {
    let mut tx = app.db.read().await.unwrap();
    store::signing_key::list(&mut tx).await.unwrap()
}

/// The last key of a purpose, opened as the service opens it.
async fn key_of(app: &App, purpose: Purpose) -> SigningKey {
    let rows = stored(app).await;
    let row = rows.iter().rfind(|row| row.purpose == purpose).unwrap();
    let secret = sealing().open(&row.sealed, &[&row.id, &row.algorithm, purpose.as_str()]).unwrap();
    SigningKey::from_secret(Algorithm::of(&row.algorithm).unwrap(), &secret).unwrap()
}

fn part(token: &str, at: usize) -> String {
    String::from_utf8(BASE64URL.decode(token.split('.').nth(at).unwrap()).unwrap()).unwrap()
}

fn payload(token: &str) -> String {
    part(token, 1)
}

// TK-08, TK-09, TK-12
#[tokio::test]
async fn every_algorithm_signs_access_tokens_that_its_published_key_checks() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
        let harness = Harness::with(public(algorithm)).await;
        let ann = harness.register("ann").await;
        let pair = harness.login("ann").await;
        let published = service::signing_key::published(&harness.app).json.clone();
        let [access, refresh] = [&pair.access, &pair.refresh].map(|token| Unverified::parse(token).unwrap());
        assert_eq!(access.algorithm(), algorithm.name());
        assert!(published.contains(&format!(r#""kid":"{}""#, access.key_id().unwrap())), "{published}");
        assert_eq!(refresh.algorithm(), "HS256");
        assert!(
            !published.contains(refresh.key_id().unwrap()),
            "TK-03: the key of refresh tokens is nobody's"
        );
        assert_eq!(published.matches("kid").count(), 1);
        // The claims of the replaced service, and no others.
        let text = payload(&pair.access);
        let expected =
            format!(r#"{{"token_type":"access","exp":{},"iat":{}"#, START.seconds() + 900, START.seconds());
        assert!(text.starts_with(&expected) && text.matches("\":").count() == 6, "{text}");
        assert!(text.contains(&format!(r#""user_id":{},"sid":""#, ann.id)), "{text}");
        for token in [&pair.access, &pair.refresh] {
            harness.verify(token).await.unwrap();
        }
        let next = harness.refresh(&pair.refresh).await.unwrap();
        harness.verify(&next.access).await.unwrap();
    }
}

// TK-03: one key signs one kind of token, whoever could make it sign another.
#[tokio::test]
async fn no_key_signs_for_the_other() {
    let harness = Harness::with(public(Algorithm::EdDsa)).await;
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    for (token, own, other) in [
        (&pair.access, Purpose::Access, Purpose::Refresh),
        (&pair.refresh, Purpose::Refresh, Purpose::Access),
    ] {
        let claims = payload(token);
        let resigned = key_of(&harness.app, own).await.sign(TokenKind::Jwt, claims.as_bytes());
        harness.verify(&resigned).await.unwrap();
        let crossed = key_of(&harness.app, other).await.sign(TokenKind::Jwt, claims.as_bytes());
        harness.verify(&crossed).await.token_refused();
        harness.refresh(&crossed).await.map(drop).token_refused();
        assert!(service::verify::bearer(&harness.app, &harness.caller(), &crossed).await.is_err());
        // Without a session it would be judged as one of the replaced service, which had no such keys.
        let without_session = claims.split(r#","sid""#).next().unwrap().to_owned() + "}";
        let old = key_of(&harness.app, own).await.sign(TokenKind::Jwt, without_session.as_bytes());
        harness.verify(&old).await.token_refused();
        harness.refresh(&old).await.map(drop).token_refused();
    }
    harness.refresh(&pair.access).await.map(drop).token_refused();
    assert!(service::verify::bearer(&harness.app, &harness.caller(), &pair.refresh).await.is_err());
}

// TK-01, A07: HS256 with what is public, under every id and none.
#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    let harness = Harness::with(with_until(SharedUntil::Auto)).await;
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    let key = key_of(&harness.app, Purpose::Access).await;
    let public = key.public().unwrap();
    let message =
        |header: String| format!("{}.{}", BASE64URL.encode(header), pair.access.split('.').nth(1).unwrap());
    for secret in [public.to_jwk(), public.members().to_owned(), key.id().to_owned()] {
        for header in [
            r#"{"alg":"HS256","typ":"JWT"}"#.to_owned(),
            format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{}"}}"#, key.id()),
        ] {
            // The ring signs under its own header only; what follows the payload is what is wanted of it.
            let signature = KeyRing::hs256(secret.as_bytes(), &[]);
            let token = format!("{}.AAAA", message(header));
            harness.verify(&token).await.token_refused();
            harness.verify(&signature.sign(payload(&pair.access).as_bytes())).await.token_refused();
        }
    }
    for alg in ["none", "None", "ES256", "RS256", "HS256", "EdDSA"] {
        let header = format!(r#"{{"alg":"{alg}","kid":"{}"}}"#, key.id());
        harness.verify(&format!("{}.", message(header.clone()))).await.token_refused();
        let signature = pair.access.rsplit('.').next().unwrap();
        harness.verify(&format!("{}.{signature}", message(header))).await.token_refused();
    }
}

// TK-02: an id that is not ours is refused from memory alone.
#[tokio::test]
async fn unknown_and_missing_key_ids_cost_no_look_at_the_database() {
    let harness = Harness::with(with_until(SharedUntil::Never)).await;
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    let (message, signature) = pair.access.rsplit_once('.').unwrap();
    let claims = message.split('.').nth(1).unwrap();
    harness.app.db.close().await;
    let long = "k".repeat(10_000);
    for kid in ["", "x", "../../etc/passwd", "' OR 1=1 --", "\\u0000", &long] {
        let header = BASE64URL.encode(format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#));
        harness.verify(&format!("{header}.{claims}.{signature}")).await.token_refused();
    }
    let header = BASE64URL.encode(r#"{"alg":"EdDSA"}"#);
    harness.verify(&format!("{header}.{claims}.{signature}")).await.token_refused();
    harness.verify(&pair.access).await.unwrap();
    let error = harness.verify(&pair.refresh).await.unwrap_err();
    assert_ne!(error.kind, Kind::TokenInvalid, "the database is gone, as whoever needs it is told");
}

// TK-10, KY-05: nobody is logged out by the change, and it has an end.
#[tokio::test]
async fn tokens_of_the_shared_secret_are_taken_until_the_bridge_ends() {
    let harness = Harness::new().await;
    harness.register("ann").await;
    harness.register("bob").await;
    let (old, other) = (harness.login("ann").await, harness.login("bob").await);
    let harness = harness.restart(public(Algorithm::EdDsa)).await;
    harness.verify(&old.access).await.unwrap();
    assert_eq!(harness.app.counters.shared_key_tokens.load(Relaxed), 1);
    let next = harness.refresh(&old.refresh).await.unwrap();
    assert_eq!(Unverified::parse(&next.access).unwrap().algorithm(), "EdDSA");
    assert_eq!(harness.app.counters.shared_key_tokens.load(Relaxed), 2);
    harness.verify(&next.access).await.unwrap();
    assert_eq!(harness.app.counters.shared_key_tokens.load(Relaxed), 2, "counts the old algorithm only");

    // A date ends it for all; the default ends when the last token has died.
    let until = SharedUntil::At(START + MINUTE * 5);
    let harness = harness.restart(with_until(until)).await;
    harness.pass(MINUTE * 5 - Duration::from_secs(1)).await;
    harness.verify(&other.access).await.unwrap();
    harness.pass(Duration::from_secs(1)).await;
    harness.verify(&other.access).await.token_refused();
    harness.refresh(&other.refresh).await.map(drop).token_refused();
    harness.refresh(next.refresh.as_ref().unwrap()).await.unwrap();
    let harness = harness.restart(public(Algorithm::EdDsa)).await;
    harness.refresh(&other.refresh).await.unwrap();
    let forged = |harness: &Harness| {
        let (now, claims) = (harness.clock.now().seconds(), payload(&other.access));
        let claims = claims.replace(&(START.seconds() + 900).to_string(), &(now + 900).to_string());
        KeyRing::hs256(SECRET, &[]).sign(claims.as_bytes())
    };
    harness.pass(DAY * 8 - MINUTE * 5 - Duration::from_secs(1)).await;
    harness.verify(&forged(&harness)).await.unwrap();
    harness.pass(Duration::from_secs(1)).await;
    harness.verify(&forged(&harness)).await.token_refused();
}

#[tokio::test]
async fn without_a_bridge_the_shared_secret_counts_for_nothing() {
    let harness = Harness::new().await;
    harness.register("ann").await;
    let old = harness.login("ann").await;
    let harness = harness.restart(with_until(SharedUntil::Never)).await;
    harness.verify(&old.access).await.token_refused();
    harness.refresh(&old.refresh).await.map(drop).token_refused();
    assert_eq!(harness.app.counters.shared_key_tokens.load(Relaxed), 0);
}

// The way back, and replicas that still sign with the secret while others have moved on.
#[tokio::test]
async fn a_service_that_signs_with_the_secret_checks_stored_keys() {
    let back = || {
        let keys = KeySettings { sealing: Some(sealing()), ..KeySettings::default() };
        Settings { keys, ..settings() }
    };
    let harness = Harness::with(public(Algorithm::EdDsa)).await;
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    let harness = harness.restart(back()).await;
    harness.verify(&pair.access).await.unwrap();
    let next = harness.refresh(&pair.refresh).await.unwrap();
    assert_eq!(part(&next.access, 0), r#"{"alg":"HS256","typ":"JWT"}"#);
    assert!(service::signing_key::published(&harness.app).json.contains("kid"));
    // The next change to public keys begins a new bridge.
    harness.pass(DAY * 20).await;
    service::worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    let late = harness.login("ann").await;
    let harness = harness.restart(public(Algorithm::EdDsa)).await;
    harness.verify(&late.access).await.unwrap();
}

// TK-03, TK-04: the profile of RFC 9068.
#[tokio::test]
async fn access_tokens_of_rfc_9068_say_so_and_are_complete() {
    let tokens = TokenSettings {
        issuer: Some("https://auth.example".into()),
        audience: Some("shop".into()),
        ..TokenSettings::default()
    };
    let keys = KeySettings { profile: TokenProfile::Rfc9068, ..public(Algorithm::EdDsa).keys };
    let harness = Harness::with(Settings { keys, tokens, ..settings() }).await;
    let ann = harness.register("ann").await;
    let pair = harness.login("ann").await;
    assert!(Unverified::parse(&pair.access).unwrap().is_access_token());
    assert!(!Unverified::parse(&pair.refresh).unwrap().is_access_token());
    let claims = payload(&pair.access);
    let rest = format!(
        r#","iss":"https://auth.example","aud":"shop","sub":"{}","client_id":"first-party"}}"#,
        ann.id
    );
    assert!(claims.ends_with(&rest), "{claims}");
    assert!(!payload(&pair.refresh).contains("client_id"));
    harness.verify(&pair.access).await.unwrap();
    harness.verify(&pair.refresh).await.unwrap();
    let key = key_of(&harness.app, Purpose::Access).await;
    harness.verify(&key.sign(TokenKind::AccessToken, claims.as_bytes())).await.unwrap();
    harness.verify(&key.sign(TokenKind::Jwt, claims.as_bytes())).await.token_refused();
    for missing in [
        r#","iss":"https://auth.example""#.to_owned(),
        r#","aud":"shop""#.to_owned(),
        format!(r#","sub":"{}""#, ann.id),
        r#","client_id":"first-party""#.to_owned(),
    ] {
        let cut = claims.replace(&missing, "");
        assert_ne!(cut, claims);
        harness.verify(&key.sign(TokenKind::AccessToken, cut.as_bytes())).await.token_refused();
    }
    let other = claims.replace(&format!(r#""sub":"{}""#, ann.id), r#""sub":"999""#);
    harness.verify(&key.sign(TokenKind::AccessToken, other.as_bytes())).await.token_refused();
}
