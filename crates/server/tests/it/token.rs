//! POST /token/: an API key for a token, and what such a token is not good for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::http::Answer;

use crate::admin::{Admins, PASSWORD};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// An account with a key, made by the superuser.
async fn key(admins: &Admins, scope: &str) -> Value {
    let user = admins.make_user().await;
    let body =
        json!({"user_id": user, "name": "nightly", "scope": scope, "expires_at": "2026-02-01T00:00:00Z"});
    let made = admins.send("POST", "/admin/api/api-keys/", &admins.root, &body.to_string()).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()
}

async fn post(admins: &Admins, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers: Vec<(&str, &str)> = [FORM].iter().chain(headers).copied().collect();
    admins.service.send("POST", "/token/", &headers, body.as_bytes()).await
}

async fn exchange(admins: &Admins, made: &Value) -> Answer {
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    post(admins, &[], &format!("grant_type=client_credentials&client_id={id}&client_secret={key}")).await
}

// AD-07
#[tokio::test]
async fn a_key_is_shown_once_and_exchanged_in_the_header_or_the_body() {
    let admins = Admins::start().await;
    let made = key(&admins, "shop.view_book").await;
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(key.starts_with(&format!("bsa_{id}_")), "{made}");
    let given = exchange(&admins, &made).await;
    assert_eq!(given.status, 200, "{given:?}");
    assert_eq!(given.header("cache-control"), Some("no-store"), "RFC 6749 section 5.1");
    let answer = given.json();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(300)));
    assert_eq!(answer["scope"], "", "the account has no permission");
    assert!(answer.get("refresh_token").is_none());
    assert_eq!(admins.service.verify(answer["access_token"].as_str().unwrap()).await, 200);
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{key}")));
    let by_header = post(&admins, &[("authorization", &basic)], "grant_type=client_credentials").await;
    assert_eq!(by_header.status, 200, "{by_header:?}");
    let listed = admins.send("GET", "/admin/api/api-keys/", &admins.root, "").await;
    assert_eq!(listed.json()["api_keys"][0]["last_used_at"], "2026-01-01T00:00:00Z");
    let secret = key.rsplit('_').next().unwrap();
    assert!(!listed.text().contains(secret) && !listed.text().contains("digest"), "AD-04");
    assert_eq!(
        admins.send("DELETE", &format!("/admin/api/api-keys/{id}/"), &admins.root, "").await.status,
        204
    );
    let refused = exchange(&admins, &made).await;
    assert_eq!((refused.status, refused.text().as_str()), (401, r#"{"error":"invalid_client"}"#));
    assert_eq!(refused.header("www-authenticate"), Some("Basic realm=\"services\""));
    assert_eq!(
        admins.service.verify(answer["access_token"].as_str().unwrap()).await,
        400,
        "so are its tokens"
    );
}

#[tokio::test]
async fn faults_are_told_as_the_standard_wants() {
    let admins = Admins::start().await;
    let made = key(&admins, "shop.view_book").await;
    let client =
        format!("client_id={}&client_secret={}", made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    for (body, status, error) in [
        (client.clone(), 400, "invalid_request"),
        (format!("grant_type=password&{client}"), 400, "unsupported_grant_type"),
        (format!("grant_type=client_credentials&scope=shop.add_book&{client}"), 400, "invalid_scope"),
        (format!("grant_type=client_credentials&grant_type=x&{client}"), 400, "invalid_request"),
        ("grant_type=client_credentials".to_owned(), 401, "invalid_client"),
        (format!("grant_type=client_credentials&{client}0"), 401, "invalid_client"),
        (format!("grant_type=client_credentials&{}", client.replace("bsa_", "bsb_")), 401, "invalid_client"),
    ] {
        let answer = post(&admins, &[], &body).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (status, Some(error)), "{body}");
    }
    let both =
        post(&admins, &[("authorization", "Basic eDp5")], &format!("grant_type=client_credentials&{client}"))
            .await;
    assert_eq!((both.status, both.json()["error"].as_str()), (400, Some("invalid_request")));
    let json = [("content-type", "application/json")];
    assert_eq!(admins.service.send("POST", "/token/", &json, b"{}").await.status, 400);
    for header in ["Basic", "Basic !", "Basic eA==", "Bearer x", "Digest x"] {
        let answer = post(&admins, &[("authorization", header)], "grant_type=client_credentials").await;
        assert_eq!(answer.status, 401, "{header}");
    }
}

// AD-01, AD-07: a limited token is not taken where it would stand for its whole account.
#[tokio::test]
async fn a_token_of_a_key_is_no_login() {
    let admins = Admins::start().await;
    let service = &admins.service;
    let root = service.login("root", PASSWORD).await;
    let body = json!({"user_id": 1, "name": "mighty", "scope": "auth.view_user", "expires_at": "2026-01-09T00:00:00Z"});
    let made = admins.send("POST", "/admin/api/api-keys/", &root.access, &body.to_string()).await.json();
    let token = exchange(&admins, &made).await.member("access_token");
    for (method, path) in [
        ("GET", "/sessions/"),
        ("DELETE", "/sessions/00000000000000000000000000000000/"),
        ("GET", "/forward-auth"),
        ("GET", "/admin/api/users/"),
        ("POST", "/admin/api/groups/"),
        ("POST", "/logout/all/"),
    ] {
        let answer = admins.send(method, path, &token, "").await;
        assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
    }
    let proof = admins.send("POST", "/email/verify/confirm/", &token, r#"{"token":"x"}"#).await;
    assert_eq!(proof.status, 403, "{proof:?}");
    assert_eq!(service.verify(&root.access).await, 200, "nothing has ended");
    assert_eq!(service.verify(&token).await, 200);
}
