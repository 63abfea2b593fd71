use axum::extract::State as Shared;
use domain::field::FieldErrors;
use domain::user::User;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use service::admin::user::{self, Find, State};
use service::group::Membership;
use utoipa::ToSchema;

use super::{Refused, Segment, nothing, segment, user_id, wanted};
use crate::answer::Answer;
use crate::api::register::{email_field, username_field};
use crate::api::time::rfc3339;
use crate::call::AdminCall;
use crate::endpoint::Api;
use crate::error::Error;

/// An account, as administrators see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct Account {
    id: i64,
    username: String,
    /// May be blank.
    email: String,
    first_name: String,
    last_name: String,
    /// Whether it may log in and its tokens count.
    is_active: bool,
    /// Whether it may use the routes of administrators, as far as permissions go.
    is_staff: bool,
    /// Whether it has every permission.
    is_superuser: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_login_at: Option<String>,
    #[schema(format = DateTime)]
    disabled_at: Option<String>,
}

/// Some accounts.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountList {
    users: Vec<Account>,
    /// For `cursor`, to get the next ones with the same filter; null at the end.
    next: Option<String>,
}

/// An account with what it belongs to and may.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountDetail {
    #[serde(flatten)]
    account: Account,
    /// Names of its groups.
    groups: Vec<String>,
    /// Permissions that it has, of its own and by its groups.
    permissions: Vec<String>,
    /// Whether it has every permission, named or not.
    all_permissions: bool,
}

/// An account to be made. It gets no password here: its owner sets one by recovery.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct NewAccount {
    #[schema(min_length = 1, max_length = 150)]
    username: String,
    /// May be blank; such an account cannot get a password by itself.
    #[schema(max_length = 254)]
    email: String,
}

/// What accounts can be asked for.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes a parameter of the query")]
enum StateName {
    Active,
    Disabled,
    Staff,
    Superuser,
}

