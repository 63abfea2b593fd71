//! The public keys as other services find them (TK-09).

use crypto::jws::Algorithm;
use crypto::seal::SealingKey;
use crypto::secret::Secret;
use serde_json::{Value, json};
use server::{Cors, ServerSettings};
use service::settings::{KeySettings, Settings, TokenSettings};
use testkit::app::TestApp;

const JWKS: &str = "/.well-known/jwks.json";
const CONFIGURATION: &str = "/.well-known/openid-configuration";

fn settings(algorithm: Algorithm, issuer: Option<&str>) -> Settings {
    let sealing = SealingKey::derive(&Secret::from("a key-encryption key of the tests".to_owned()));
    let keys = KeySettings { algorithm, sealing: Some(sealing), ..KeySettings::default() };
    let tokens = TokenSettings { issuer: issuer.map(str::to_owned), ..TokenSettings::default() };
    Settings { keys, tokens, throttle: false, ..Settings::default() }
}

async fn service(algorithm: Algorithm) -> TestApp {
    TestApp::with(settings(algorithm, None), ServerSettings::default()).await
}

// TK-09
#[tokio::test]
async fn the_key_set_is_public_cached_and_holds_no_secret() {
    for (algorithm, kty) in [(Algorithm::EdDsa, "OKP"), (Algorithm::Es256, "EC"), (Algorithm::Rs256, "RSA")] {
        let service = service(algorithm).await;
        let answer = service.get(JWKS).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
        let keys = answer.json()["keys"].as_array().unwrap().clone();
        let [key] = keys.as_slice() else { panic!("{keys:?}") };
        assert_eq!(
            (&key["kty"], &key["alg"], &key["use"]),
            (&json!(kty), &json!(algorithm.name()), &json!("sig"))
        );
        for secret in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert!(key.get(secret).is_none(), "{secret} in {key}");
        }
        service.register("reader", "violet-umbrella-42").await;
        let pair = service.login("reader", "violet-umbrella-42").await;
        assert_eq!(header(&pair.access)["kid"], key["kid"]);
        assert_eq!(service.verify(&pair.access).await, 200);
        assert_eq!(service.verify(&pair.refresh).await, 200);
        assert_eq!(service.get("/auth/.well-known/jwks.json").await.body, answer.body);
    }
}

fn header(token: &str) -> Value {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap());
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}

#[tokio::test]
async fn an_unchanged_key_set_is_not_sent_again() {
    let service = service(Algorithm::EdDsa).await;
    let first = service.get(JWKS).await;
    let etag = first.header("etag").unwrap().to_owned();
    let ask = async |value: &str| service.send("GET", JWKS, &[("if-none-match", value)], b"").await;
    for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let answer = ask(&known).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.header("etag"), Some(&*etag));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    }
    for other in ["\"x\"", etag.trim_matches('"'), ""] {
        assert_eq!(ask(other).await.status, 200, "{other}");
    }
    service::signing_key::rotate(&service.app).await.unwrap();
    let changed = ask(&etag).await;
    assert_eq!(changed.json()["keys"].as_array().unwrap().len(), 2, "TK-10: the next key is published");
}

// TK-10: others never keep the set for longer than a key is published ahead.
#[tokio::test]
async fn the_key_set_is_kept_for_less_than_the_notice() {
    let mut settings = settings(Algorithm::EdDsa, None);
    settings.keys.rotation.publish_ahead = std::time::Duration::from_secs(20);
    let service = TestApp::with(settings, ServerSettings::default()).await;
    assert_eq!(service.get(JWKS).await.header("cache-control"), Some("public, max-age=10"));
}

#[tokio::test]
async fn the_shared_secret_publishes_nothing() {
    let service = TestApp::start().await;
    let answer = service.get(JWKS).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"keys":[]}"#));
    assert_eq!(service.send("POST", JWKS, &[], b"").await.status, 405);
    assert_eq!(service.get(CONFIGURATION).await.status, 404);
}

#[tokio::test]
async fn the_configuration_claims_only_what_is_there() {
    for (issuer, jwks) in [
        ("https://auth.example", "https://auth.example/.well-known/jwks.json"),
        ("https://shop.example/auth/", "https://shop.example/auth/.well-known/jwks.json"),
    ] {
        let service =
            TestApp::with(settings(Algorithm::EdDsa, Some(issuer)), ServerSettings::default()).await;
        let answer = service.get(CONFIGURATION).await;
        assert_eq!(answer.status, 200);
        let expected = json!({
            "issuer": issuer, "jwks_uri": jwks, "response_types_supported": [],
            "token_endpoint": jwks.replace(".well-known/jwks.json", "token/"),
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        });
        assert_eq!(answer.json(), expected);
        assert_eq!(service.get("/auth/.well-known/openid-configuration").await.json(), expected);
    }
    let named = TestApp::with(settings(Algorithm::EdDsa, Some("bookstore")), ServerSettings::default()).await;
    assert_eq!(named.get(CONFIGURATION).await.status, 404, "a name is no address");
}

// HB-03: these two are for every page; the others are not.
#[tokio::test]
async fn every_origin_may_read_the_keys() {
    let settings = settings(Algorithm::EdDsa, Some("https://auth.example"));
    let server = ServerSettings { cors: Cors::List(Vec::new()), ..ServerSettings::default() };
    let service = TestApp::with(settings, server).await;
    let origin = ("origin", "https://anybody.example");
    for path in [JWKS, CONFIGURATION] {
        let answer = service.send("GET", path, &[origin], b"").await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    let answer = service.send("POST", "/login/", &[origin], b"").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
