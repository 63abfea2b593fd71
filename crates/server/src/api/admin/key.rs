use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use service::admin::key;
use service::signing_key::Listed;
use utoipa::ToSchema;

use super::{Refused, nothing};
use crate::answer::Answer;
use crate::api::time::rfc3339;
use crate::call::AdminCall;
use crate::endpoint::Api;
use crate::error::Error;

/// A signing key, without its secret.
#[derive(Serialize, ToSchema)]
struct Key {
    /// `kid` in the headers of tokens.
    kid: String,
    /// What it signs: `access` or `refresh`.
    purpose: &'static str,
    alg: String,
    /// `next`, `signing`, `retired`, `expired` or `dropped`.
    state: &'static str,
    /// From then on it signs.
    #[schema(format = DateTime)]
    active_from: String,
    /// When the last token that it signed has died, if it signs no more.
    #[schema(format = DateTime)]
    checks_until: Option<String>,
    #[schema(format = DateTime)]
    dropped_at: Option<String>,
}

/// Signing keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyList {
    keys: Vec<Key>,
}

/// All signing keys that are remembered. Takes `auth.view_signingkey`.
#[utoipa::path(
    get,
    path = "/admin/api/keys/",
    tag = "admin",
    operation_id = "adminListKeys",
    responses((status = 200, description = "They are.", body = KeyList), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    AdminCall { admin, .. }: AdminCall,
) -> Result<Answer, Error> {
    Ok(Answer::json(StatusCode::OK, &shape(&key::list(&api.app, &admin).await?)))
}

/// Publishes the next keys now; they sign after KEY_PUBLISH_AHEAD. Takes `auth.add_signingkey` and a fresh login.
#[utoipa::path(
    post,
    path = "/admin/api/keys/rotate/",
    tag = "admin",
    operation_id = "adminRotateKeys",
    responses(
        (status = 201, description = "The next keys.", body = KeyList),
        (status = 409, description = "No public keys sign, or the next one is published already.",
         body = crate::api::Detail),
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn rotate(
    State(api): State<Api>,
    AdminCall { admin, call }: AdminCall,
) -> Result<Answer, Error> {
    nothing(&call)?;
    let next = key::rotate(&api.app, &call.caller, &admin).await?;
    Ok(Answer::json(StatusCode::CREATED, &shape(&next)))
}

fn shape(keys: &[Listed]) -> KeyList {
    let keys = keys.iter().map(|key| Key {
        kid: key.id.clone(),
        purpose: key.purpose.as_str(),
        alg: key.algorithm.clone(),
        state: key.state.as_str(),
        active_from: rfc3339(key.life.active_from),
        checks_until: key.checks_until.map(rfc3339),
        dropped_at: key.life.dropped_at.map(rfc3339),
    });
    KeyList { keys: keys.collect() }
}
