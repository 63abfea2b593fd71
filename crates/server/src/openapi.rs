//! The OpenAPI 3.1 document, made from the handlers and their types. A test compares it with the router.

use utoipa::OpenApi;

use crate::api;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "bookstore-auth",
        description = "Accounts, logins and tokens. Every path under / but the ones of operation answers under /auth too, \
                       and each with or without its final slash.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        api::register::register,
        api::login::login,
        api::refresh::refresh,
        api::verify::verify,
        api::well_known::jwks,
        api::well_known::openid_configuration,
        api::health::healthz,
        api::health::readyz,
    ),
    tags(
        (name = "accounts", description = "Who has one"),
        (name = "tokens", description = "Proof of a login, for other services"),
        (name = "operation", description = "For those who run the service"),
    )
)]
struct Document;

/// The document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
