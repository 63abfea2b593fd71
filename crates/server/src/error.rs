//! The one place where failures become answers, in the shapes of Django REST framework.
//!
//! | failure | status | body |
//! |---|---|---|
//! | faulty fields | 400 | `{"field": ["message"]}` |
//! | a body that is no object | 400 | `{"non_field_errors": ["message"]}` |
//! | a token that is not good | 401 | `{"detail": "..", "code": "token_not_valid"}` |
//! | anything else | its own | `{"detail": ".."}` and a `code` where the clients know one |
//!
//! Answers of 401 carry `WWW-Authenticate`, those of 429 and 503 `Retry-After`. The cause of a fault of ours goes along
//! as an extension of the response; the edge logs it once and shows nothing of it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use domain::field::FieldErrors;
use http::header::{CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use service::Kind;

use crate::answer::Answer;
use crate::call::CHALLENGE;

/// Why a request is not answered as it wished.
#[derive(Debug)]
pub(crate) enum Error {
    /// The use case said no.
    Service(service::Error),
    /// A token to be judged is not good; the status is a setting.
    TokenRefused(StatusCode, service::Error),
    /// Fields of the request are faulty.
    Invalid(FieldErrors),
    /// The body is JSON but no object.
    NonField(Cow<'static, str>),
    /// The request or its body cannot be read.
    Malformed(Cow<'static, str>),
    /// The Authorization header is not `Bearer` and a token.
    BadAuthorizationHeader,
    /// There is no Authorization header where one is needed.
    NoCredentials,
    /// The token of the Authorization header is not good, whatever is wrong with it.
    InvalidToken,
    /// The token is of an API key, where one of a login is wanted.
    ForLoginsOnly,
    /// Not one of the services of the configuration.
    InvalidClient,
    /// The parameters of an OAuth request are faulty.
    InvalidParameters(Cow<'static, str>),
    /// A failure that is all said by its word (RFC 6749 section 5.2).
    OAuth(&'static str),
    /// A token that cannot be revoked alone.
    UnsupportedTokenType,
    /// A cookie came with a request that another site may have made.
    CrossSite,
    /// There is no such path, or no such format.
    NotFound,
    /// The method, which the path does not have.
    MethodNotAllowed(String),
    /// The client takes nothing that we have.
    NotAcceptable,
    /// The body came too slowly.
    BodyTimeout,
    /// The body has more bytes than the path takes.
    BodyTooLarge,
    /// The path and query are too long.
    UriTooLong,
    /// The type of the body, which we do not read.
    UnsupportedMediaType(String),
    /// There are too many header fields, or too much in them.
    HeadersTooLarge,
    /// A use case took longer than any should.
    TooSlow,
    /// Too many requests are in work.
    Overloaded,
}

/// The private cause of an answer, for the log.
#[derive(Clone)]
pub(crate) struct Cause(pub(crate) Arc<dyn StdError + Send + Sync>);

impl From<service::Error> for Error {
    fn from(error: service::Error) -> Self {
        Self::Service(error)
    }
}

impl From<FieldErrors> for Error {
    fn from(errors: FieldErrors) -> Self {
        Self::Invalid(errors)
    }
}

impl Error {
    /// The failure of a bearer token on a route that does not say what is wrong with it (TK-13).
    pub(crate) fn of_bearer(error: service::Error) -> Self {
        match error.kind {
            Kind::BearerInvalid(_) | Kind::TokenInvalid => Self::InvalidToken,
            _ => Self::Service(error),
        }
    }
}

/// Longer method names are not repeated in full.
const MAX_METHOD: usize = 64;

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::Service(error) => service_error(error),
            Self::TokenRefused(status, error) => token_refused(status, &error),
            Self::Invalid(errors) => json(StatusCode::BAD_REQUEST, &errors),
            Self::NonField(words) => json(StatusCode::BAD_REQUEST, &NonField { non_field_errors: [&words] }),
            Self::Malformed(words) => detail(StatusCode::BAD_REQUEST, &words),
            Self::BadAuthorizationHeader => unauthorized(&Detail {
                detail: "Authorization header must contain two space-delimited values",
                code: Some("bad_authorization_header"),
                messages: None,
            }),
            Self::NoCredentials => unauthorized(&Detail {
                detail: "Authentication credentials were not provided.",
                ..Detail::default()
            }),
            Self::InvalidToken => invalid_token(),
            Self::ForLoginsOnly => Self::Service(service::Error::forbidden()).into_response(),
            Self::InvalidClient => invalid_client(),
            Self::OAuth(word) => oauth(StatusCode::BAD_REQUEST, word, None),
            Self::InvalidParameters(words) => oauth(StatusCode::BAD_REQUEST, "invalid_request", Some(&words)),
            Self::UnsupportedTokenType => oauth(
                StatusCode::BAD_REQUEST,
                "unsupported_token_type",
                Some("This token names no session; revoke the refresh token."),
            ),
            Self::CrossSite => detail(StatusCode::FORBIDDEN, "The request may come from another site."),
            Self::NotFound => detail(StatusCode::NOT_FOUND, "Not found."),
            Self::MethodNotAllowed(method) => {
                let method: String = method.chars().take(MAX_METHOD).collect();
                detail(StatusCode::METHOD_NOT_ALLOWED, &format!("Method \"{method}\" not allowed."))
            }
            Self::NotAcceptable => {
                detail(StatusCode::NOT_ACCEPTABLE, "Could not satisfy the request Accept header.")
            }
            Self::BodyTimeout => {
                closing(detail(StatusCode::REQUEST_TIMEOUT, "The request body came too slowly."))
            }
            Self::BodyTooLarge => {
                closing(detail(StatusCode::PAYLOAD_TOO_LARGE, "The request body is too large."))
            }
            Self::UriTooLong => closing(detail(StatusCode::URI_TOO_LONG, "The request path is too long.")),
            Self::UnsupportedMediaType(kind) => detail(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                &format!("Unsupported media type \"{kind}\" in request."),
            ),
            Self::HeadersTooLarge => closing(detail(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The request headers are too large.",
            )),
            Self::TooSlow => unavailable("The request took too long.", "unavailable", ONE_SECOND),
            Self::Overloaded => unavailable("The service is overloaded.", "unavailable", ONE_SECOND),
        }
    }
}

const ONE_SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct NonField<'a> {
    non_field_errors: [&'a str; 1],
}

/// DRF's shape of everything that is not about fields.
#[derive(Default, Serialize)]
struct Detail<'a> {
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<[TokenMessage<'a>; 1]>,
}

/// SimpleJWT tells of each class of token that it tried; here there is one.
#[derive(Serialize)]
struct TokenMessage<'a> {
    token_class: &'a str,
    token_type: &'a str,
    message: &'a str,
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    Answer::json(status, body).into_response()
}

fn service_error(error: service::Error) -> Response {
    let code = (!error.code.is_empty()).then_some(error.code);
    let answered = Detail { detail: &error.detail, code, messages: None };
    let mut response = match &error.kind {
        Kind::Invalid(errors) => json(StatusCode::BAD_REQUEST, errors),
        Kind::Unauthenticated | Kind::TokenInvalid => unauthorized(&answered),
        Kind::BearerInvalid(message) => {
            let message = TokenMessage { token_class: "AccessToken", token_type: "access", message };
            unauthorized(&Detail { messages: Some([message]), ..answered })
        }
        Kind::Forbidden => json(StatusCode::FORBIDDEN, &answered),
        Kind::NotFound => json(StatusCode::NOT_FOUND, &answered),
        Kind::Conflict => json(StatusCode::CONFLICT, &answered),
        Kind::Throttled { retry_after } => throttled(*retry_after),
        Kind::Unavailable { retry_after } => unavailable(&error.detail, error.code, *retry_after),
        Kind::Internal => internal(),
    };
    if let Some(source) = error.source {
        response.extensions_mut().insert(Cause(Arc::from(source)));
    }
    response
}

fn token_refused(status: StatusCode, error: &service::Error) -> Response {
    let answered = Detail { detail: &error.detail, code: Some(error.code), messages: None };
    if status == StatusCode::UNAUTHORIZED { unauthorized(&answered) } else { json(status, &answered) }
}

/// A fault of ours. The edge puts the name of the request into the body.
pub(crate) fn internal() -> Response {
    detail(StatusCode::INTERNAL_SERVER_ERROR, "A server error occurred.")
}

fn detail(status: StatusCode, words: &str) -> Response {
    json(status, &Detail { detail: words, ..Detail::default() })
}

fn unauthorized(body: &Detail<'_>) -> Response {
    let mut response = json(StatusCode::UNAUTHORIZED, body);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"api\""));
    response
}

