use axum::response::Response;
use http::{Request, StatusCode};
use serde::Deserialize;
use service::Kind;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::call::Call;
use crate::edge::Context;
use crate::endpoint::{self, About, Admitted, Api};
use crate::error::Error;
use crate::extract::body::{Incoming, Oversize};

pub(crate) const ABOUT: About = About {
    name: "Token Verify",
    description: "Takes a token and indicates if it is valid.",
    reads_bearer: false,
    oversize: Oversize::Discard,
};

/// A token to be judged.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct VerifyRequest {
    /// An access or refresh token.
    token: String,
}

/// Whether a token is good: well signed, not expired, of a session that has not ended and of an active user.
#[utoipa::path(
    post,
    path = "/verify/",
    tag = "tokens",
    operation_id = "verify",
    request_body(content(
        (VerifyRequest = "application/json"),
        (VerifyRequest = "application/x-www-form-urlencoded"),
        (VerifyRequest = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "The token is good.", body = Object, example = json!({})),
        (status = 400, description = "The token is not good, or the request is faulty.",
         body = super::Faulty, example = json!({ "detail": "Token is invalid", "code": "token_not_valid" })),
        (status = 401, description = "As 400, when the operator chose this status for tokens that are not good.",
         body = super::Detail),
        (status = 503, description = "That cannot be told now; see Retry-After.", body = super::Detail),
    )
)]
pub(crate) async fn verify<B: Incoming>(api: &Api, context: Context, request: Request<B>) -> Response {
    match endpoint::admit(api, &ABOUT, context, request).await {
        Admitted::Call(call) => {
            let result = judge(api, &call).await;
            Admitted::respond(call, result)
        }
        Admitted::Answered(response) => response,
    }
}

async fn judge(api: &Api, call: &Call) -> Result<Answer, Error> {
    let token = call.token("token")?;
    match service::verify::verify(&api.app, &call.caller, &token).await {
        Ok(()) => Ok(Answer::empty_object()),
        Err(error) if error.kind == Kind::TokenInvalid => Err(Error::TokenRefused(api.refusal(), error)),
        Err(error) => Err(error.into()),
    }
}

impl Api {
    /// The status for a token that is not good.
    fn refusal(&self) -> StatusCode {
        match self.settings.verify_invalid_status {
            401 => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
