use axum::response::Response;
use domain::field::FieldErrors;
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use service::login::Input;
use utoipa::ToSchema;

use super::password_field;
use crate::answer::Answer;
use crate::call::Call;
use crate::edge::Context;
use crate::endpoint::{self, About, Admitted, Api};
use crate::error::Error;
use crate::extract::body::{Incoming, Oversize};

pub(crate) const ABOUT: About = About {
    name: "Token Obtain Pair",
    description: "Takes a set of user credentials and returns an access and refresh JSON web\n\
                  token pair to prove the authentication of those credentials.",
    reads_bearer: false,
    oversize: Oversize::Refuse,
};

/// A name and its password.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct LoginRequest {
    #[schema(example = "username")]
    username: String,
    #[schema(example = "password", format = Password)]
    password: String,
}

/// The tokens of a new session.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoginResponse {
    /// Gives new tokens at /refresh/; keep it secret.
    pub(super) refresh: String,
    /// For the other services; short-lived.
    pub(super) access: String,
}

/// Tokens for a name and its password.
#[utoipa::path(
    post,
    path = "/login/",
    tag = "tokens",
    operation_id = "login",
    request_body(content(
        (LoginRequest = "application/json"),
        (LoginRequest = "application/x-www-form-urlencoded"),
        (LoginRequest = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "Tokens of a new session.", body = LoginResponse),
        (status = 400, description = "The request is faulty.", body = super::Faulty),
        (status = 401, description = "Unknown name, wrong password or disabled account.", body = super::Detail,
         example = json!({ "detail": "No active account found with the given credentials" })),
        (status = 429, description = "Too many attempts; see Retry-After.", body = super::Detail),
        (status = 503, description = "Too many passwords are being checked; see Retry-After.", body = super::Detail),
    )
)]
pub(crate) async fn login<B: Incoming>(api: &Api, context: Context, request: Request<B>) -> Response {
    match endpoint::admit(api, &ABOUT, context, request).await {
        Admitted::Call(call) => {
            let result = give(api, &call).await;
            Admitted::respond(call, result)
        }
        Admitted::Answered(response) => response,
    }
}

async fn give(api: &Api, call: &Call) -> Result<Answer, Error> {
    let [username, password] = call.fields(["username", "password"])?;
    let mut errors = FieldErrors::default();
    let username = errors.take("username", username.char_field());
    let password = errors.take("password", password_field(password));
    let (Some(username), Some(password)) = (username, password) else { return Err(errors.into()) };
    let pair = service::login::login(&api.app, &call.caller, Input { username, password }).await?;
    Ok(Answer::json(StatusCode::OK, &LoginResponse { refresh: pair.refresh, access: pair.access }))
}
