use axum::extract::State;
use domain::field::{self, Field, FieldErrors};
use domain::password;
use http::StatusCode;
use serde::Deserialize;
use service::recovery::Whom;
use utoipa::ToSchema;

use super::login::LoginResponse;
use super::{password_field, token_field};
use crate::answer::Answer;
use crate::call::{Call, UserCall};
use crate::endpoint::Api;
use crate::error::Error;
use crate::extract::value::Value;

/// The password in force and a new one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct ChangePasswordRequest {
    #[schema(format = Password)]
    current_password: String,
    #[schema(min_length = 1, max_length = 128, format = Password)]
    new_password: String,
}

/// Changes the password. All sessions end, this one included; the answer has the tokens of a new one.
#[utoipa::path(
    post,
    path = "/password/change/",
    tag = "accounts",
    operation_id = "changePassword",
    request_body(content = ChangePasswordRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "Tokens of a new session, the only one.", body = LoginResponse),
        (status = 400, description = "The new password is refused, or the request is faulty.", body = super::Faulty),
        (status = 401, description = "There is no good access token.", body = super::Detail),
        (status = 403, description = "The current password is not right.", body = super::Detail),
        (status = 409, description = "The account was changed meanwhile.", body = super::Detail),
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
    let [current, new] = call.members(["current_password", "new_password"])?;
    let mut errors = FieldErrors::default();
    let current = errors.take("current_password", password_field(current));
    let new = errors.take("new_password", new_password_field(new));
    let (Some(current), Some(new)) = (current, new) else { return Err(errors.into()) };
    let pair = service::password::change(&api.app, &call.caller, who, &current, &new).await?;
    Ok(Answer::json(StatusCode::OK, &LoginResponse { refresh: pair.refresh, access: pair.access }))
}

/// Whose password is lost: one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
#[schema(min_properties = 1, max_properties = 1)]
pub(crate) struct ResetPasswordRequest {
    /// The name of the account, or
    #[schema(min_length = 1, max_length = 254, nullable = false)]
    username: Option<String>,
    /// its address.
    #[schema(min_length = 1, max_length = 254, nullable = false)]
    email: Option<String>,
}

/// Asks for a link that sets a new password. The answer is the same whether there is such an account or not, and takes the same time.
/// An account gets one link in five minutes at most.
#[utoipa::path(
    post,
    path = "/password/reset/",
    tag = "accounts",
    operation_id = "resetPassword",
    request_body(content = ResetPasswordRequest, content_type = "application/json"),
    responses(
        (status = 202, description = "If there is such an account with an address, the link is sent there.",
         body = Object, example = json!({})),
        (status = 400, description = "The request is faulty.", body = super::Faulty),
        (status = 409, description = "This installation sends no mail.", body = super::Detail),
        (status = 415, description = "The body is not JSON.", body = super::Detail),
        (status = 429, description = "Too many requests; see Retry-After.", body = super::Detail),
        (status = 503, description = "The database is not available; see Retry-After.", body = super::Detail),
    )
)]
pub(crate) async fn reset(State(api): State<Api>, call: Call) -> Result<Answer, Error> {
    let whom = match call.members(["username", "email"])? {
        [username, Value::Missing] => Whom::Username(name_field("username", username)?),
        [Value::Missing, email] => Whom::Email(name_field("email", email)?),
        _ => return Err(FieldErrors::of("email", vec!["Send the name or the address only.".into()]).into()),
    };
    service::recovery::request(&api.app, &call.caller, whom).await?;
    Ok(Answer::accepted())
}

/// The token of a link and a new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct ConfirmResetRequest {
    /// What stands behind `#token=` in the link.
    #[schema(min_length = 1, max_length = 128)]
    token: String,
    #[schema(min_length = 1, max_length = 128, format = Password)]
    new_password: String,
}

/// Sets a new password with the token of a link, once. All sessions end, every other link ends, and nobody is logged in by it.
#[utoipa::path(
    post,
    path = "/password/reset/confirm/",
    tag = "accounts",
    operation_id = "confirmPasswordReset",
    request_body(content = ConfirmResetRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "The password is set.", body = Object, example = json!({})),
        (status = 400, description = "The token is not valid any more, or the password is refused.", body = super::Faulty),
        (status = 415, description = "The body is not JSON.", body = super::Detail),
        (status = 429, description = "Too many attempts; see Retry-After.", body = super::Detail),
        (status = 503, description = "The service cannot do it now; see Retry-After.", body = super::Detail),
    )
)]
pub(crate) async fn confirm_reset(State(api): State<Api>, call: Call) -> Result<Answer, Error> {
    let [token, new] = call.members(["token", "new_password"])?;
    let mut errors = FieldErrors::default();
    let token = errors.take("token", token_field(token));
    let new = errors.take("new_password", new_password_field(new));
    let (Some(token), Some(new)) = (token, new) else { return Err(errors.into()) };
    service::recovery::confirm(&api.app, &call.caller, &token, &new).await?;
    Ok(Answer::empty_object())
}

/// A new password; what it must satisfy is looked at by the use case.
fn new_password_field(value: Value<'_>) -> Field {
    value.text_or(field::NOT_A_STRING, password::messages_with_surrogate).map(std::borrow::Cow::into_owned)
}

/// The longest text that a name or an address can be, in characters; no more is kept of what anybody sends.
const MAX_NAME: usize = 254;

fn name_field(name: &'static str, value: Value<'_>) -> Result<String, Error> {
    let text = value.char_field().and_then(|text| match text.chars().count() > MAX_NAME {
        true => Err(vec![field::too_long(MAX_NAME)]),
        false => Ok(text),
    });
    text.map_err(|messages| FieldErrors::of(name, messages).into())
}
