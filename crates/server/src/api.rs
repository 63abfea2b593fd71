//! The handlers: take the request apart, call one use case, shape the answer. Types of requests and answers stand beside
//! their handler; the OpenAPI document is made from them.

pub(crate) mod admin;
pub(crate) mod docs;
pub(crate) mod email;
pub(crate) mod forward_auth;
pub(crate) mod health;
pub(crate) mod introspect;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod me;
pub(crate) mod password;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod revoke;
pub(crate) mod session;
pub(crate) mod status_list;
mod time;
pub(crate) mod token;
pub(crate) mod verify;
pub(crate) mod well_known;

use domain::field::{self, Field};
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::value::Value;

/// A failure that is not about fields.
#[derive(Serialize, ToSchema)]
pub(crate) struct Detail {
    /// What went wrong, for people.
    pub(crate) detail: String,
    /// What went wrong, for programs; not every failure has one.
    #[schema(nullable = false)]
    pub(crate) code: Option<String>,
}

/// A failure in the words of OAuth (RFC 6749 section 5.2).
#[derive(Serialize, ToSchema)]
pub(crate) struct OAuthError {
    /// What went wrong, for programs.
    #[schema(example = "invalid_request")]
    error: String,
    /// What went wrong, for people.
    #[schema(nullable = false)]
    error_description: Option<String>,
}

/// Faulty fields, each with its messages.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "username": ["This field is required."] }))]
pub(crate) struct FieldErrors(#[schema(inline)] std::collections::BTreeMap<String, Vec<String>>);

/// A request that cannot be done as it is: faulty fields, or a fault of the whole.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes answers that are made elsewhere")]
pub(crate) enum Faulty {
    Fields(FieldErrors),
    Whole(Detail),
}

/// A password is taken as it is: white space and null characters are part of it.
fn password_field(value: Value<'_>) -> Field {
    let text = value.text_or(field::NOT_A_STRING, field::text_with_surrogate)?;
    if text.is_empty() { Err(vec![field::BLANK.into()]) } else { Ok(text.into_owned()) }
}

/// The token of a link. Ours are 43 characters; what is much longer is none.
fn token_field(value: Value<'_>) -> Field {
    let token = value.char_field()?;
    if token.chars().count() > 128 { Err(vec![field::too_long(128)]) } else { Ok(token) }
}
