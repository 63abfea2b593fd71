use axum::extract::State;
use http::StatusCode;
use service::admin::group;

use super::group::{GroupList, shape};
use super::{Refused, Segment, Segments, group_id, nothing, segment, segments, user_id};
use crate::answer::Answer;
use crate::call::AdminCall;
use crate::endpoint::Api;
use crate::error::Error;

/// The groups of an account, all of them. Takes `auth.view_user`.
#[utoipa::path(
    get,
    path = "/admin/api/users/{id}/groups/",
    tag = "admin",
    operation_id = "adminListGroupsOfUser",
    params(("id" = i64, Path, minimum = 1, description = "The account.")),
    responses((status = 200, description = "They are.", body = GroupList), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    path: Segment,
    AdminCall { admin, .. }: AdminCall,
) -> Result<Answer, Error> {
    let id = user_id(&segment(path)?)?;
    let groups = group::of_user(&api.app, &admin, id).await?;
    let answer = GroupList { groups: groups.iter().map(shape).collect(), next: None };
    Ok(Answer::json(StatusCode::OK, &answer))
}

/// Puts an account into a group. Takes `auth.change_user`, all rights of the account and the group, and a fresh login.
#[utoipa::path(
    put,
    path = "/admin/api/users/{id}/groups/{group}/",
    tag = "admin",
    operation_id = "adminAddToGroup",
    params(
        ("id" = i64, Path, minimum = 1, description = "The account."),
        ("group" = i64, Path, minimum = 1, description = "The group."),
    ),
    responses((status = 204, description = "It is in it."), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn add(
    State(api): State<Api>,
    path: Segments,
    asked: AdminCall,
) -> Result<StatusCode, Error> {
    set(&api, path, asked, true).await
}

/// Takes an account out of a group. Takes the same.
#[utoipa::path(
    delete,
    path = "/admin/api/users/{id}/groups/{group}/",
    tag = "admin",
    operation_id = "adminRemoveFromGroup",
    params(
        ("id" = i64, Path, minimum = 1, description = "The account."),
        ("group" = i64, Path, minimum = 1, description = "The group."),
    ),
    responses((status = 204, description = "It is not in it."), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn remove(
    State(api): State<Api>,
    path: Segments,
    asked: AdminCall,
) -> Result<StatusCode, Error> {
    set(&api, path, asked, false).await
}

async fn set(api: &Api, path: Segments, asked: AdminCall, member: bool) -> Result<StatusCode, Error> {
    let AdminCall { admin, call } = asked;
    let (id, group) = segments(path)?;
    let (id, group) = (user_id(&id)?, group_id(&group)?);
    nothing(&call)?;
    group::set_member(&api.app, &call.caller, &admin, group, id, member).await?;
    Ok(StatusCode::NO_CONTENT)
}
