use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::endpoint::Api;
use crate::error::Error;

/// How it goes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the process answers. Says nothing of the database.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    operation_id = "healthz",
    responses((status = 200, description = "The process answers.", body = Health))
)]
pub(crate) async fn healthz() -> Response {
    Answer::json(StatusCode::OK, &Health { status: "ok" }).into_response()
}

/// Whether the service can do its work: the database takes writes, and what is known of ended sessions is fresh.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    operation_id = "readyz",
    responses(
        (status = 200, description = "Ready.", body = Health),
        (status = 503, description = "Not ready; see Retry-After.", body = super::Detail),
    )
)]
pub(crate) async fn readyz(State(api): State<Api>) -> Response {
    match service::health::ready(&api.app).await {
        Ok(()) => Answer::json(StatusCode::OK, &Health { status: "ok" }).into_response(),
        Err(error) => Error::from(error).into_response(),
    }
}
