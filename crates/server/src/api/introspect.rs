use axum::extract::State;
use domain::token::{Claims, TokenType};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::call::Call;
use crate::client_auth::service_call;
use crate::endpoint::Api;
use crate::error::Error;

/// A token that another service asks about.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; parameters are read one by one")]
pub(crate) struct TokenParameters {
    /// An access or refresh token.
    #[schema(min_length = 1)]
    token: String,
    /// `refresh_token` to hear of a refresh token too: without it one is not active, so that nobody takes it for an access
    /// token. Anything else is not needed.
    #[schema(nullable = false)]
    token_type_hint: Option<String>,
    /// The service's name, unless it is in an Authorization header (Basic).
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// The service's secret, likewise.
    #[schema(nullable = false)]
    client_secret: Option<String>,
}

/// What a token says (RFC 7662 section 2.2). All but `active` only if it is good by every check that POST /verify/ makes.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Introspection {
    Inactive(Inactive),
    Active(Box<Active>),
}

/// Of a token that is not good nothing is said (SE-07).
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inactive {
    /// Always false.
    active: bool,
}

/// A token that is good.
#[derive(Serialize, ToSchema)]
pub(crate) struct Active {
    /// Always true.
    active: bool,
    #[serde(flatten)]
    claims: TokenClaims,
}

/// The claims of a good token.
#[derive(Serialize, ToSchema)]
struct TokenClaims {
    /// `access` or `refresh`.
    token_type: &'static str,
    /// When it dies, in seconds since 1970.
    exp: i64,
    /// When it was made, in seconds since 1970.
    iat: i64,
    /// The user's id, as a text.
    sub: String,
    /// The user's id.
    user_id: i64,
    /// The token's own name.
    jti: String,
    /// The session; tokens of the replaced service have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aud: Vec<String>,
    /// Of a token for an API key, the key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// Of a token for an API key, what it is limited to; of others, where TOKEN_ROLES is `scope`, what the user may: permissions with
    /// spaces between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scope: Option<String>,
    /// What the user is, where TOKEN_ROLES is `roles`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
}

/// Whether a token is good, and whose it is (RFC 7662). For the services of SERVICE_CREDENTIALS.
#[utoipa::path(
    post,
    path = "/introspect/",
    tag = "services",
    operation_id = "introspect",
    request_body(content = TokenParameters, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What can be said; of a token that is not good, nothing.", body = Introspection,
         example = json!({ "active": false })),
        (status = 400, description = "The request is faulty.", body = super::OAuthError),
        (status = 401, description = "Not one of the services.", body = super::OAuthError,
         example = json!({ "error": "invalid_client" })),
        (status = 413, description = "The body is too large.", body = super::Detail),
        (status = 503, description = "That cannot be told now; see Retry-After.", body = super::Detail),
    ),
    security(("service" = []))
)]
pub(crate) async fn introspect(State(api): State<Api>, call: Call) -> Result<Answer, Error> {
    let asked = service_call(&api.app, &call)?;
    let claims =
        service::introspection::introspect(&api.app, &call.caller, &asked.token, asked.of_refresh_tokens)
            .await?;
    let answer = match claims {
        Some(claims) => Introspection::Active(Box::new(Active { active: true, claims: shape(claims) })),
        None => Introspection::Inactive(Inactive { active: false }),
    };
    Ok(Answer::json(StatusCode::OK, &answer))
}

fn shape(claims: Claims) -> TokenClaims {
    TokenClaims {
        token_type: match claims.token_type {
            TokenType::Access => "access",
            TokenType::Refresh => "refresh",
        },
        exp: claims.expires_at,
        iat: claims.issued_at,
        sub: claims.user_id.to_string(),
        user_id: claims.user_id.get(),
        jti: claims.jti,
        sid: claims.session.map(|id| id.to_string()),
        iss: claims.issuer,
        aud: claims.audience,
        client_id: claims.standard.client,
        scope: claims.standard.scope,
        roles: claims.standard.roles,
    }
}
