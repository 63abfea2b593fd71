use axum::extract::State;
use domain::session::SessionId;
use http::StatusCode;
use service::admin::session;

use super::{Refused, Segment, Segments, nothing, segment, segments, user_id};
use crate::answer::Answer;
use crate::api::session::{SessionList, read_place, shape_page};
use crate::call::AdminCall;
use crate::endpoint::Api;
use crate::error::Error;

/// The sessions of an account that are good now. Takes `auth.view_session`.
#[utoipa::path(
    get,
    path = "/admin/api/users/{id}/sessions/",
    tag = "admin",
    operation_id = "adminListSessions",
    params(
        ("id" = i64, Path, minimum = 1, description = "The account."),
        ("after" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "They are.", body = SessionList), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    path: Segment,
    AdminCall { admin, call }: AdminCall,
) -> Result<Answer, Error> {
    let id = user_id(&segment(path)?)?;
    let [after] = call.query(["after"])?;
    let after = after.map(|text| read_place(&text)).transpose()?;
    let page = session::list(&api.app, &call.caller, &admin, id, after).await?;
    Ok(Answer::json(StatusCode::OK, &shape_page(&page, admin.session())))
}

/// Ends all sessions of an account. Takes `auth.delete_session` and a fresh login.
#[utoipa::path(
    delete,
    path = "/admin/api/users/{id}/sessions/",
    tag = "admin",
    operation_id = "adminEndSessions",
    params(("id" = i64, Path, minimum = 1, description = "The account.")),
    responses((status = 204, description = "They have ended."), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn end_all(
    State(api): State<Api>,
    path: Segment,
    AdminCall { admin, call }: AdminCall,
) -> Result<StatusCode, Error> {
    let id = user_id(&segment(path)?)?;
    nothing(&call)?;
    session::end_all(&api.app, &call.caller, &admin, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a session of an account. Takes `auth.delete_session` and a fresh login.
#[utoipa::path(
    delete,
    path = "/admin/api/users/{id}/sessions/{session}/",
    tag = "admin",
    operation_id = "adminEndSession",
    params(
        ("id" = i64, Path, minimum = 1, description = "The account."),
        ("session" = String, Path, pattern = "^[0-9a-f]{32}$", description = "The session."),
    ),
    responses((status = 204, description = "It has ended."), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn end(
    State(api): State<Api>,
    path: Segments,
    AdminCall { admin, call }: AdminCall,
) -> Result<StatusCode, Error> {
    let (id, session) = segments(path)?;
    let (id, session) = (user_id(&id)?, SessionId::parse(&session).ok_or(Error::NotFound)?);
    nothing(&call)?;
    session::end(&api.app, &call.caller, &admin, id, session).await?;
    Ok(StatusCode::NO_CONTENT)
}
