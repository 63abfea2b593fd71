//! What all answers have in common (HB-04, HB-06, HB-08), and the order in which a request is refused.

use server::{Cors, ServerSettings};
use service::settings::Settings;
use testkit::app::TestApp;
use testkit::http::Answer;

/// A request and the status that it gets.
type Walk<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], u16);

const JSON: (&str, &str) = ("content-type", "application/json");

/// Every route with every status that can be had without much ado.
const WALK: [Walk<'_>; 19] = [
    ("POST", "/register/", &[JSON], b"{}", 400),
    ("POST", "/register/", &[JSON, ("authorization", "Bearer x")], b"{}", 401),
    ("POST", "/register/", &[JSON], br#"{"username":"walker","email":"","password":"violet-umbrella"}"#, 201),
    ("GET", "/register/", &[], b"", 405),
    ("POST", "/login/", &[JSON], b"{", 400),
    ("POST", "/login/", &[JSON], br#"{"username":"walker","password":"no"}"#, 401),
    ("POST", "/login/", &[JSON], br#"{"username":"walker","password":"violet-umbrella"}"#, 200),
    ("POST", "/login/", &[JSON, ("accept", "image/png")], b"{}", 406),
    ("POST", "/login/", &[("content-type", "text/plain")], b"x", 415),
    ("POST", "/refresh/", &[JSON], br#"{"refresh":"x"}"#, 401),
    ("POST", "/verify/", &[JSON], br#"{"token":"x"}"#, 400),
    ("OPTIONS", "/verify/", &[], b"", 200),
    ("PUT", "/verify", &[], b"", 405),
    ("GET", "/healthz", &[], b"", 200),
    ("POST", "/healthz", &[], b"", 405),
    ("GET", "/readyz", &[], b"", 200),
    ("GET", "/openapi.json", &[], b"", 200),
    ("GET", "/docs/", &[], b"", 200),
    ("GET", "/nothing-here", &[], b"", 404),
];

async fn with_docs() -> TestApp {
    let server = ServerSettings { docs: true, cors: Cors::AnyOrigin, ..ServerSettings::default() };
    TestApp::with(Settings { throttle: false, ..Settings::default() }, server).await
}

// HB-04, HB-06
#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let service = with_docs().await;
    for (method, path, headers, body, status) in WALK {
        let answer = service.send(method, path, headers, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("vary", "Accept, Origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{method} {path}: {answer:?}");
        }
        let html = path == "/docs/";
        let kind = if html { "text/html; charset=utf-8" } else { "application/json" };
        assert_eq!(answer.header("content-type"), Some(kind), "{method} {path}");
        let cache = if html { "no-cache" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), Some(cache), "{method} {path}");
        assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 16), "{answer:?}");
        assert_eq!(answer.header("set-cookie"), None, "HB-02: there are no cookies to abuse");
        assert_eq!(answer.header("server"), None, "HB-08");
        assert_eq!(answer.header("strict-transport-security"), None, "this client did not come by TLS");
    }
}

// HB-06: the headers of a request are its own, with the credentials that may be among them.
#[tokio::test]
async fn no_header_of_a_request_comes_back() {
    let service = with_docs().await;
    let secrets = [
        ("cookie", "session=not-yours"),
        ("x-custom", "not-yours"),
        ("access-control-allow-credentials", "not-yours"),
        ("authorization", "Bearer not-yours"),
    ];
    for (method, path, headers, body, _) in WALK {
        for given in [&secrets[..3], &secrets[..]] {
            let headers: Vec<_> = headers.iter().chain(given).copied().collect();
            let answer = service.send(method, path, &headers, body).await;
            let text = format!("{answer:?}");
            assert!(!text.contains("not-yours") && !text.contains("x-custom"), "{method} {path}: {text}");
        }
    }
}

// HB-04
#[tokio::test]
async fn clients_that_came_by_tls_are_told_to_stay_with_it() {
    let server =
        ServerSettings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..ServerSettings::default() };
    let mut service = TestApp::with(Settings::default(), server).await;
    let https = [("x-forwarded-proto", "https")];
    let hsts = |answer: Answer| answer.header("strict-transport-security").map(str::to_owned);
    assert_eq!(hsts(service.send("GET", "/healthz", &https, b"").await), None, "a stranger says so");
    service.peer = "10.0.0.1".parse().unwrap();
    let told = hsts(service.send("GET", "/healthz", &https, b"").await);
    assert_eq!(told.as_deref(), Some("max-age=31536000; includeSubDomains"));
    assert_eq!(hsts(service.send("GET", "/healthz", &[("x-forwarded-proto", "http")], b"").await), None);
}

// HB-08
#[tokio::test]
async fn only_declared_methods_are_allowed() {
    let service = with_docs().await;
    for path in ["/register/", "/login", "/auth/refresh/", "/auth/verify"] {
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "post"] {
            let answer = service.send(method, path, &[], b"").await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("POST, OPTIONS"), "{method} {path}");
            if method != "HEAD" {
                assert_eq!(answer.member("detail"), format!("Method \"{method}\" not allowed."));
            }
        }
    }
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs/"] {
        for method in ["POST", "PUT", "DELETE", "TRACE", "OPTIONS"] {
            let answer = service.send(method, path, &[], b"").await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET,HEAD"), "{method} {path}");
        }
    }
    let long = "A".repeat(5000);
    let answer = service.send(&long, "/verify/", &[], b"").await;
    assert!(answer.status == 405 && answer.body.len() < 200, "{answer:?}");
}

// As Django REST framework: 406 before 401 before 405 before 415 and 400.
#[tokio::test]
async fn refusals_have_an_order() {
    let service = TestApp::start().await;
    let (bearer, xml) = (("authorization", "Bearer x"), ("accept", "application/xml"));
    let status = async |method, headers: &[(&str, &str)]| {
        service.send(method, "/register/", headers, b"{").await.status
    };
    assert_eq!(status("GET", &[bearer, xml]).await, 406);
    assert_eq!(status("GET", &[bearer]).await, 401);
    assert_eq!(status("GET", &[]).await, 405);
    assert_eq!(status("OPTIONS", &[bearer]).await, 401);
    assert_eq!(status("POST", &[]).await, 415);
    assert_eq!(status("POST", &[JSON]).await, 400);
}

#[tokio::test]
async fn a_refused_token_has_the_status_that_was_chosen() {
    let body = br#"{"token":"x"}"#;
    let service = TestApp::start().await;
    let answer = service.send("POST", "/verify/", &[JSON], body).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (400, None));
    assert_eq!(answer.text(), r#"{"detail":"Token is invalid","code":"token_not_valid"}"#);
    let server = ServerSettings { verify_invalid_status: 401, ..ServerSettings::default() };
    let service = TestApp::with(Settings::default(), server).await;
    let answer = service.send("POST", "/verify/", &[JSON], body).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer realm=\"api\"")));
}

#[tokio::test]
async fn the_examples_of_the_api_document_work_verbatim() {
    let service = TestApp::start().await;
    let account = br#"{"username":"username","email":"user@example.com","password":"password"}"#;
    let created = service.send("POST", "/register/", &[JSON], account).await;
    assert_eq!(created.text(), r#"{"id":1,"username":"username","email":"user@example.com"}"#);
    let pair = service.login("username", "password").await;
    let refreshed = service.refresh(&pair.refresh).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let body = format!("{{\"token\":\"{}\"}}", pair.access);
    let verified = service.send("POST", "/verify/", &[JSON], body.as_bytes()).await;
    assert_eq!(verified.text(), "{}");
}
