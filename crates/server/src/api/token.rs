use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use service::api_key::{Refusal, exchange};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::call::Call;
use crate::endpoint::Api;
use crate::error::Error;
use crate::extract::value::Value;

/// An API key to be exchanged.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; parameters are read one by one")]
pub(crate) struct TokenRequest {
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// Permissions with spaces between them; without it all that the key may.
    #[schema(nullable = false)]
    scope: Option<String>,
    /// The key's id, unless it is in an Authorization header (Basic).
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// The key, likewise.
    #[schema(nullable = false)]
    client_secret: Option<String>,
}

/// An access token for a key (RFC 6749 section 5.1).
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenResponse {
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    /// What it is limited to: of what was asked for, what the key's account may now.
    scope: String,
}

/// Exchanges an API key for a short-lived access token (RFC 6749 section 4.4). There is no refresh token.
#[utoipa::path(
    post,
    path = "/token/",
    tag = "services",
    operation_id = "token",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token.", body = TokenResponse),
        (status = 400, description = "The request is faulty (`invalid_request`, `unsupported_grant_type`), or asks for more \
         than the key may (`invalid_scope`).", body = super::OAuthError),
        (status = 401, description = "The key is not good.", body = super::OAuthError,
         example = json!({ "error": "invalid_client" })),
        (status = 413, description = "The body is too large.", body = super::Detail),
        (status = 429, description = "Too many attempts; see Retry-After.", body = super::Detail),
        (status = 503, description = "The service cannot do it now; see Retry-After.", body = super::Detail),
    ),
    security(("service" = []))
)]
pub(crate) async fn token(State(api): State<Api>, call: Call) -> Result<Answer, Error> {
    let [grant, scope, id, secret] =
        call.parameters(["grant_type", "scope", "client_id", "client_secret"])?.map(text);
    let (id, secret) = client(call.headers(), id, secret)?;
    match grant.as_deref() {
        Some("client_credentials") => {}
        None => return Err(Error::InvalidParameters("The parameter grant_type is missing.".into())),
        Some(_) => return Err(Error::OAuth("unsupported_grant_type")),
    }
    match exchange(&api.app, &call.caller, &id, &secret, scope.as_deref()).await? {
        Ok(given) => {
            let answer = TokenResponse {
                access_token: given.access,
                token_type: "Bearer",
                expires_in: given.expires_in.as_secs(),
                scope: given.scope.to_string(),
            };
            Ok(Answer::json(StatusCode::OK, &answer))
        }
        Err(Refusal::Client) => Err(Error::InvalidClient),
        Err(Refusal::Scope) => Err(Error::OAuth("invalid_scope")),
    }
}

/// Id and key, from the header or from the body, in one way only (RFC 6749 section 2.3).
fn client(
    headers: &HeaderMap,
    id: Option<String>,
    secret: Option<String>,
) -> Result<(String, String), Error> {
    if !headers.contains_key(AUTHORIZATION) {
        return id.zip(secret).ok_or(Error::InvalidClient);
    }
    if secret.is_some() {
        return Err(Error::InvalidParameters("Authenticate in one way only.".into()));
    }
    let known = basic(headers).ok_or(Error::InvalidClient)?;
    let same = id.is_none_or(|id| id == known.0);
    if same { Ok(known) } else { Err(Error::InvalidClient) }
}

/// RFC 7617. Neither ids nor keys have characters that form encoding would change.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn text(value: Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.text.into_owned()),
        _ => None,
    }
}
