//! The OpenAPI 3.1 document, made from the handlers and their types. A test compares it with the router.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::api;

mod common;

use common::Common;

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
        api::admin::user::list,
        api::admin::user::create,
        api::admin::user::get,
        api::admin::user::delete,
        api::admin::user::disable,
        api::admin::user::enable,
        api::admin::user::reset,
        api::admin::role::give,
        api::admin::role::take,
        api::admin::session::list,
        api::admin::session::end_all,
        api::admin::session::end,
        api::admin::member::list,
        api::admin::member::add,
        api::admin::member::remove,
        api::admin::group::list,
        api::admin::group::create,
        api::admin::group::get,
        api::admin::group::delete,
        api::admin::group::give,
        api::admin::group::take,
        api::admin::key::list,
        api::admin::key::rotate,
        api::admin::event::list,
        api::admin::api_key::list,
        api::admin::api_key::create,
        api::admin::api_key::revoke,
        api::admin::bootstrap::bootstrap,
        api::token::token,
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
        (name = "admin", description = "For administrators, where ADMIN_API is on"),
        (name = "operation", description = "For those who run the service"),
    ),
    modifiers(&Credentials, &Common)
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

/// The document of a service without the routes of administrators.
#[must_use]
pub(crate) fn document_without_admin() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.paths.paths.retain(|path, _| !path.starts_with("/admin/"));
    document
}
