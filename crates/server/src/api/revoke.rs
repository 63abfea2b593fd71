use axum::extract::State;
use service::Kind;

use super::introspect::TokenParameters;
use crate::answer::Answer;
use crate::call::Call;
use crate::client_auth::service_call;
use crate::endpoint::Api;
use crate::error::Error;

/// Ends the session of a token, and with it all its tokens (RFC 7009). For the services of SERVICE_CREDENTIALS.
#[utoipa::path(
    post,
    path = "/revoke/",
    tag = "services",
    operation_id = "revoke",
    request_body(content = TokenParameters, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token is not good, now or already before.", body = Object, example = json!({})),
        (status = 400, description = "The request is faulty, or the token is of the replaced service and names no session.",
         body = super::OAuthError),
        (status = 401, description = "Not one of the services.", body = super::OAuthError,
         example = json!({ "error": "invalid_client" })),
        (status = 413, description = "The body is too large.", body = super::Detail),
        (status = 503, description = "Nothing was done; see Retry-After.", body = super::Detail),
    ),
    security(("service" = []))
)]
pub(crate) async fn revoke(State(api): State<Api>, call: Call) -> Result<Answer, Error> {
    let asked = service_call(&api.app, &call)?;
    match service::introspection::revoke(&api.app, &call.caller, &asked.service, &asked.token).await {
        Ok(true) => note(&asked.service, &call.caller.request_id),
        Ok(false) => {}
        Err(error) if error.kind == Kind::Conflict => return Err(Error::UnsupportedTokenType),
        Err(error) => return Err(error.into()),
    }
    Ok(Answer::empty_object())
}

fn note(service: &str, request_id: &str) {
    tracing::info!(
        event = "token_revoked",
        service.id = service,
        request.id = request_id,
        "a service has revoked a token"
    );
}
