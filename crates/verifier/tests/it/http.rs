//! The tower layer and the extractor.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use tower::ServiceExt as _;
use verifier::Claims;
use verifier::tower::BearerLayer;

use crate::service::{Answer, JWKS, Service, claims, claims_but};
use crate::signer::Signer;

async fn who(claims: Claims) -> String {
    claims.subject().to_owned()
}

fn app(service: &Service) -> Router {
    Router::new().route("/", get(who)).layer(BearerLayer::new(service.verifier()))
}

async fn answer(app: &Router, authorization: &[&str]) -> Response<Body> {
    let mut request = Request::get("/?access_token=x");
    for value in authorization {
        request = request.header("authorization", *value);
    }
    app.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer")
}

fn challenge(response: &Response<Body>) -> Option<&str> {
    response.headers().get("www-authenticate").and_then(|value| value.to_str().ok())
}

async fn body(response: Response<Body>) -> Vec<u8> {
    axum::body::to_bytes(response.into_body(), 1_024).await.expect("a body").to_vec()
}

#[tokio::test]
async fn a_good_token_gets_through() {
    let signer = Signer::ed("k");
    let app = app(&Service::start(&[&signer]).await);
    let token = signer.access(&claims());
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let response = answer(&app, &[&format!("{scheme} {token}")]).await;
        assert_eq!(response.status(), StatusCode::OK, "{scheme}");
        assert_eq!(body(response).await, b"42");
    }
}

// TK-13: the answer does not say what is wrong with a token.
#[tokio::test]
async fn bad_tokens_all_get_the_same_answer() {
    let signer = Signer::ed("k");
    let app = app(&Service::start(&[&signer]).await);
    let good = format!("Bearer {}", signer.access(&claims()));
    let expired = format!("Bearer {}", signer.access(&claims_but("exp", 1.into())));
    let refresh = format!("Bearer {}", signer.access(&claims_but("token_type", "refresh".into())));
    let forged = format!("Bearer {}", Signer::ed("k").access(&claims()));
    let unknown = format!("Bearer {}", Signer::ed("other").access(&claims()));
    for values in [
        &["Bearer x"][..],
        &["Bearer "],
        &[expired.as_str()],
        &[refresh.as_str()],
        &[forged.as_str()],
        &[unknown.as_str()],
        &[good.as_str(), good.as_str()],
    ] {
        let response = answer(&app, values).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{values:?}");
        assert_eq!(challenge(&response), Some("Bearer error=\"invalid_token\""), "{values:?}");
        assert_eq!(body(response).await, b"");
    }
}

// RFC 6750 section 3.1: without credentials the answer names no error.
#[tokio::test]
async fn without_a_token_the_answer_asks_for_one() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let layered = app(&service);
    for values in [&[][..], &["Basic eDp5"], &["Bearer"], &[""]] {
        let response = answer(&layered, values).await;
        assert_eq!((response.status(), challenge(&response)), (StatusCode::UNAUTHORIZED, Some("Bearer")));
    }
    // A route that was left outside the layer refuses everybody.
    let bare = Router::new().route("/", get(who));
    let response = answer(&bare, &[&format!("Bearer {}", signer.access(&claims()))]).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_cannot_be_decided_is_503() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let app = app(&service);
    let token = format!("Bearer {}", signer.access(&claims()));
    service.tell(JWKS, Answer::status(500));
    let response = answer(&app, &[&token]).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((challenge(&response), response.headers().get("retry-after").is_some()), (None, true));
    service.publish(&[&signer], 300);
    service.pass(std::time::Duration::from_secs(1));
    let with_status = format!("Bearer {}", signer.access(&service.claims_with_status(1)));
    assert_eq!(answer(&app, &[&token]).await.status(), StatusCode::OK);
    assert_eq!(answer(&app, &[&with_status]).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}
