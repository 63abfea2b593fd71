use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::endpoint::Api;
use crate::error::Error;

/// Which sessions have ended, for services that check access tokens by themselves (IETF Token Status List): a signed token
/// (`typ` statuslist+jwt) with one bit for each place. Access tokens name list and place in their claim `status`.
#[utoipa::path(
    get,
    path = "/status-lists/{list}",
    tag = "tokens",
    operation_id = "statusList",
    params(("list" = i64, Path, minimum = 0, description = "The list, from an access token's `status.status_list.uri`.")),
    responses(
        (status = 200, description = "The list. It may be kept for as long as Cache-Control and `ttl` say.", body = String,
         content_type = "application/statuslist+jwt"),
        (status = 404, description = "There is no such list.", body = super::Detail),
        (status = 503, description = "That cannot be told now; see Retry-After.", body = super::Detail),
    )
)]
pub(crate) async fn status_list(
    State(api): State<Api>,
    list: Result<Path<i64>, PathRejection>,
) -> Result<Response, Error> {
    let Path(list) = list.map_err(|_| Error::NotFound)?;
    let token = service::status_list::token(&api.app, list).await?.ok_or(Error::NotFound)?;
    let mut response = Response::new(Body::from(token));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/statuslist+jwt"));
    let seconds = service::status_list::max_age(&api.app).as_secs();
    // Digits and words of our own.
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={seconds}")) {
        headers.insert(CACHE_CONTROL, value);
    }
    Ok(response)
}
