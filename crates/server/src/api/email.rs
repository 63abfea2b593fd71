use axum::extract::State;
use domain::field::FieldErrors;
use serde::Deserialize;
use service::email::Proof;
use utoipa::ToSchema;

use super::{password_field, token_field};
use crate::answer::Answer;
use crate::call::{Call, UserCall, login_of};
use crate::endpoint::Api;
use crate::error::Error;
use crate::extract::value::Value;

/// Sends a link that proves the account's address, if that is not proved. At most one a minute.
#[utoipa::path(
    post,
    path = "/email/verify/",
    tag = "accounts",
    operation_id = "verifyEmail",
    responses(
        (status = 202, description = "It is sent, unless the address is proved, or has had many mails lately.", body = Object, example = json!({})),
        (status = 400, description = "The account has no address, or the body is not empty.", body = super::Faulty),
        (status = 401, description = "There is no good access token.", body = super::Detail),
        (status = 403, description = "The token is of an API key.", body = super::Detail),
        (status = 409, description = "This installation sends no mail.", body = super::Detail),
        (status = 429, description = "Too many requests; see Retry-After.", body = super::Detail),
        (status = 503, description = "The service cannot do it now; see Retry-After.", body = super::Detail),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn send(State(api): State<Api>, UserCall { who, call }: UserCall) -> Result<Answer, Error> {
    let [] = call.members([])?;
    service::email::send(&api.app, &call.caller, who).await?;
    Ok(Answer::accepted())
}

/// The token of a link, and who uses it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct ConfirmEmailRequest {
    /// What stands behind `#token=` in the link.
    #[schema(min_length = 1, max_length = 128)]
    token: String,
    /// The account's password; not needed with an access token of the account.
    #[schema(format = Password, nullable = false)]
    password: Option<String>,
}

/// Proves an address: the one of the account, or the one that it is to have. A link counts together with an access token of the
/// account, or with its password; who has the mailbox but not the password sets a new one instead (/password/reset/), which proves
/// the address too.
#[utoipa::path(
    post,
    path = "/email/verify/confirm/",
    tag = "accounts",
    operation_id = "confirmEmail",
    request_body(content = ConfirmEmailRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "It is proved.", body = Object, example = json!({})),
        (status = 400, description = "The token is not valid any more, or the request is faulty.", body = super::Faulty),
        (status = 401, description = "The access token is not good.", body = super::Detail),
        (status = 403, description = "The password is not right.", body = super::Detail),
        (status = 409, description = "Another account has proved the address.", body = super::Detail),
        (status = 415, description = "The body is not JSON.", body = super::Detail),
        (status = 429, description = "Too many attempts; see Retry-After.", body = super::Detail),
        (status = 503, description = "The service cannot do it now; see Retry-After.", body = super::Detail),
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn confirm(State(api): State<Api>, call: Call) -> Result<Answer, Error> {
    let [token, password] = call.members(["token", "password"])?;
    let mut errors = FieldErrors::default();
    let token = errors.take("token", token_field(token));
    let bearer = call.bearer_token()?;
    let password = match (password, &bearer) {
        (Value::Missing, Some(_)) => None,
        (password, _) => errors.take("password", password_field(password)),
    };
    let (Some(token), true) = (token, errors.is_empty()) else { return Err(errors.into()) };
    let proof = match (&password, &bearer) {
        (Some(password), _) => Proof::Password(password),
        (None, Some(bearer)) => Proof::Session(login_of(&api, &call.caller, bearer).await?),
        (None, None) => return Err(errors.into()),
    };
    service::email::confirm(&api.app, &call.caller, &token, proof).await?;
    Ok(Answer::empty_object())
}

/// Another address for the account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct ChangeEmailRequest {
    #[schema(example = "new@example.com", max_length = 254)]
    email: String,
    #[schema(format = Password)]
    current_password: String,
}

/// Asks for another address. A link goes there; until it is used (/email/verify/confirm/) the old address stays, and is told.
#[utoipa::path(
    post,
    path = "/email/change/",
    tag = "accounts",
    operation_id = "changeEmail",
    request_body(content = ChangeEmailRequest, content_type = "application/json"),
    responses(
        (status = 202, description = "The link is sent.", body = Object, example = json!({})),
        (status = 400, description = "The request is faulty.", body = super::Faulty),
        (status = 401, description = "There is no good access token.", body = super::Detail),
        (status = 403, description = "The password is not right.", body = super::Detail),
        (status = 409, description = "This installation sends no mail, or the account was changed meanwhile.", body = super::Detail),
        (status = 415, description = "The body is not JSON.", body = super::Detail),
        (status = 429, description = "Too many attempts; see Retry-After.", body = super::Detail),
        (status = 503, description = "The service cannot do it now; see Retry-After.", body = super::Detail),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn change(
    State(api): State<Api>,
    UserCall { who, call }: UserCall,
) -> Result<Answer, Error> {
    let [email, current] = call.members(["email", "current_password"])?;
    let mut errors = FieldErrors::default();
    let email = errors.take("email", email.char_field());
    let current = errors.take("current_password", password_field(current));
    let (Some(email), Some(current)) = (email, current) else { return Err(errors.into()) };
    service::email::change(&api.app, &call.caller, who, &email, &current).await?;
    Ok(Answer::accepted())
}
