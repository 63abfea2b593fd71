//! Answers in JSON.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

/// Room for the headers that an answer gets on its way out, so that the map grows only once.
const HEADERS: usize = 14;

/// An answer with a JSON body.
pub(crate) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => json_bytes(status, body.into()),
        // Our answers are plain data; a type that cannot be written is a fault of ours.
        Err(_) => json_bytes(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new()),
    }
}

/// An answer with a body that is JSON already.
pub(crate) fn json_bytes(status: StatusCode, body: Bytes) -> Response {
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
