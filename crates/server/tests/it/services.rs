//! What other services and reverse proxies ask: introspection, revocation, forward authentication.

use std::time::Duration;

use crypto::secret::Secret;
use serde_json::json;
use server::ServerSettings;
use service::credential::ServiceCredential;
use service::settings::Settings;
use testkit::app::TestApp;
use testkit::http::Answer;

const PASSWORD: &str = "violet-umbrella-42";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
/// catalog:a+secret%of/the=catalog!service, as it is.
const BASIC: (&str, &str) = ("authorization", "Basic Y2F0YWxvZzphK3NlY3JldCVvZi90aGU9Y2F0YWxvZyFzZXJ2aWNl");
/// The same, form-encoded as RFC 6749 wants it.
const ENCODED: (&str, &str) =
    ("authorization", "basic Y2F0YWxvZzphJTJCc2VjcmV0JTI1b2YlMkZ0aGUlM0RjYXRhbG9nIXNlcnZpY2U=");

async fn service() -> TestApp {
    let secret = Secret::from("a+secret%of/the=catalog!service".to_owned());
    let settings = Settings {
        throttle: false,
        services: vec![ServiceCredential::new("catalog".into(), &secret)],
        ..Settings::default()
    };
    let server = ServerSettings { forward_auth_cookie: Some("access".into()), ..ServerSettings::default() };
    TestApp::with(settings, server).await
}

async fn ask(service: &TestApp, path: &str, token: &str) -> Answer {
    service.send("POST", path, &[FORM, BASIC], format!("token={token}").as_bytes()).await
}

async fn inactive(service: &TestApp, token: &str) {
    let answer = ask(service, "/introspect/", token).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"active":false}"#), "{token}");
}

// SE-07
#[tokio::test]
async fn introspection_says_all_of_a_good_token_and_nothing_of_others() {
    let service = service().await;
    let id = service.register("ann", PASSWORD).await;
    let pair = service.login("ann", PASSWORD).await;
    let said = ask(&service, "/introspect/", &pair.access).await.json();
    let sid = said["sid"].as_str().unwrap().to_owned();
    assert_eq!(said["active"], true);
    assert_eq!(
        (&said["token_type"], &said["user_id"], &said["sub"]),
        (&json!("access"), &json!(id), &json!("1"))
    );
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 900);
    inactive(&service, &pair.refresh).await; // TK-03: most who ask look at `active` alone
    let hinted = format!("{}&token_type_hint=refresh_token", pair.refresh);
    let refresh = ask(&service, "/auth/introspect", &hinted).await.json();
    assert_eq!((&refresh["token_type"], refresh["sid"].as_str()), (&json!("refresh"), Some(sid.as_str())));
    inactive(&service, "x").await;
    inactive(&service, &format!("{}x", pair.access)).await;
    service.pass(Duration::from_secs(15 * 60)).await;
    inactive(&service, &pair.access).await;
    let next = service.refresh(&pair.refresh).await;
    service.pass(Duration::from_secs(11)).await;
    inactive(&service, &hinted).await;
    let user = domain::user::UserId::new(id);
    assert!(service::user::disable(&service.app, user).await.unwrap());
    for name in ["access", "refresh"] {
        inactive(&service, &format!("{}&token_type_hint=refresh_token", next.member(name))).await;
    }
}