/// RFC 6750 section 3.1; the failed check is not named (TK-13).
fn invalid_token() -> Response {
    let body = Detail { detail: "Token is invalid", code: Some("token_not_valid"), messages: None };
    let mut response = unauthorized(&body);
    response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
    response
}

/// RFC 6749 section 5.2.
#[derive(Serialize)]
struct OAuthError<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<&'a str>,
}

fn oauth(status: StatusCode, error: &str, error_description: Option<&str>) -> Response {
    json(status, &OAuthError { error, error_description })
}

fn invalid_client() -> Response {
    let mut response = oauth(StatusCode::UNAUTHORIZED, "invalid_client", None);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"services\""));
    response
}

fn throttled(retry_after: Duration) -> Response {
    let seconds = whole_seconds(retry_after);
    let unit = if seconds == 1 { "second" } else { "seconds" };
    let words = format!("Request was throttled. Expected available in {seconds} {unit}.");
    retry(detail(StatusCode::TOO_MANY_REQUESTS, &words), seconds)
}

fn unavailable(words: &str, code: &str, retry_after: Duration) -> Response {
    let body = Detail { detail: words, code: Some(code), messages: None };
    retry(json(StatusCode::SERVICE_UNAVAILABLE, &body), whole_seconds(retry_after))
}

fn retry(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Rounded up: whoever waits so long is not too early.
fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// The rest of the request is not read, so the connection cannot be used again.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_times_are_rounded_up() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (29_500, 30)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis}");
        }
    }
}
