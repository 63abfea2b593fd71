use axum::response::Response;
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::call::Call;
use crate::edge::Context;
use crate::endpoint::{self, About, Admitted, Api};
use crate::error::Error;
use crate::extract::body::{Incoming, Oversize};

pub(crate) const ABOUT: About = About {
    name: "Token Refresh",
    description: "Takes a refresh token and returns an access token if the refresh token is valid.",
    reads_bearer: false,
    oversize: Oversize::Discard,
};

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct RefreshRequest {
    refresh: String,
}

/// New tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefreshResponse {
    /// For the other services; short-lived.
    access: String,
    /// The next refresh token, while rotation is on; the one that was sent is spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh: Option<String>,
}

/// New tokens for a refresh token. The same token sent again within the grace window gets the same answer; later it ends
/// the session.
#[utoipa::path(
    post,
    path = "/refresh/",
    tag = "tokens",
    operation_id = "refresh",
    request_body(content(
        (RefreshRequest = "application/json"),
        (RefreshRequest = "application/x-www-form-urlencoded"),
        (RefreshRequest = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "New tokens.", body = RefreshResponse),
        (status = 400, description = "The request is faulty.", body = super::Faulty),
        (status = 401, description = "The token is not good.",
         body = super::Detail, example = json!({ "detail": "Token is invalid", "code": "token_not_valid" })),
        (status = 503, description = "The database is not available; see Retry-After.", body = super::Detail),
    )
)]
pub(crate) async fn refresh<B: Incoming>(api: &Api, context: Context, request: Request<B>) -> Response {
    match endpoint::admit(api, &ABOUT, context, request).await {
        Admitted::Call(call) => {
            let result = give(api, &call).await;
            Admitted::respond(call, result)
        }
        Admitted::Answered(response) => response,
    }
}

async fn give(api: &Api, call: &Call) -> Result<Answer, Error> {
    let token = call.token("refresh")?;
    let refreshed = service::refresh::refresh(&api.app, &call.caller, &token).await?;
    let answer = RefreshResponse { access: refreshed.access, refresh: refreshed.refresh };
    Ok(Answer::json(StatusCode::OK, &answer))
}