// SE-07
#[tokio::test]
async fn only_the_services_of_the_configuration_are_answered() {
    let service = service().await;
    service.register("ann", PASSWORD).await;
    let pair = service.login("ann", PASSWORD).await;
    let token = format!("token={}", pair.access);
    let with = |more: &str| format!("{token}&{more}");
    let in_body = "client_id=catalog&client_secret=a%2Bsecret%25of%2Fthe%3Dcatalog%21service";
    let wrong = ("authorization", "Basic Y2F0YWxvZzp3cm9uZw==");
    let bearer = format!("Bearer {}", pair.access);
    for path in ["/introspect/", "/revoke/"] {
        for (headers, body, status, error) in [
            (&[FORM][..], token.clone(), 401, "invalid_client"),
            (&[FORM, wrong], token.clone(), 401, "invalid_client"),
            (&[FORM, ("authorization", "Basic !")], token.clone(), 401, "invalid_client"),
            (&[FORM, ("authorization", &bearer)], token.clone(), 401, "invalid_client"),
            (&[FORM, BASIC, BASIC], token.clone(), 401, "invalid_client"),
            (&[FORM], with("client_id=catalog"), 401, "invalid_client"),
            (&[FORM], with("client_id=catalog&client_secret=x"), 401, "invalid_client"),
            (&[FORM], with("client_id=other&client_secret=a%2Bsecret%25of"), 401, "invalid_client"),
            (&[FORM, BASIC], with("client_id=other"), 401, "invalid_client"),
            (&[FORM, BASIC], with(in_body), 400, "invalid_request"),
            (&[FORM, BASIC], String::new(), 400, "invalid_request"),
            (&[FORM, BASIC], "token=".into(), 400, "invalid_request"),
            (&[FORM, BASIC], with("%74oken=x"), 400, "invalid_request"),
            (&[("content-type", "application/json"), BASIC], "{}".into(), 400, "invalid_request"),
        ] {
            let answer = service.send("POST", path, headers, body.as_bytes()).await;
            assert_eq!((answer.status, answer.member("error").as_str()), (status, error), "{path} {body}");
            let challenged = answer.header("www-authenticate").is_some();
            assert_eq!(challenged, status == 401, "{answer:?}");
        }
    }
    assert_eq!(service.verify(&pair.access).await, 200, "nothing was revoked");
    for (headers, body) in [
        (&[FORM, BASIC][..], with("token_type_hint=access_token&client_id=catalog")),
        (&[FORM, ENCODED], token.clone()),
        (&[FORM], with(in_body)),
    ] {
        let answer = service.send("POST", "/introspect/", headers, body.as_bytes()).await;
        assert_eq!((answer.status, &answer.json()["active"]), (200, &json!(true)), "{answer:?}");
    }
}

// SE-08
#[tokio::test]
async fn revoking_a_token_ends_its_session_and_an_unknown_one_is_no_failure() {
    let service = service().await;
    service.register("ann", PASSWORD).await;
    let other = service.login("ann", PASSWORD).await;
    for kind in ["access", "refresh"] {
        let pair = service.login("ann", PASSWORD).await;
        let token = if kind == "access" { &pair.access } else { &pair.refresh };
        for _ in 0..2 {
            assert_eq!(ask(&service, "/revoke/", token).await.status, 200);
        }
        assert_eq!((service.verify(&pair.access).await, service.verify(&pair.refresh).await), (400, 400));
        inactive(&service, &pair.access).await;
    }
    assert_eq!(ask(&service, "/revoke/", "x").await.status, 200);
    assert_eq!(service.verify(&other.access).await, 200);
    service.app.db.close().await;
    let answer = ask(&service, "/revoke/", &other.access).await;
    assert_eq!(answer.status, 503, "a failure is never told as success: {answer:?}");
}

async fn pass_on(service: &TestApp, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    service.send(method, path, headers, b"").await
}