/// Accounts by the beginning of their name or address, or all by id. Takes `auth.view_user`.
#[utoipa::path(
    get,
    path = "/admin/api/users/",
    tag = "admin",
    operation_id = "adminListUsers",
    params(
        ("name" = Option<String>, Query, description = "The beginning of the name, in any spelling. Not with `email`."),
        ("email" = Option<String>, Query, description = "The beginning of the address, in either case; an empty one is no condition."),
        ("state" = inline(Option<StateName>), Query, description = "Those alone."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most so many, 1 to 100; 50 by default."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "They are.", body = AccountList), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    Shared(api): Shared<Api>,
    AdminCall { admin, call }: AdminCall,
) -> Result<Answer, Error> {
    let [name, email, state, limit, cursor] = call.query(["name", "email", "state", "limit", "cursor"])?;
    let find = match (name, email) {
        (None, None) => Find::All,
        // Every address begins so, and those that are empty may be most.
        (None, Some(email)) if email.is_empty() => Find::All,
        (Some(name), None) => Find::Name(name),
        (None, Some(email)) => Find::Email(email),
        _ => return Err(FieldErrors::of("email", vec!["Not with name.".into()]).into()),
    };
    let page = user::search(&api.app, &admin, &find, read_state(state)?, &wanted(limit, cursor)?).await?;
    let users = page.items.iter().map(shape).collect();
    Ok(Answer::json(StatusCode::OK, &AccountList { users, next: page.next }))
}

fn read_state(text: Option<String>) -> Result<State, Error> {
    match text.as_deref() {
        None => Ok(State::Any),
        Some("active") => Ok(State::Active),
        Some("disabled") => Ok(State::Disabled),
        Some("staff") => Ok(State::Staff),
        Some("superuser") => Ok(State::Superuser),
        Some(_) => Err(FieldErrors::of("state", vec!["Not a state.".into()]).into()),
    }
}

/// Makes an account that nobody can log in to yet. Takes `auth.add_user` and a fresh login.
#[utoipa::path(
    post,
    path = "/admin/api/users/",
    tag = "admin",
    operation_id = "adminCreateUser",
    request_body(content = NewAccount, content_type = "application/json"),
    responses((status = 201, description = "The account exists.", body = Account), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn create(
    Shared(api): Shared<Api>,
    AdminCall { admin, call }: AdminCall,
) -> Result<Answer, Error> {
    let [username, email] = call.members(["username", "email"])?;
    let (username, email) = (username_field(username), email_field(email));
    let made = user::create(&api.app, &call.caller, &admin, username, email).await?;
    Ok(Answer::json(StatusCode::CREATED, &shape(&made)))
}

/// An account with its groups and permissions. Takes `auth.view_user`.
#[utoipa::path(
    get,
    path = "/admin/api/users/{id}/",
    tag = "admin",
    operation_id = "adminGetUser",
    params(("id" = i64, Path, minimum = 1, description = "The account.")),
    responses((status = 200, description = "It is.", body = AccountDetail), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn get(
    Shared(api): Shared<Api>,
    path: Segment,
    AdminCall { admin, .. }: AdminCall,
) -> Result<Answer, Error> {
    let id = user_id(&segment(path)?)?;
    let (found, Membership { groups, permissions }) = user::get(&api.app, &admin, id).await?;
    let answer = AccountDetail {
        account: shape(&found),
        groups: groups.iter().map(|group| group.name.as_str().to_owned()).collect(),
        permissions: permissions.names().map(str::to_owned).collect(),
        all_permissions: permissions.has_all(),
    };
    Ok(Answer::json(StatusCode::OK, &answer))
}

/// Deletes an account for good; its id is never issued again. Takes `auth.delete_user` and a fresh login.
#[utoipa::path(
    delete,
    path = "/admin/api/users/{id}/",
    tag = "admin",
    operation_id = "adminDeleteUser",
    params(("id" = i64, Path, minimum = 1, description = "The account.")),
    responses(
        (status = 204, description = "It is gone, and its sessions have ended."),
        (status = 409, description = "It is the last enabled superuser.", body = crate::api::Detail),
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn delete(
    Shared(api): Shared<Api>,
    path: Segment,
    AdminCall { admin, call }: AdminCall,
) -> Result<StatusCode, Error> {
    let id = user_id(&segment(path)?)?;
    nothing(&call)?;
    user::delete(&api.app, &call.caller, &admin, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Disables an account: its sessions end, it cannot log in. Takes `auth.change_user` and a fresh login.
#[utoipa::path(
    post,
    path = "/admin/api/users/{id}/disable/",
    tag = "admin",
    operation_id = "adminDisableUser",
    params(("id" = i64, Path, minimum = 1, description = "The account.")),
    responses(
        (status = 204, description = "It is disabled."),
        (status = 409, description = "It is the last enabled superuser.", body = crate::api::Detail),
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn disable(
    Shared(api): Shared<Api>,
    path: Segment,
    AdminCall { admin, call }: AdminCall,
) -> Result<StatusCode, Error> {
    let id = user_id(&segment(path)?)?;
    nothing(&call)?;
    user::disable(&api.app, &call.caller, &admin, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Mails the owner of an account a link that sets a new password. Takes `auth.change_user` and a fresh login.
#[utoipa::path(
    post,
    path = "/admin/api/users/{id}/reset/",
    tag = "admin",
    operation_id = "adminStartReset",
    params(("id" = i64, Path, minimum = 1, description = "The account.")),
    responses(
        (status = 202, description = "A link is on its way.", body = Object, example = json!({})),
        (status = 409, description = "No mail is sent here, the account is disabled or has no address, or a link was sent a \
         moment ago.", body = crate::api::Detail),
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn reset(
    Shared(api): Shared<Api>,
    path: Segment,
    AdminCall { admin, call }: AdminCall,
) -> Result<Answer, Error> {
    let id = user_id(&segment(path)?)?;
    nothing(&call)?;
    user::start_reset(&api.app, &call.caller, &admin, id).await?;
    Ok(Answer::text(StatusCode::ACCEPTED, bytes::Bytes::from_static(b"{}")))
}

/// Enables a disabled account; sessions that ended stay ended. Takes `auth.change_user` and a fresh login.
#[utoipa::path(
    post,
    path = "/admin/api/users/{id}/enable/",
    tag = "admin",
    operation_id = "adminEnableUser",
    params(("id" = i64, Path, minimum = 1, description = "The account.")),
    responses((status = 204, description = "It is enabled."), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn enable(
    Shared(api): Shared<Api>,
    path: Segment,
    AdminCall { admin, call }: AdminCall,
) -> Result<StatusCode, Error> {
    let id = user_id(&segment(path)?)?;
    nothing(&call)?;
    user::enable(&api.app, &call.caller, &admin, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn shape(user: &User) -> Account {
    Account {
        id: user.id.get(),
        username: user.username.as_str().to_owned(),
        email: user.email.as_str().to_owned(),
        first_name: user.first_name.clone(),
        last_name: user.last_name.clone(),
        is_active: user.is_active(),
        is_staff: user.is_staff,
        is_superuser: user.is_superuser,
        created_at: rfc3339(user.created_at),
        last_login_at: user.last_login_at.map(rfc3339),
        disabled_at: user.disabled_at.map(rfc3339),
    }
}
