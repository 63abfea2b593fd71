use axum::response::Response;
use domain::field::{self, Field, Message};
use domain::user::{EmailAddress, Username};
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use service::register::Input;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::call::Call;
use crate::edge::Context;
use crate::endpoint::{self, About, Admitted, Api};
use crate::error::Error;
use crate::extract::body::{Incoming, Oversize};
use crate::extract::value::Value;

pub(crate) const ABOUT: About =
    About { name: "User Registration", description: "", reads_bearer: true, oversize: Oversize::Refuse };

/// DRF's e-mail field has one message for everything that is no address, other types included.
const INVALID_EMAIL: &str = "Enter a valid email address.";

/// A new account.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct RegisterRequest {
    /// Letters, digits and @/./+/-/_ only.
    #[schema(example = "username", min_length = 1, max_length = 150)]
    username: String,
    /// May be blank; such an account cannot recover its password.
    #[schema(example = "user@example.com", max_length = 254)]
    email: String,
    #[schema(example = "password", min_length = 1, max_length = 128, format = Password)]
    password: String,
}

/// The account as it was stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct RegisterResponse {
    #[schema(example = 1)]
    id: i64,
    #[schema(example = "username")]
    username: String,
    #[schema(example = "user@example.com")]
    email: String,
}

/// Creates an account. All faulty fields are reported at once.
#[utoipa::path(
    post,
    path = "/register/",
    tag = "accounts",
    operation_id = "register",
    request_body(content(
        (RegisterRequest = "application/json"),
        (RegisterRequest = "application/x-www-form-urlencoded"),
        (RegisterRequest = "multipart/form-data"),
    )),
    responses(
        (status = 201, description = "The account exists.", body = RegisterResponse),
        (status = 400, description = "Fields are faulty, or the name is taken.", body = super::Faulty),
        (status = 401, description = "The request carries an Authorization header that is not good.",
         body = super::Detail),
        (status = 429, description = "Too many registrations; see Retry-After.", body = super::Detail),
        (status = 503, description = "Too many passwords are being hashed; see Retry-After.", body = super::Detail),
    )
)]
pub(crate) async fn register<B: Incoming>(api: &Api, context: Context, request: Request<B>) -> Response {
    match endpoint::admit(api, &ABOUT, context, request).await {
        Admitted::Call(call) => {
            let result = create(api, &call).await;
            Admitted::respond(call, result)
        }
        Admitted::Answered(response) => response,
    }
}

async fn create(api: &Api, call: &Call) -> Result<Answer, Error> {
    let [username, email, password] = call.fields(["username", "email", "password"])?;
    let input = Input {
        username: username_field(username),
        email: email_field(email),
        password: password_field(password),
    };
    let user = service::register::register(&api.app, &call.caller, input).await?;
    let answer = RegisterResponse {
        id: user.id.get(),
        username: user.username.as_str().to_owned(),
        email: user.email.as_str().to_owned(),
    };
    Ok(Answer::json(StatusCode::CREATED, &answer))
}

fn owned(text: Result<std::borrow::Cow<'_, str>, Vec<Message>>) -> Field {
    text.map(std::borrow::Cow::into_owned)
}

pub(super) fn username_field(value: Value<'_>) -> Field {
    owned(value.text_or(field::NOT_A_STRING, Username::messages_with_surrogate))
}

pub(super) fn email_field(value: Value<'_>) -> Field {
    owned(value.text_or(INVALID_EMAIL, EmailAddress::messages_with_surrogate))
}

/// The longest password that the protocol takes, in characters.
const MAX_PASSWORD: usize = 128;

pub(super) fn password_field(value: Value<'_>) -> Field {
    let with_surrogate = |text: &str, unit| {
        let mut messages = Vec::new();
        if text.chars().count() > MAX_PASSWORD {
            messages.push(field::too_long(MAX_PASSWORD));
        }
        messages.extend(field::text_with_surrogate(text, unit));
        messages
    };
    owned(value.text_or(field::NOT_A_STRING, with_surrogate))
}