// SE-01, IN-07
#[tokio::test]
async fn a_proxy_learns_whose_request_it_is() {
    let service = service().await;
    let body = json!({"username": "Жанна@x+y", "email": "", "password": PASSWORD});
    assert_eq!(service.post("/register/", &body).await.status, 201);
    let pair = service.login("Жанна@x+y", PASSWORD).await;
    let bearer = format!("Bearer {}", pair.access);
    let spoofed = [("authorization", bearer.as_str()), ("x-auth-user-id", "7"), ("x_auth_user_id", "7")];
    for (method, path) in
        [("GET", "/forward-auth"), ("POST", "/auth/forward-auth/"), ("PROPFIND", "/forward-auth/a/..%2f/b")]
    {
        let answer = pass_on(&service, method, path, &spoofed).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{method} {path}: {answer:?}");
        assert_eq!(answer.header("x-auth-user-id"), Some("1"));
        assert_eq!(answer.header("x-auth-username"), Some("%D0%96%D0%B0%D0%BD%D0%BD%D0%B0%40x%2By"));
        assert_eq!(answer.header("x-auth-session").map(str::len), Some(32));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    service.post("/logout/", &json!({"access": pair.access})).await;
    assert_eq!(pass_on(&service, "GET", "/forward-auth", &spoofed).await.status, 401, "at once");
}

// TK-03, TK-13, A41
#[tokio::test]
async fn a_bad_bearer_never_falls_through_to_the_cookie() {
    let service = service().await;
    service.register("ann", PASSWORD).await;
    let pair = service.login("ann", PASSWORD).await;
    let good = format!("access={}", pair.access);
    let refresh = format!("access={}", pair.refresh);
    let bad_bearer = ("authorization", "Bearer x");
    let preflight = ("access-control-request-method", "POST");
    let twice = format!("{good}; {good}");
    for (method, headers, status) in [
        ("GET", &[][..], 401),
        ("GET", &[bad_bearer], 401),
        ("GET", &[("x-forwarded-method", "GET"), ("cookie", &good), bad_bearer], 401),
        ("GET", &[("x-forwarded-method", "GET"), ("cookie", &good), ("authorization", "Basic x")], 401),
        ("GET", &[("x-forwarded-method", "GET"), ("cookie", &refresh)], 401),
        ("GET", &[("x-forwarded-method", "GET"), ("cookie", &twice)], 401),
        ("GET", &[("x-forwarded-method", "GET"), ("cookie", "access=garbage")], 401),
        ("GET", &[("x-forwarded-method", "GET"), ("cookie", "access")], 401),
        ("GET", &[("x-forwarded-method", "GET"), ("cookie", "other=1")], 401),
        ("OPTIONS", &[preflight, ("origin", "https://shop.example")], 401),
        ("GET", &[("x-forwarded-method", "GET"), ("cookie", &good)], 200),
    ] {
        let answer = pass_on(&service, method, "/forward-auth", headers).await;
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
        assert_eq!(answer.header("x-auth-user-id").is_some(), status == 200, "{answer:?}");
    }
}

// HB-02: whoever makes a browser send the cookie from another site changes nothing.
#[tokio::test]
async fn a_cookie_alone_changes_nothing_from_another_site() {
    let service = service().await;
    service.register("ann", PASSWORD).await;
    let cookie = format!("theme=dark; access={}", service.login("ann", PASSWORD).await.access);
    let cookie = ("cookie", cookie.as_str());
    let said = |method| ("x-forwarded-method", method);
    for (path, headers, status) in [
        ("/forward-auth", &[cookie][..], 403),
        ("/forward-auth", &[cookie, said("GET")], 200),
        ("/forward-auth", &[cookie, said("HEAD")], 200),
        ("/forward-auth", &[cookie, said("POST")], 403),
        ("/forward-auth", &[cookie, said("GET"), said("POST")], 403),
        ("/forward-auth", &[cookie, said("POST"), ("sec-fetch-site", "cross-site")], 403),
        ("/forward-auth", &[cookie, said("POST"), ("sec-fetch-site", "same-origin")], 200),
        ("/forward-auth", &[cookie, said("POST"), ("origin", "https://evil.example")], 403),
        (
            "/forward-auth",
            &[
                cookie,
                said("DELETE"),
                ("origin", "https://shop.example"),
                ("x-forwarded-host", "shop.example"),
            ],
            200,
        ),
        ("/forward-auth/cart", &[cookie], 200),
        ("/forward-auth/asked/", &[cookie], 200),
        ("/forward-auth/live", &[cookie, ("upgrade", "websocket")], 403),
        ("/forward-auth/live", &[cookie, ("sec-websocket-key", "x"), ("sec-fetch-site", "cross-site")], 403),
        ("/forward-auth/live", &[cookie, ("sec-fetch-mode", "websocket")], 403),
        ("/forward-auth/live", &[cookie, ("upgrade", "websocket"), ("sec-fetch-site", "same-origin")], 200),
    ] {
        let answer = pass_on(&service, "GET", path, headers).await;
        assert_eq!(answer.status, status, "{path} {:?}: {answer:?}", &headers[1..]);
    }
    assert_eq!(pass_on(&service, "POST", "/forward-auth/cart", &[cookie]).await.status, 403);
}

// KY-06: cookies are ignored unless the operator names one.
#[tokio::test]
async fn without_the_setting_no_cookie_counts() {
    let service = TestApp::start().await;
    service.register("ann", PASSWORD).await;
    let cookie = format!("access={}", service.login("ann", PASSWORD).await.access);
    let headers = [("cookie", cookie.as_str()), ("x-forwarded-method", "GET")];
    assert_eq!(pass_on(&service, "GET", "/forward-auth", &headers).await.status, 401);
}
