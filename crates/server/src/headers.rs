//! The headers that every answer carries (HB-04, HB-06).

use axum::body::Body;
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, VARY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::error::Cause;
use crate::request_id::X_REQUEST_ID;

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// So many headers at most are added here.
const COUNT: usize = 8;

/// Headers of an ordinary answer. Answers may hold tokens or personal data, so none is stored unless its handler says so.
/// Strict-Transport-Security is sent only to clients that came by TLS: others must ignore it (RFC 6797 section 7.2).
pub(crate) fn secure(id: HeaderValue, https: bool, headers: &mut HeaderMap) {
    headers.reserve(COUNT);
    headers.insert(X_REQUEST_ID, id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(VARY, HeaderValue::from_static("Accept, Origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if https {
        let year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
}

/// Headers of the answer to a preflight: it has no content that they could protect.
pub(crate) fn preflight(id: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(X_REQUEST_ID, id);
    headers.insert(VARY, HeaderValue::from_static("Origin"));
}

#[derive(Serialize)]
struct Fault<'a> {
    detail: &'static str,
    request_id: &'a str,
}

/// Logs the cause of a failure of ours, once. The answer to a fault (500) names the request, so that it can be found.
pub(crate) fn server_error(id: &HeaderValue, mut response: Response) -> Response {
    let request_id = id.to_str().unwrap_or_default();
    let cause = response.extensions_mut().remove::<Cause>();
    let status = response.status().as_u16();
    match cause {
        Some(Cause(cause)) => {
            tracing::error!(
                request.id = request_id,
                http.status = status,
                error = chain(&*cause),
                "request failed"
            );
        }
        None if status == 500 => {
            tracing::error!(request.id = request_id, http.status = status, "request handler panicked");
        }
        None => {}
    }
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
        let fault = Fault { detail: "A server error occurred.", request_id };
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *response.body_mut() = Body::from(serde_json::to_vec(&fault).unwrap_or_default());
    }
    response
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
