//! Forward authentication: a reverse proxy asks here before it lets a request through.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::session::SessionId;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use service::forward_auth::Visitor;

use crate::call::HeadCall;
use crate::endpoint::Api;
use crate::error::Error;
use crate::extract::percent;
use crate::forwarded;

const USER_ID: HeaderName = HeaderName::from_static("x-auth-user-id");
const USERNAME: HeaderName = HeaderName::from_static("x-auth-username");
const SESSION: HeaderName = HeaderName::from_static("x-auth-session");

/// Whether a request may pass, and whose it is. Answers any method, here and on any path below. The token is a bearer
/// token, or, where FORWARD_AUTH_COOKIE names one and there is no Authorization header, a cookie; requests that change
/// something must then come from a page of the same site.
#[utoipa::path(
    method(get, post, put, patch, delete),
    path = "/forward-auth",
    tag = "services",
    operation_id = "forwardAuth",
    responses(
        (status = 200, description = "It may.", headers(
            ("X-Auth-User-Id" = String, description = "The user's id."),
            ("X-Auth-Username" = String, description = "The user's name, percent-encoded UTF-8."),
            ("X-Auth-Session" = String, description = "The session; empty for a token of the replaced service."),
        )),
        (status = 401, description = "There is no good access token.", body = super::Detail),
        (status = 403, description = "It comes from another site and would change something, or the token is of an API key.", body = super::Detail),
        (status = 503, description = "That cannot be told now; see Retry-After.", body = super::Detail),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn forward_auth(State(api): State<Api>, call: HeadCall) -> Result<Response, Error> {
    let token = match call.bearer_token()? {
        Some(token) => token,
        None => from_cookie(&api, &call)?,
    };
    let visitor = service::forward_auth::visitor(&api.app, &call.caller, &token).await;
    let visitor = visitor.map_err(Error::of_bearer)?;
    let mut response = StatusCode::OK.into_response();
    *response.body_mut() = Body::empty();
    introduce(&visitor, response.headers_mut())?;
    Ok(response)
}

/// The token of the configured cookie, for requests that no other site can have made.
fn from_cookie(api: &Api, call: &HeadCall) -> Result<String, Error> {
    let name = api.settings.forward_auth_cookie.as_deref().ok_or(Error::NoCredentials)?;
    let token = forwarded::cookie(&call.headers, name).map_err(|_| Error::InvalidToken)?;
    let token = token.ok_or(Error::NoCredentials)?;
    let method = forwarded::method(&call.method, &call.headers, &call.path);
    let reads = method.is_some_and(|method| matches!(method, Method::GET | Method::HEAD | Method::OPTIONS));
    // A WebSocket begins with GET, and no rule of browsers keeps other sites from opening one.
    let safe = reads && !forwarded::opens_websocket(&call.headers);
    if !safe && !forwarded::same_site(&call.headers) {
        return Err(Error::CrossSite);
    }
    Ok(token)
}

/// All three headers are always there, so that a proxy which copies them overwrites whatever the client has sent.
fn introduce(visitor: &Visitor, headers: &mut HeaderMap) -> Result<(), Error> {
    let session = visitor.identity.session.as_ref().map(SessionId::to_string).unwrap_or_default();
    for (name, text) in [
        (USER_ID, visitor.identity.user_id.to_string()),
        (USERNAME, percent::encode(&visitor.username)),
        (SESSION, session),
    ] {
        let value = HeaderValue::try_from(text).map_err(|_| Error::InvalidToken)?;
        headers.insert(name, value);
    }
    Ok(())
}
