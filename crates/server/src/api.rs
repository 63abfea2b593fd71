//! The handlers: take the request apart, call one use case, shape the answer. Types of requests and answers stand beside
//! their handler; the OpenAPI document is made from them.

pub(crate) mod admin;
pub(crate) mod docs;
pub(crate) mod forward_auth;
pub(crate) mod health;
pub(crate) mod introspect;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod revoke;
pub(crate) mod session;
pub(crate) mod status_list;
mod time;
pub(crate) mod token;
pub(crate) mod verify;
pub(crate) mod well_known;

use serde::Serialize;
use utoipa::ToSchema;

/// A failure that is not about fields.
#[derive(Serialize, ToSchema)]
pub(crate) struct Detail {
    /// What went wrong, for people.
    pub(crate) detail: String,
    /// What went wrong, for programs; not every failure has one.
    pub(crate) code: Option<String>,
}

/// A failure in the words of OAuth (RFC 6749 section 5.2).
#[derive(Serialize, ToSchema)]
pub(crate) struct OAuthError {
    /// What went wrong, for programs.
    #[schema(example = "invalid_request")]
    error: String,
    /// What went wrong, for people.
    error_description: Option<String>,
}

/// Faulty fields, each with its messages.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "username": ["This field is required."] }))]
pub(crate) struct FieldErrors(#[schema(inline)] std::collections::BTreeMap<String, Vec<String>>);
