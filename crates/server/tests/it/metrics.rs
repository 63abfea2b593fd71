//! Metrics: on their own listener (KY-06), bounded in number (DS-03).

use std::net::{IpAddr, Ipv4Addr};

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use server::{Edge, ServerSettings};
use testkit::app::TestApp;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn send(edge: &Edge, method: &str, path: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let answer = edge.handle(request.body(Body::empty()).unwrap(), LOCAL).await;
    let status = answer.status().as_u16();
    (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

// KY-06, DS-03
#[tokio::test]
async fn metrics_count_requests_by_route_and_status() {
    let service = TestApp::start().await;
    let edge = server::router(service.app.clone(), ServerSettings::default());
    let metrics = server::metrics_router(service.app.clone(), &edge);
    for path in ["/metrics", "/debug", "/healthz?full"] {
        let status = send(&edge, "GET", path).await.0;
        assert_eq!(status, if path.starts_with("/healthz") { 200 } else { 404 }, "{path}");
    }
    send(&edge, "GET", "/auth/verify").await;
    let (status, text) = send(&metrics, "GET", "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "bookstore_auth_http_requests_total{route=\"/verify/\",status=\"405\"} 1",
        "bookstore_auth_http_requests_total{route=\"unknown\",status=\"404\"} 2",
        "bookstore_auth_http_request_duration_seconds_count{route=\"/healthz\"} 1",
        "bookstore_auth_logins_total 0",
        "bookstore_auth_password_jobs_running 0",
        "bookstore_auth_login_storms_total 0",
        "bookstore_auth_login_storm 0",
        "bookstore_auth_audit_waiting 0",
        "bookstore_auth_mails_withheld_total 0",
    ] {
        assert!(text.lines().any(|shown| shown.starts_with(line)), "{line}\n{text}");
    }
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let before = series(&text);
    for number in 0..1000 {
        send(&edge, "GET", &format!("/{number}")).await;
        send(&edge, &format!("M{number}"), "/unknown").await;
    }
    assert_eq!(series(&send(&metrics, "GET", "/metrics").await.1), before, "clients cannot make series");
}
