//! HB-03: which pages of other origins may read answers.

use server::{Cors, ServerSettings};
use service::settings::Settings;
use testkit::app::TestApp;
use testkit::http::Answer;

async fn service(cors: Cors) -> TestApp {
    TestApp::with(Settings::default(), ServerSettings { cors, ..ServerSettings::default() }).await
}

async fn ask(service: &TestApp, method: &str, origin: &str) -> Answer {
    let preflight = ("access-control-request-method", "POST");
    let headers: &[(&str, &str)] =
        if method == "OPTIONS" { &[("origin", origin), preflight] } else { &[("origin", origin)] };
    service.send(method, "/login/", headers, b"").await
}

fn cors_headers(answer: &Answer) -> Vec<&str> {
    let cors = answer.headers.iter().filter(|(name, _)| name.starts_with("access-control-"));
    cors.map(|(name, _)| name.as_str()).collect()
}

// HB-03
#[tokio::test]
async fn a_list_names_only_what_is_listed() {
    let service = service(Cors::List(vec!["https://shop.example".to_owned()])).await;
    for method in ["POST", "OPTIONS"] {
        let answer = ask(&service, method, "https://shop.example").await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert!(answer.header("vary").is_some_and(|vary| vary.contains("Origin")), "{answer:?}");
        for origin in [
            "null",
            "https://evil.example",
            "https://shop.example.evil.example",
            "https://evil-shop.example",
            "http://shop.example",
            "https://shop.example:444",
            "https://shop.example/",
            "HTTPS://SHOP.EXAMPLE",
            "https://shop.example https://evil.example",
            "*",
            "",
        ] {
            let answer = ask(&service, method, origin).await;
            assert_eq!(cors_headers(&answer), [""; 0], "{method} {origin}");
            assert!(answer.header("vary").is_some_and(|vary| vary.contains("Origin")), "{answer:?}");
        }
    }
}

// HB-03
#[tokio::test]
async fn any_origin_is_a_star_without_credentials() {
    let service = service(Cors::AnyOrigin).await;
    for origin in ["https://evil.example", "null"] {
        for method in ["POST", "OPTIONS"] {
            let answer = ask(&service, method, origin).await;
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{origin}");
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
    }
}

#[tokio::test]
async fn preflights_are_answered_everywhere() {
    let service = service(Cors::AnyOrigin).await;
    for path in ["/login/", "/nothing-here", "/healthz", "/"] {
        let headers = [
            ("origin", "https://a.example"),
            ("access-control-request-method", "POST"),
            ("authorization", "Bearer x"),
            ("accept", "image/png"),
        ];
        let answer = service.send("OPTIONS", path, &headers, b"").await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
        assert_eq!(answer.header("access-control-allow-methods"), Some("*"));
        assert_eq!(answer.header("access-control-max-age"), Some("86400"));
    }
    // Errors can be read by scripts as well.
    let refused = ask(&service, "POST", "https://a.example").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (400, Some("*")));
}
