//! Answers in JSON.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

/// A status and a JSON body.
pub(crate) struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Answer {
    /// With a value that is written as JSON.
    pub(crate) fn json<T: Serialize>(status: StatusCode, body: &T) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => Self::text(status, body.into()),
            // Our answers are plain data; a type that cannot be written is a fault of ours.
            Err(_) => Self::text(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new()),
        }
    }

    /// With a text that is JSON already.
    pub(crate) const fn text(status: StatusCode, body: Bytes) -> Self {
        Self { status, body }
    }

    /// `{}`: done, and there is nothing to say.
    pub(crate) const fn empty_object() -> Self {
        Self::text(StatusCode::OK, Bytes::from_static(b"{}"))
    }

    /// `{}`: it will be done, as far as there is anything to do.
    pub(crate) const fn accepted() -> Self {
        Self::text(StatusCode::ACCEPTED, Bytes::from_static(b"{}"))
    }

    /// The response, in a map of headers that is used again: what was in it goes.
    pub(crate) fn into_response_in(self, mut headers: HeaderMap) -> Response {
        headers.clear();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        self.into_response_in(HeaderMap::new())
    }
}
