use axum::extract::State;
use domain::api_key::{ApiKey, ApiKeyId};
use domain::field::{self, Field, FieldErrors};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use service::admin::api_key;
use service::api_key::NewKey;
use utoipa::ToSchema;

use super::{Refused, Segment, nothing, segment, user_id, wanted};
use crate::answer::Answer;
use crate::api::time::{read_rfc3339, rfc3339};
use crate::call::{AdminCall, Call};
use crate::endpoint::Api;
use crate::error::Error;
use crate::extract::value::Value;

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
struct Item {
    /// `client_id` of its tokens.
    id: String,
    /// The account that it acts for.
    user_id: i64,
    name: String,
    /// Permissions with spaces between them.
    scope: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    /// When it was last exchanged, to the hour.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

/// Some keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyList {
    /// By id.
    api_keys: Vec<Item>,
    /// For `cursor`, to get the next ones with the same filter; null at the end.
    next: Option<String>,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeKey {
    #[serde(flatten)]
    item: Item,
    /// The key itself: shown now and never again.
    key: String,
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct NewApiKey {
    /// The account that it acts for.
    #[schema(minimum = 0)]
    user_id: i64,
    #[schema(min_length = 1, max_length = 150)]
    name: String,
    /// Permissions with spaces between them; may be empty.
    scope: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

/// API keys, by id. Takes `auth.view_apikey`.
#[utoipa::path(
    get,
    path = "/admin/api/api-keys/",
    tag = "admin",
    operation_id = "adminListApiKeys",
    params(
        ("user" = Option<i64>, Query, minimum = 0, description = "Of this account."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most so many, 1 to 100; 50 by default."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "They are.", body = ApiKeyList), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    AdminCall { admin, call }: AdminCall,
) -> Result<Answer, Error> {
    let [user, limit, cursor] = call.query(["user", "limit", "cursor"])?;
    let not_an_id = || FieldErrors::of("user", vec!["Not an id.".into()]);
    let user = user.map(|text| user_id(&text).map_err(|_| not_an_id())).transpose()?;
    let page = api_key::list(&api.app, &admin, user, &wanted(limit, cursor)?).await?;
    let api_keys = page.items.iter().map(shape).collect();
    Ok(Answer::json(StatusCode::OK, &ApiKeyList { api_keys, next: page.next }))
}

/// Makes an API key. Takes `auth.add_apikey`, all rights of the account and of the scope, and a fresh login.
#[utoipa::path(
    post,
    path = "/admin/api/api-keys/",
    tag = "admin",
    operation_id = "adminCreateApiKey",
    request_body(content = NewApiKey, content_type = "application/json"),
    responses((status = 201, description = "The key.", body = MadeKey), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn create(
    State(api): State<Api>,
    AdminCall { admin, call }: AdminCall,
) -> Result<Answer, Error> {
    let new = new_key(&call)?;
    let made = api_key::create(&api.app, &call.caller, &admin, &new).await?;
    Ok(Answer::json(StatusCode::CREATED, &MadeKey { item: shape(&made.key), key: made.text }))
}

fn new_key(call: &Call) -> Result<NewKey, Error> {
    let [user, name, scope, expires_at] = call.members(["user_id", "name", "scope", "expires_at"])?;
    let mut errors = FieldErrors::default();
    let user = match user {
        Value::Missing => Err(vec![field::REQUIRED.into()]),
        Value::Null => Err(vec![field::NULL.into()]),
        // JSON has one sort of number: 7.0 is 7.
        Value::Number(text) => {
            user_id(text.strip_suffix(".0").unwrap_or(&text)).map_err(|_| vec!["Not an id.".into()])
        }
        Value::Text(_) | Value::NotText => Err(vec!["Not an id.".into()]),
    };
    let user = errors.take("user_id", user);
    let name = errors.take("name", name.char_field());
    let scope: Field =
        scope.text_or(field::NOT_A_STRING, field::text_with_surrogate).map(std::borrow::Cow::into_owned);
    let scope = errors.take("scope", scope);
    let expires_at = expires_at.char_field().and_then(|text| {
        read_rfc3339(&text).ok_or_else(|| vec!["Not a time, such as 2026-01-01T00:00:00Z.".into()])
    });
    let expires_at = errors.take("expires_at", expires_at);
    let (Some(user), Some(name), Some(scope), Some(expires_at)) = (user, name, scope, expires_at) else {
        return Err(errors.into());
    };
    Ok(NewKey { user, name, scope, expires_at })
}

/// Revokes an API key; the tokens that it gave are refused. Takes `auth.delete_apikey`, all rights of its account, and a fresh
/// login.
#[utoipa::path(
    delete,
    path = "/admin/api/api-keys/{id}/",
    tag = "admin",
    operation_id = "adminRevokeApiKey",
    params(("id" = String, Path, pattern = "^[0-9a-f]{16}$", description = "The key's id.")),
    responses((status = 204, description = "It is revoked."), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn revoke(
    State(api): State<Api>,
    path: Segment,
    AdminCall { admin, call }: AdminCall,
) -> Result<StatusCode, Error> {
    let id = ApiKeyId::parse(&segment(path)?).ok_or(Error::NotFound)?;
    nothing(&call)?;
    api_key::revoke(&api.app, &call.caller, &admin, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shape(key: &ApiKey) -> Item {
    Item {
        id: key.id.to_string(),
        user_id: key.user.get(),
        name: key.name.clone(),
        scope: key.scope.to_string(),
        created_at: rfc3339(key.created_at),
        expires_at: rfc3339(key.expires_at),
        last_used_at: key.last_used_at.map(rfc3339),
        revoked_at: key.revoked_at.map(rfc3339),
    }
}
