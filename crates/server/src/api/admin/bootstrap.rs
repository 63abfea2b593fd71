use axum::extract::State;
use domain::field::FieldErrors;
use http::StatusCode;
use serde::Deserialize;
use service::user::NewUser;
use utoipa::ToSchema;

use super::Refused;
use super::user::{Account, shape};
use crate::answer::Answer;
use crate::api::register::{email_field, password_field, username_field};
use crate::call::Call;
use crate::endpoint::Api;
use crate::error::Error;

/// The first administrator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct Bootstrap {
    /// As `bookstore-auth bootstrap-token` has shown it.
    token: String,
    #[schema(min_length = 1, max_length = 150)]
    username: String,
    /// May be blank.
    #[schema(max_length = 254)]
    email: String,
    #[schema(min_length = 1, max_length = 128, format = Password)]
    password: String,
}

/// Makes the first administrator, a superuser, for a token of the operator's: once, while there is none.
#[utoipa::path(
    post,
    path = "/admin/api/bootstrap/",
    tag = "admin",
    operation_id = "adminBootstrap",
    request_body(content = Bootstrap, content_type = "application/json"),
    responses(
        (status = 201, description = "The administrator exists.", body = Account),
        (status = 429, description = "Too many attempts; see Retry-After.", body = crate::api::Detail),
        Refused,
    )
)]
pub(crate) async fn bootstrap(State(api): State<Api>, call: Call) -> Result<Answer, Error> {
    let [token, username, email, password] = call.members(["token", "username", "email", "password"])?;
    let mut errors = FieldErrors::default();
    let token = errors.take("token", token.char_field());
    let username = errors.take("username", username_field(username));
    let email = errors.take("email", email_field(email));
    let password = errors.take("password", password_field(password));
    let (Some(token), Some(username), Some(email), Some(password)) = (token, username, email, password)
    else {
        return Err(errors.into());
    };
    let new = NewUser { username, email, password, is_superuser: true, is_staff: true };
    let made = service::admin::bootstrap::bootstrap(&api.app, &call.caller, &token, new).await?;
    Ok(Answer::json(StatusCode::CREATED, &shape(&made)))
}
