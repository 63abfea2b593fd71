use axum::extract::State;
use domain::group::Group as Stored;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use service::admin::group;
use utoipa::ToSchema;

use super::{Refused, Segment, Segments, group_id, nothing, segment, segments, wanted};
use crate::answer::Answer;
use crate::call::AdminCall;
use crate::endpoint::Api;
use crate::error::Error;

/// A group.
#[derive(Serialize, ToSchema)]
pub(crate) struct Group {
    id: i64,
    name: String,
}

/// Some groups.
#[derive(Serialize, ToSchema)]
pub(crate) struct GroupList {
    /// By id.
    pub(super) groups: Vec<Group>,
    /// For `cursor`, to get the next ones; null at the end.
    pub(super) next: Option<String>,
}

/// A group and what it gives.
#[derive(Serialize, ToSchema)]
pub(crate) struct GroupDetail {
    #[serde(flatten)]
    group: Group,
    /// Names of permissions.
    permissions: Vec<String>,
}

/// A group to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct NewGroup {
    #[schema(min_length = 1, max_length = 150)]
    name: String,
}

/// All groups, by id. Takes `auth.view_group`.
#[utoipa::path(
    get,
    path = "/admin/api/groups/",
    tag = "admin",
    operation_id = "adminListGroups",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most so many, 1 to 100; 50 by default."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "They are.", body = GroupList), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    AdminCall { admin, call }: AdminCall,
) -> Result<Answer, Error> {
    let [limit, cursor] = call.query(["limit", "cursor"])?;
    let page = group::list(&api.app, &admin, &wanted(limit, cursor)?).await?;
    let groups = page.items.iter().map(shape).collect();
    Ok(Answer::json(StatusCode::OK, &GroupList { groups, next: page.next }))
}

/// Makes a group. Takes `auth.add_group` and a fresh login.
#[utoipa::path(
    post,
    path = "/admin/api/groups/",
    tag = "admin",
    operation_id = "adminCreateGroup",
    request_body(content = NewGroup, content_type = "application/json"),
    responses((status = 201, description = "The group exists.", body = Group), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn create(
    State(api): State<Api>,
    AdminCall { admin, call }: AdminCall,
) -> Result<Answer, Error> {
    let [name] = call.members(["name"])?;
    let made = group::create(&api.app, &call.caller, &admin, name.char_field()).await?;
    Ok(Answer::json(StatusCode::CREATED, &shape(&made)))
}

/// A group and the permissions that it gives. Takes `auth.view_group`.
#[utoipa::path(
    get,
    path = "/admin/api/groups/{id}/",
    tag = "admin",
    operation_id = "adminGetGroup",
    params(("id" = i64, Path, minimum = 1, description = "The group.")),
    responses((status = 200, description = "It is.", body = GroupDetail), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    path: Segment,
    AdminCall { admin, .. }: AdminCall,
) -> Result<Answer, Error> {
    let id = group_id(&segment(path)?)?;
    let (found, permissions) = group::get(&api.app, &admin, id).await?;
    Ok(Answer::json(StatusCode::OK, &GroupDetail { group: shape(&found), permissions }))
}

/// Deletes a group; its members lose what it gave. Takes `auth.delete_group`, all that the group gives, and a fresh login.
#[utoipa::path(
    delete,
    path = "/admin/api/groups/{id}/",
    tag = "admin",
    operation_id = "adminDeleteGroup",
    params(("id" = i64, Path, minimum = 1, description = "The group.")),
    responses((status = 204, description = "It is gone."), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    path: Segment,
    AdminCall { admin, call }: AdminCall,
) -> Result<StatusCode, Error> {
    let id = group_id(&segment(path)?)?;
    nothing(&call)?;
    group::delete(&api.app, &call.caller, &admin, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has a group give a permission. Takes `auth.change_group`, the permission and all that the group gives, and a fresh login.
#[utoipa::path(
    put,
    path = "/admin/api/groups/{id}/permissions/{permission}/",
    tag = "admin",
    operation_id = "adminGivePermission",
    params(
        ("id" = i64, Path, minimum = 1, description = "The group."),
        ("permission" = String, Path, max_length = 201, pattern = "^[A-Za-z0-9_]+\\.[A-Za-z0-9_]+$",
         description = "`application.codename`; made when it is first given."),
    ),
    responses((status = 204, description = "The group gives it."), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn give(
    State(api): State<Api>,
    path: Segments,
    asked: AdminCall,
) -> Result<StatusCode, Error> {
    set(&api, path, asked, true).await
}

/// Has a group give a permission no longer. Takes the same.
#[utoipa::path(
    delete,
    path = "/admin/api/groups/{id}/permissions/{permission}/",
    tag = "admin",
    operation_id = "adminTakePermission",
    params(
        ("id" = i64, Path, minimum = 1, description = "The group."),
        ("permission" = String, Path, max_length = 201, pattern = "^[A-Za-z0-9_]+\\.[A-Za-z0-9_]+$",
         description = "`application.codename`."),
    ),
    responses((status = 204, description = "The group does not give it."), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn take(
    State(api): State<Api>,
    path: Segments,
    asked: AdminCall,
) -> Result<StatusCode, Error> {
    set(&api, path, asked, false).await
}

async fn set(api: &Api, path: Segments, asked: AdminCall, gives: bool) -> Result<StatusCode, Error> {
    let AdminCall { admin, call } = asked;
    let (id, name) = segments(path)?;
    let id = group_id(&id)?;
    nothing(&call)?;
    group::set_permission(&api.app, &call.caller, &admin, id, &name, gives).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn shape(group: &Stored) -> Group {
    Group { id: group.id.get(), name: group.name.as_str().to_owned() }
}
