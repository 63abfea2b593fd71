use axum::extract::State;
use domain::field::FieldErrors;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::call::Call;
use crate::endpoint::Api;
use crate::error::Error;
use crate::extract::value::Value;

/// A token of the session that is to end.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct LogoutRequest {
    /// A refresh token, or
    #[schema(nullable = false)]
    refresh: Option<String>,
    /// an access token. Without either, the token of the Authorization header is meant.
    #[schema(nullable = false)]
    access: Option<String>,
}

/// Ends a session: the token's own. Ending what has ended already is no failure.
#[utoipa::path(
    post,
    path = "/logout/",
    tag = "sessions",
    operation_id = "logout",
    request_body(content = LogoutRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "The session has ended.", body = Object, example = json!({})),
        (status = 400, description = "The request is faulty.", body = super::Faulty),
        (status = 401, description = "The token is not good.", body = super::Detail),
        (status = 409, description = "The token names no session: one of the replaced service.", body = super::Detail),
        (status = 415, description = "The body is not JSON.", body = super::Detail),
        (status = 503, description = "The database is not available; see Retry-After.", body = super::Detail),
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn logout(State(api): State<Api>, call: Call) -> Result<Answer, Error> {
    let token = token(&call)?;
    service::logout::logout(&api.app, &call.caller, &token).await.map_err(Error::of_bearer)?;
    Ok(Answer::empty_object())
}

/// Ends all sessions of the token's user, this one included.
#[utoipa::path(
    post,
    path = "/logout/all/",
    tag = "sessions",
    operation_id = "logoutAll",
    request_body(content = LogoutRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "All sessions of the user have ended.", body = Object, example = json!({})),
        (status = 400, description = "The request is faulty.", body = super::Faulty),
        (status = 401, description = "The token is not good.", body = super::Detail),
        (status = 403, description = "The token is of an API key.", body = super::Detail),
        (status = 415, description = "The body is not JSON.", body = super::Detail),
        (status = 503, description = "The service cannot do it now; see Retry-After.", body = super::Detail),
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn logout_all(State(api): State<Api>, call: Call) -> Result<Answer, Error> {
    let token = token(&call)?;
    service::logout::logout_all(&api.app, &call.caller, &token).await.map_err(Error::of_bearer)?;
    Ok(Answer::empty_object())
}

/// The one token of a request: in the body, or else in the Authorization header.
fn token(call: &Call) -> Result<String, Error> {
    let [refresh, access] = call.members(["refresh", "access"])?;
    let (field, value) = match (refresh, access) {
        (Value::Missing, Value::Missing) => return call.bearer_token()?.ok_or(Error::NoCredentials),
        (refresh, Value::Missing) => ("refresh", refresh),
        (Value::Missing, access) => ("access", access),
        _ => return Err(FieldErrors::of("access", vec!["Send one token only.".into()]).into()),
    };
    value.char_field().map_err(|messages| FieldErrors::of(field, messages).into())
}
