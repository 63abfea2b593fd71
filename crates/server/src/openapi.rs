//! The OpenAPI 3.1 document, made from the handlers and their types. A test compares it with the router.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

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
        api::session::list,
        api::session::end,
        api::logout::logout,
        api::logout::logout_all,
        api::me::show,
        api::me::rename,
        api::me::close,
        api::me::export,
        api::me::keep,
        api::email::send,
        api::email::confirm,
        api::email::change,
        api::password::change,
        api::password::reset,
        api::password::confirm_reset,
        api::introspect::introspect,
        api::revoke::revoke,
        api::forward_auth::forward_auth,
        api::status_list::status_list,
        api::well_known::jwks,
        api::well_known::openid_configuration,
        api::health::healthz,
        api::health::readyz,
    ),
    tags(
        (name = "accounts", description = "Who has one"),
        (name = "tokens", description = "Proof of a login, for other services"),
        (name = "sessions", description = "Logins, seen and ended by their owner"),
        (name = "services", description = "For the other services and for reverse proxies"),
        (name = "operation", description = "For those who run the service"),
    ),
    modifiers(&Credentials)
)]
struct Document;

/// How a request says whose it is.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.bearer_format = Some("JWT".to_owned());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        let basic = Http::new(HttpAuthScheme::Basic);
        components.add_security_scheme("service", SecurityScheme::Http(basic));
    }
}

/// The document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
