use axum::extract::State;
use domain::admin::Role;
use http::StatusCode;
use utoipa::ToSchema;

use super::{Refused, Segments, nothing, segments, user_id};
use crate::call::AdminCall;
use crate::endpoint::Api;
use crate::error::Error;

/// A role, by name.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes a part of the path")]
enum RoleName {
    /// May use the routes of administrators, as far as permissions go.
    Staff,
    /// Has every permission.
    Superuser,
}

/// Gives an account a role. For superusers with a fresh login.
#[utoipa::path(
    put,
    path = "/admin/api/users/{id}/roles/{role}/",
    tag = "admin",
    operation_id = "adminGiveRole",
    params(
        ("id" = i64, Path, minimum = 1, description = "The account."),
        ("role" = inline(RoleName), Path, description = "The role."),
    ),
    responses((status = 204, description = "The account has the role."), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn give(
    State(api): State<Api>,
    path: Segments,
    asked: AdminCall,
) -> Result<StatusCode, Error> {
    set(&api, path, asked, true).await
}

/// Takes a role from an account. For superusers with a fresh login.
#[utoipa::path(
    delete,
    path = "/admin/api/users/{id}/roles/{role}/",
    tag = "admin",
    operation_id = "adminTakeRole",
    params(
        ("id" = i64, Path, minimum = 1, description = "The account."),
        ("role" = inline(RoleName), Path, description = "The role."),
    ),
    responses(
        (status = 204, description = "The account does not have the role."),
        (status = 409, description = "It is the last enabled superuser.", body = crate::api::Detail),
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn take(
    State(api): State<Api>,
    path: Segments,
    asked: AdminCall,
) -> Result<StatusCode, Error> {
    set(&api, path, asked, false).await
}

async fn set(api: &Api, path: Segments, asked: AdminCall, has: bool) -> Result<StatusCode, Error> {
    let AdminCall { admin, call } = asked;
    let (id, role) = segments(path)?;
    let (id, role) = (user_id(&id)?, Role::parse(&role).ok_or(Error::NotFound)?);
    nothing(&call)?;
    service::admin::user::set_role(&api.app, &call.caller, &admin, id, role, has).await?;
    Ok(StatusCode::NO_CONTENT)
}
