//! Which of the operator's other services asks: HTTP Basic or parameters of the body (RFC 6749 section 2.3.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use service::App;
use service::credential::{ServiceCredential, authenticate};

use crate::call::Call;
use crate::error::Error;
use crate::extract::percent;
use crate::extract::value::Value;

/// A request of a service that has proved who it is, with the token it is about.
pub(crate) struct ServiceCall {
    pub(crate) service: String,
    pub(crate) token: String,
    /// `token_type_hint` says that a refresh token is meant.
    pub(crate) of_refresh_tokens: bool,
}

/// Reads the parameters that RFC 7662 section 2.1 and RFC 7009 section 2.1 share. Our tokens say
/// themselves what they are; `token_type_hint` only says whether a refresh token is meant.
///
/// # Errors
/// `invalid_client` (401) and `invalid_request` (400).
pub(crate) fn service_call(app: &App, call: &Call) -> Result<ServiceCall, Error> {
    let [token, hint, id, secret] =
        call.parameters(["token", "token_type_hint", "client_id", "client_secret"])?;
    let header = call.headers().contains_key(AUTHORIZATION);
    let credential = match (text(id), text(secret)) {
        (id, None) if header => {
            let known = basic(app, call.headers()).ok_or(Error::InvalidClient)?;
            let same = id.is_none_or(|id| id == known.id);
            same.then_some(known)
        }
        (Some(id), Some(secret)) if !header => known(app, &id, secret.as_bytes()),
        (_, Some(_)) => return Err(Error::InvalidParameters("Authenticate in one way only.".into())),
        _ => None,
    };
    let service = credential.ok_or(Error::InvalidClient)?.id.clone();
    let token = text(token).filter(|token| !token.is_empty());
    let token = token.ok_or(Error::InvalidParameters("The parameter token is missing.".into()))?;
    let of_refresh_tokens = text(hint).is_some_and(|hint| hint == "refresh_token");
    Ok(ServiceCall { service, token, of_refresh_tokens })
}

fn known<'a>(app: &'a App, id: &str, secret: &[u8]) -> Option<&'a ServiceCredential> {
    authenticate(&app.settings.services, id, secret)
}

/// The service of a Basic header (RFC 7617). RFC 6749 wants name and secret form-encoded inside it; many clients do not
/// do so: both readings are tried.
fn basic<'a>(app: &'a App, headers: &HeaderMap) -> Option<&'a ServiceCredential> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let at = decoded.iter().position(|byte| *byte == b':')?;
    let (id, secret) = (&decoded[..at], &decoded[at + 1..]);
    let plain = |bytes: &[u8]| {
        percent::decode(&bytes.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect::<Vec<_>>())
    };
    known(app, str::from_utf8(id).ok()?, secret)
        .or_else(|| known(app, str::from_utf8(&plain(id)).ok()?, &plain(secret)))
}

fn text(value: Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.text.into_owned()),
        _ => None,
    }
}
