//! Limits of requests (IN-01), overload (DS-05), panics (LA-05) and the names of this machine.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use http_body_util::BodyExt;
use server::{Edge, ServerSettings};
use service::settings::Settings;
use testkit::app::TestApp;
use tokio::sync::Notify;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn request(path: &str) -> Request<Body> {
    Request::get(path).header("host", "localhost").body(Body::empty()).unwrap()
}

// IN-01
#[tokio::test]
async fn heads_have_a_size() {
    let service = TestApp::start().await;
    let path = |size: usize| format!("/healthz?{}", "a".repeat(size - "/healthz?".len()));
    assert_eq!(service.get(&path(8 * 1024)).await.status, 200);
    assert_eq!(service.get(&path(8 * 1024 + 1)).await.status, 414);
    let names: Vec<String> = (0..101).map(|n| format!("x-{n}")).collect();
    let of_count = |count| names.iter().take(count).map(|name| (name.as_str(), "a")).collect::<Vec<_>>();
    assert_eq!(service.send("GET", "/healthz", &of_count(99), b"").await.status, 200, "with the Host: 100");
    assert_eq!(service.send("GET", "/healthz", &of_count(100), b"").await.status, 431);
    assert_eq!(service.send("GET", "/healthz", &[("x", &"a".repeat(15 * 1024))], b"").await.status, 200);
    let refused = service.send("GET", "/healthz", &[("x", &"a".repeat(17 * 1024))], b"").await;
    assert_eq!((refused.status, refused.header("connection")), (431, Some("close")));
    assert_eq!(refused.header("x-content-type-options"), Some("nosniff"));
}

// IN-06
#[tokio::test]
async fn a_request_names_one_host() {
    let service = TestApp::start().await;
    assert_eq!(service.send("GET", "/healthz", &[("host", "a"), ("host", "b")], b"").await.status, 400);
    let edge = Edge::around(Router::new(), ServerSettings::default());
    let without = Request::get("/").body(Body::empty()).unwrap();
    assert_eq!(edge.handle(without, LOCAL).await.status(), 400);
}

#[tokio::test]
async fn the_development_mode_knows_only_this_machine() {
    let server = ServerSettings { loopback_hosts_only: true, ..ServerSettings::default() };
    let service = TestApp::with(Settings::default(), server).await;
    for (host, status) in
        [("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:8000", 200), ("evil.example", 400)]
    {
        assert_eq!(service.send("GET", "/healthz", &[("host", host)], b"").await.status, status, "{host}");
    }
    // A rebound name may not even ask what would be allowed.
    let preflight = [
        ("host", "evil.example"),
        ("origin", "http://evil.example"),
        ("access-control-request-method", "POST"),
    ];
    assert_eq!(service.send("OPTIONS", "/login/", &preflight, b"").await.status, 400);
}

// LA-05
#[tokio::test]
async fn a_panic_is_a_plain_error_and_nothing_else_suffers() {
    let router = Router::new()
        .route("/panic", get(async || -> &'static str { panic!("CANARY-in-a-panic") }))
        .route("/well", get(async || "well"));
    let edge = Edge::around(router, ServerSettings::default());
    let answer = edge.handle(request("/panic"), LOCAL).await;
    assert_eq!(answer.status(), 500);
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let length = answer.headers().get("content-length").cloned();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, format!(r#"{{"detail":"A server error occurred.","request_id":"{id}"}}"#));
    assert!(length.is_none_or(|length| length == body.len().to_string().as_str()));
    assert_eq!(edge.handle(request("/well"), LOCAL).await.status(), 200);
}

// DS-05
#[tokio::test]
async fn too_many_requests_at_once_are_told_to_come_back() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (signal, wait) = (Arc::clone(&entered), Arc::clone(&leave));
    let slow = move || {
        let (signal, wait) = (Arc::clone(&signal), Arc::clone(&wait));
        async move {
            signal.notify_one();
            wait.notified().await;
        }
    };
    let router = Router::new().route("/slow", get(slow)).route("/healthz", get(async || "well"));
    let edge = Edge::around(router, ServerSettings { max_in_flight: 1, ..ServerSettings::default() });
    let busy = tokio::spawn({
        let edge = edge.clone();
        async move { edge.handle(request("/slow"), LOCAL).await.status() }
    });
    entered.notified().await;
    let refused = edge.handle(request("/slow"), LOCAL).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(edge.handle(request("/healthz"), LOCAL).await.status(), 200, "the process lives");
    leave.notify_one();
    assert_eq!(busy.await.unwrap(), 200);

    // IN-02: a client that leaves frees its place.
    let left = tokio::spawn({
        let edge = edge.clone();
        async move { edge.handle(request("/slow"), LOCAL).await.status() }
    });
    entered.notified().await;
    left.abort();
    assert!(left.await.is_err());
    leave.notify_one();
    assert_eq!(edge.handle(request("/slow"), LOCAL).await.status(), 200);
}

// IN-02
#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_cut_off() {
    let router = Router::new().route("/hang", get(std::future::pending::<()>));
    let edge = Edge::around(router, ServerSettings::default());
    let answer = edge.handle(request("/hang"), LOCAL).await;
    assert_eq!(answer.status(), 503);
}
