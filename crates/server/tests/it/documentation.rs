//! The OpenAPI document and its page (KY-06, HB-05).

use std::time::Duration;

use crypto::jws::Algorithm;
use crypto::seal::SealingKey;
use crypto::secret::Secret;
use server::ServerSettings;
use service::settings::{KeySettings, Settings, StatusSettings, TokenSettings};
use testkit::app::TestApp;

async fn service(docs: bool) -> TestApp {
    TestApp::with(Settings::default(), ServerSettings { docs, ..ServerSettings::default() }).await
}

// KY-06
#[tokio::test]
async fn the_documentation_is_a_setting() {
    let service = service(false).await;
    for path in ["/docs", "/docs/", "/docs/index.html", "/docs/swagger-ui.css", "/openapi.json"] {
        assert_eq!(service.get(path).await.status, 404, "{path}");
    }
}

/// SC-05: every operation of the document answers, and every route that answers is in the document.
#[tokio::test]
async fn document_and_router_agree() {
    // Without an issuer there is no configuration to describe, without public keys and an address there are no lists.
    let tokens =
        TokenSettings { issuer: Some("https://auth.example".to_owned()), ..TokenSettings::default() };
    let sealing = SealingKey::derive(&Secret::from("a key-encryption key of the tests".to_owned()));
    let keys = KeySettings { algorithm: Algorithm::EdDsa, sealing: Some(sealing), ..KeySettings::default() };
    let status = StatusSettings { public_url: "https://auth.example".into(), ttl: Duration::from_secs(60) };
    let settings = Settings { tokens, keys, status: Some(status), ..Settings::default() };
    let service =
        TestApp::with(settings, ServerSettings { docs: true, admin: true, ..ServerSettings::default() })
            .await;
    let document = service.get("/openapi.json").await.json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{document}");
    let paths = document["paths"].as_object().unwrap();
    let documented: Vec<&str> = paths.keys().map(String::as_str).collect();
    // Pages for people are no API.
    let routes = [
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
        "/admin/api/api-keys/",
        "/admin/api/api-keys/{id}/",
        "/admin/api/audit/",
        "/admin/api/bootstrap/",
        "/admin/api/groups/",
        "/admin/api/groups/{id}/",
        "/admin/api/groups/{id}/permissions/{permission}/",
        "/admin/api/keys/",
        "/admin/api/keys/rotate/",
        "/admin/api/users/",
        "/admin/api/users/{id}/",
        "/admin/api/users/{id}/disable/",
        "/admin/api/users/{id}/enable/",
        "/admin/api/users/{id}/groups/",
        "/admin/api/users/{id}/groups/{group}/",
        "/admin/api/users/{id}/reset/",
        "/admin/api/users/{id}/roles/{role}/",
        "/admin/api/users/{id}/sessions/",
        "/admin/api/users/{id}/sessions/{session}/",
        "/email/change/",
        "/email/verify/",
        "/email/verify/confirm/",
        "/forward-auth",
        "/healthz",
        "/introspect/",
        "/login/",
        "/logout/",
        "/logout/all/",
        "/me/",
        "/me/export/",
        "/me/keep/",
        "/password/change/",
        "/password/reset/",
        "/password/reset/confirm/",
        "/readyz",
        "/refresh/",
        "/register/",
        "/revoke/",
        "/sessions/",
        "/sessions/{id}/",
        "/status-lists/{list}",
        "/token/",
        "/verify/",
    ];
    let mut sorted = documented.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, routes, "a new route belongs here and in the document");
    for (path, operations) in paths {
        for method in ["get", "post", "put", "patch", "delete"] {
            let asked = path.replace("{list}", "1");
            let answer = service.send(&method.to_uppercase(), &asked, &[], b"").await;
            let exists = answer.status != 404 && answer.status != 405;
            assert_eq!(exists, operations.get(method).is_some(), "{method} {path}: {answer:?}");
            if exists {
                let status = answer.status.to_string();
                let answers = &operations[method]["responses"];
                assert!(answers.get(&status).is_some(), "{method} {path} answered {status}: {answers}");
            }
        }
    }
}

/// Generated clients name their functions so; and what any route may answer is in the document of each.
#[test]
fn operations_have_names_of_their_own_and_the_common_answers() {
    let document = serde_json::to_value(server::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    let operations: Vec<_> = paths.flat_map(|path| path.as_object().unwrap().values()).collect();
    let names: std::collections::BTreeSet<&str> =
        operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.len(), operations.len(), "{names:?}");
    for operation in operations {
        let answers = &operation["responses"];
        for status in ["400", "414", "431"] {
            assert!(answers.get(status).is_some(), "{operation}");
        }
        let retry = answers.get("503").map(|answer| &answer["headers"]["Retry-After"]["schema"]["type"]);
        assert!(retry.is_none_or(|kind| kind == "integer"), "{operation}");
        if let Some(body) = operation.get("requestBody") {
            assert!(answers.get("413").is_some() && answers.get("408").is_some(), "{body}");
        }
    }
}

// AD-02
#[tokio::test]
async fn without_the_setting_there_is_no_administration_and_none_is_documented() {
    let service = service(true).await;
    let document = service.get("/openapi.json").await.json();
    assert!(document["paths"].as_object().unwrap().keys().all(|path| !path.starts_with("/admin/")));
    for path in ["/admin/api/users/", "/admin/api/bootstrap/", "/auth/admin/api/audit"] {
        assert_eq!(service.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_page_loads_from_the_binary_alone() {
    let service = service(true).await;
    let redirect = service.get("/docs").await;
    assert_eq!((redirect.status, redirect.header("location")), (308, Some("/docs/")));
    let page = service.get("/docs/").await;
    // HB-05
    let policy = page.header("content-security-policy").unwrap();
    for directive in ["default-src 'none'", "script-src 'self';", "base-uri 'none'", "frame-ancestors 'none'"]
    {
        assert!(policy.contains(directive), "{policy}");
    }
    assert_eq!(page.header("cross-origin-opener-policy"), Some("same-origin"));
    let text = page.text();
    assert!(!text.contains("<script>"), "no inline scripts, which the policy would stop: {text}");
    let mut loaded = 0;
    for part in text.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css")) {
        assert!(!part.contains("//"), "{part} comes from elsewhere");
        let name = part.trim_start_matches("./");
        let answer = service.get(&format!("/docs/{name}")).await;
        assert_eq!(answer.status, 200, "{name}");
        loaded += 1;
    }
    assert!(loaded >= 3, "{text}");
    assert!(service.get("/docs/swagger-initializer.js").await.text().contains("../openapi.json"));
    for path in ["/docs/nothing.js", "/docs/..%2fCargo.toml", "/docs/../openapi.json"] {
        assert_eq!(service.get(path).await.status, 404, "{path}");
    }
}
