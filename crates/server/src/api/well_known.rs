//! What other services look for at well-known places (RFC 8615): the public keys, and what they belong to. Both are answered
//! from memory, to everybody.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::endpoint::Api;
use crate::error::Error;

/// A set of public keys (RFC 7517 section 5).
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the service writes")]
pub(crate) struct KeySet {
    /// The keys, those that sign now and those that will or did.
    keys: Vec<PublicKey>,
}

/// A public key (RFC 7517 section 4). EdDSA keys have `crv` and `x`, ES256 keys also `y`, RS256 keys `n` and `e`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the service writes")]
pub(crate) struct PublicKey {
    /// Names the key in the headers of tokens: its thumbprint (RFC 7638).
    kid: String,
    /// OKP, EC or RSA.
    kty: String,
    /// The one algorithm of the key.
    #[schema(example = "EdDSA")]
    alg: String,
    /// Always `sig`.
    #[schema(rename = "use", example = "sig")]
    usage: String,
}

/// The keys that check our access tokens; none while tokens are signed with the shared secret.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "tokens",
    operation_id = "jwks",
    responses(
        (status = 200, description = "The public keys. They may be kept for as long as Cache-Control says.", body = KeySet),
        (status = 304, description = "They are what If-None-Match named."),
    )
)]
pub(crate) async fn jwks(State(api): State<Api>, headers: HeaderMap) -> Response {
    let keys = service::signing_key::published(&api.app);
    let mut response = if knows(&headers, &keys.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(keys.json.clone()))
    };
    let seconds = service::signing_key::max_age(&api.app).as_secs();
    let named = response.headers_mut();
    named.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in [(CACHE_CONTROL, format!("public, max-age={seconds}")), (ETAG, keys.etag.clone())] {
        // Both are digits and words of our own.
        if let Ok(value) = HeaderValue::from_str(&value) {
            named.insert(name, value);
        }
    }
    response
}

/// Whether the client has this content already (RFC 9110 section 13.1.2).
fn knows(headers: &HeaderMap, etag: &str) -> bool {
    let given = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// What the issuer of our tokens can do (OpenID Connect Discovery section 3), as far as it is there: it has keys. It is no OpenID
/// provider: the one grant is that of services with an API key.
#[derive(Serialize, ToSchema)]
pub(crate) struct Configuration {
    /// `iss` of the tokens.
    #[schema(example = "https://auth.example")]
    issuer: String,
    /// Where the public keys are.
    #[schema(example = "https://auth.example/.well-known/jwks.json")]
    jwks_uri: String,
    /// None: there is no authorization endpoint.
    response_types_supported: [String; 0],
    /// Where services exchange API keys for tokens.
    #[schema(example = "https://auth.example/token/")]
    token_endpoint: String,
    /// `client_credentials` alone.
    grant_types_supported: [&'static str; 1],
    /// How a service sends its key.
    token_endpoint_auth_methods_supported: [&'static str; 2],
}

/// Where the keys of the configured issuer are.
#[utoipa::path(
    get,
    path = "/.well-known/openid-configuration",
    tag = "tokens",
    operation_id = "openidConfiguration",
    responses(
        (status = 200, description = "Issuer and keys.", body = Configuration),
        (status = 404, description = "No issuer is configured, or it is a name and no address.", body = super::Detail),
    )
)]
pub(crate) async fn openid_configuration(State(api): State<Api>) -> Response {
    let issuer = api.app.settings.tokens.issuer.as_deref().filter(|issuer| is_address(issuer));
    let Some(issuer) = issuer else { return Error::NotFound.into_response() };
    let base = issuer.trim_end_matches('/');
    let configuration = Configuration {
        issuer: issuer.to_owned(),
        jwks_uri: format!("{base}/.well-known/jwks.json"),
        response_types_supported: [],
        token_endpoint: format!("{base}/token/"),
        grant_types_supported: ["client_credentials"],
        token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
    };
    let mut response = Answer::json(StatusCode::OK, &configuration).into_response();
    let kept = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(CACHE_CONTROL, kept);
    response
}

fn is_address(issuer: &str) -> bool {
    issuer.starts_with("https://") || issuer.starts_with("http://")
}
