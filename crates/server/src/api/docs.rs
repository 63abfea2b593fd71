//! The OpenAPI document, and the page that shows it. Everything the page loads is in the binary.

use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

use crate::answer::Answer;
use crate::endpoint::Api;
use crate::error::Error;

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Scripts only from here; the viewer sets style attributes and draws inline images (HB-05).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| bytes(&crate::openapi::document()));
static WITHOUT_ADMIN: LazyLock<Bytes> = LazyLock::new(|| bytes(&crate::openapi::document_without_admin()));

fn bytes(document: &OpenApi) -> Bytes {
    serde_json::to_vec(document).map(Bytes::from).unwrap_or_default()
}

/// The document tells of the routes that are there.
pub(crate) async fn openapi(State(api): State<Api>) -> Response {
    let document = if api.settings.admin { &DOCUMENT } else { &WITHOUT_ADMIN };
    Answer::text(StatusCode::OK, Bytes::clone(document)).into_response()
}

/// The viewer's links are relative, so its page needs the slash.
pub(crate) async fn redirect() -> Redirect {
    Redirect::permanent("/docs/")
}

pub(crate) async fn page() -> Response {
    asset("index.html")
}

pub(crate) async fn file(Path(name): Path<String>) -> Response {
    asset(&name)
}

fn asset(name: &str) -> Response {
    let config = Arc::new(Config::from("../openapi.json"));
    let Ok(Some(file)) = utoipa_swagger_ui::serve(name, config) else {
        return Error::NotFound.into_response();
    };
    let mut response = Response::new(Body::from(file.bytes.into_owned()));
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(&with_charset(&file.content_type)) {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn with_charset(kind: &str) -> String {
    if kind.starts_with("text/") { format!("{kind}; charset=utf-8") } else { kind.to_owned() }
}
