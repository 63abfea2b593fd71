//! Every path of the service.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, delete, get, post, put};
use http::{Method, Request};
use service::App;
use tower::Service;

use crate::api::{
    admin, docs, email, forward_auth, health, introspect, login, logout, me, password, refresh, register,
    revoke, session, status_list, token, verify, well_known,
};
use crate::edge::{Context, Edge};
use crate::endpoint::Api;
use crate::error::Error;
use crate::extract::body::Incoming;
use crate::metrics::HttpMetrics;
use crate::settings::ServerSettings;

/// A route, whatever the spelling of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Register,
    Login,
    Refresh,
    Verify,
    Sessions,
    Session,
    Logout,
    LogoutAll,
    Me,
    MeExport,
    MeKeep,
    EmailVerify,
    EmailVerifyConfirm,
    EmailChange,
    PasswordChange,
    PasswordReset,
    PasswordResetConfirm,
    Introspect,
    Revoke,
    ForwardAuth,
    StatusList,
    AdminUsers,
    AdminUser,
    AdminDisable,
    AdminEnable,
    AdminReset,
    AdminRole,
    AdminSessions,
    AdminSession,
    AdminMemberships,
    AdminMembership,
    AdminGroups,
    AdminGroup,
    AdminPermission,
    AdminKeys,
    AdminRotate,
    AdminAudit,
    AdminBootstrap,
    AdminApiKeys,
    AdminApiKey,
    Token,
    Jwks,
    OpenIdConfiguration,
    Healthz,
    Readyz,
    OpenApi,
    Docs,
    Unknown,
}

impl Route {
    pub(crate) const ALL: [Self; 48] = [
        Self::Verify,
        Self::Refresh,
        Self::Login,
        Self::Register,
        Self::Sessions,
        Self::Session,
        Self::Logout,
        Self::LogoutAll,
        Self::Me,
        Self::MeExport,
        Self::MeKeep,
        Self::EmailVerify,
        Self::EmailVerifyConfirm,
        Self::EmailChange,
        Self::PasswordChange,
        Self::PasswordReset,
        Self::PasswordResetConfirm,
        Self::Introspect,
        Self::Revoke,
        Self::ForwardAuth,
        Self::StatusList,
        Self::AdminUsers,
        Self::AdminUser,
        Self::AdminDisable,
        Self::AdminEnable,
        Self::AdminReset,
        Self::AdminRole,
        Self::AdminSessions,
        Self::AdminSession,
        Self::AdminMemberships,
        Self::AdminMembership,
        Self::AdminGroups,
        Self::AdminGroup,
        Self::AdminPermission,
        Self::AdminKeys,
        Self::AdminRotate,
        Self::AdminAudit,
        Self::AdminBootstrap,
        Self::AdminApiKeys,
        Self::AdminApiKey,
        Self::Token,
        Self::Jwks,
        Self::OpenIdConfiguration,
        Self::Healthz,
        Self::Readyz,
        Self::OpenApi,
        Self::Docs,
        Self::Unknown,
    ];

    /// The paths that lead to it. The gateway forwards `/auth..` unchanged; a redirect to the slash would lose bodies.
    const fn paths(self) -> &'static [&'static str] {
        match self {
            Self::Register => &["/register/", "/register", "/auth/register/", "/auth/register"],
            Self::Login => &["/login/", "/login", "/auth/login/", "/auth/login"],
            Self::Refresh => &["/refresh/", "/refresh", "/auth/refresh/", "/auth/refresh"],
            Self::Verify => &["/verify/", "/verify", "/auth/verify/", "/auth/verify"],
            Self::Sessions => &["/sessions/", "/sessions", "/auth/sessions/", "/auth/sessions"],
            Self::Session => {
                &["/sessions/{id}/", "/sessions/{id}", "/auth/sessions/{id}/", "/auth/sessions/{id}"]
            }
            Self::Logout => &["/logout/", "/logout", "/auth/logout/", "/auth/logout"],
            Self::LogoutAll => &["/logout/all/", "/logout/all", "/auth/logout/all/", "/auth/logout/all"],
            Self::Me => &["/me/", "/me", "/auth/me/", "/auth/me"],
            Self::MeExport => &["/me/export/", "/me/export", "/auth/me/export/", "/auth/me/export"],
            Self::MeKeep => &["/me/keep/", "/me/keep", "/auth/me/keep/", "/auth/me/keep"],
            Self::EmailVerify => {
                &["/email/verify/", "/email/verify", "/auth/email/verify/", "/auth/email/verify"]
            }
            Self::EmailVerifyConfirm => &[
                "/email/verify/confirm/",
                "/email/verify/confirm",
                "/auth/email/verify/confirm/",
                "/auth/email/verify/confirm",
            ],
            Self::EmailChange => {
                &["/email/change/", "/email/change", "/auth/email/change/", "/auth/email/change"]
            }
            Self::PasswordChange => {
                &["/password/change/", "/password/change", "/auth/password/change/", "/auth/password/change"]
            }
            Self::PasswordReset => {
                &["/password/reset/", "/password/reset", "/auth/password/reset/", "/auth/password/reset"]
            }
            Self::PasswordResetConfirm => &[
                "/password/reset/confirm/",
                "/password/reset/confirm",
                "/auth/password/reset/confirm/",
                "/auth/password/reset/confirm",
            ],
            Self::Introspect => &["/introspect/", "/introspect", "/auth/introspect/", "/auth/introspect"],
            Self::Revoke => &["/revoke/", "/revoke", "/auth/revoke/", "/auth/revoke"],
            Self::ForwardAuth => {
                &["/forward-auth", "/forward-auth/", "/auth/forward-auth", "/auth/forward-auth/"]
            }
            Self::StatusList => &["/status-lists/{list}", "/auth/status-lists/{list}"],
            Self::AdminUsers => {
                &["/admin/api/users/", "/admin/api/users", "/auth/admin/api/users/", "/auth/admin/api/users"]
            }
            Self::AdminUser => &[
                "/admin/api/users/{id}/",
                "/admin/api/users/{id}",
                "/auth/admin/api/users/{id}/",
                "/auth/admin/api/users/{id}",
            ],
            Self::AdminDisable => &[
                "/admin/api/users/{id}/disable/",
                "/admin/api/users/{id}/disable",
                "/auth/admin/api/users/{id}/disable/",
                "/auth/admin/api/users/{id}/disable",
            ],
            Self::AdminEnable => &[
                "/admin/api/users/{id}/enable/",
                "/admin/api/users/{id}/enable",
                "/auth/admin/api/users/{id}/enable/",
                "/auth/admin/api/users/{id}/enable",
            ],
            Self::AdminReset => &[
                "/admin/api/users/{id}/reset/",
                "/admin/api/users/{id}/reset",
                "/auth/admin/api/users/{id}/reset/",
                "/auth/admin/api/users/{id}/reset",
            ],
            Self::AdminRole => &[
                "/admin/api/users/{id}/roles/{role}/",
                "/admin/api/users/{id}/roles/{role}",
                "/auth/admin/api/users/{id}/roles/{role}/",
                "/auth/admin/api/users/{id}/roles/{role}",
            ],
            Self::AdminSessions => &[
                "/admin/api/users/{id}/sessions/",
                "/admin/api/users/{id}/sessions",
                "/auth/admin/api/users/{id}/sessions/",
                "/auth/admin/api/users/{id}/sessions",
            ],
            Self::AdminSession => &[
                "/admin/api/users/{id}/sessions/{session}/",
                "/admin/api/users/{id}/sessions/{session}",
                "/auth/admin/api/users/{id}/sessions/{session}/",
                "/auth/admin/api/users/{id}/sessions/{session}",
            ],
            Self::AdminMemberships => &[
                "/admin/api/users/{id}/groups/",
                "/admin/api/users/{id}/groups",
                "/auth/admin/api/users/{id}/groups/",
                "/auth/admin/api/users/{id}/groups",
            ],
            Self::AdminMembership => &[
                "/admin/api/users/{id}/groups/{group}/",
                "/admin/api/users/{id}/groups/{group}",
                "/auth/admin/api/users/{id}/groups/{group}/",
                "/auth/admin/api/users/{id}/groups/{group}",
            ],
            Self::AdminGroups => &[
                "/admin/api/groups/",
                "/admin/api/groups",
                "/auth/admin/api/groups/",
                "/auth/admin/api/groups",
            ],
            Self::AdminGroup => &[
                "/admin/api/groups/{id}/",
                "/admin/api/groups/{id}",
                "/auth/admin/api/groups/{id}/",
                "/auth/admin/api/groups/{id}",
            ],
            Self::AdminPermission => &[
                "/admin/api/groups/{id}/permissions/{permission}/",
                "/admin/api/groups/{id}/permissions/{permission}",
                "/auth/admin/api/groups/{id}/permissions/{permission}/",
                "/auth/admin/api/groups/{id}/permissions/{permission}",
            ],
            Self::AdminKeys => {
                &["/admin/api/keys/", "/admin/api/keys", "/auth/admin/api/keys/", "/auth/admin/api/keys"]
            }
            Self::AdminRotate => &[
                "/admin/api/keys/rotate/",
                "/admin/api/keys/rotate",
                "/auth/admin/api/keys/rotate/",
                "/auth/admin/api/keys/rotate",
            ],
            Self::AdminAudit => {
                &["/admin/api/audit/", "/admin/api/audit", "/auth/admin/api/audit/", "/auth/admin/api/audit"]
            }
            Self::AdminBootstrap => &[
                "/admin/api/bootstrap/",
                "/admin/api/bootstrap",
                "/auth/admin/api/bootstrap/",
                "/auth/admin/api/bootstrap",
            ],
            Self::AdminApiKeys => &[
                "/admin/api/api-keys/",
                "/admin/api/api-keys",
                "/auth/admin/api/api-keys/",
                "/auth/admin/api/api-keys",
            ],
            Self::AdminApiKey => &[
                "/admin/api/api-keys/{id}/",
                "/admin/api/api-keys/{id}",
                "/auth/admin/api/api-keys/{id}/",
                "/auth/admin/api/api-keys/{id}",
            ],
            Self::Token => &["/token/", "/token", "/auth/token/", "/auth/token"],
            Self::Jwks => &["/.well-known/jwks.json", "/auth/.well-known/jwks.json"],
            Self::OpenIdConfiguration => {
                &["/.well-known/openid-configuration", "/auth/.well-known/openid-configuration"]
            }
            Self::Healthz => &["/healthz"],
            Self::Readyz => &["/readyz"],
            Self::OpenApi => &["/openapi.json"],
            Self::Docs => &["/docs/", "/docs"],
            Self::Unknown => &[],
        }
    }

    /// Its name in logs, metrics and the OpenAPI document.
    pub(crate) const fn template(self) -> &'static str {
        match self.paths() {
            [first, ..] => first,
            [] => "unknown",
        }
    }

    /// Whether what it answers is for the pages of every origin to read: it is public, and says nothing of the client.
    pub(crate) const fn is_public(self) -> bool {
        matches!(self, Self::Jwks | Self::OpenIdConfiguration | Self::StatusList)
    }

    /// The route of a path.
    pub(crate) fn of(path: &str) -> Self {
        let exact = Self::ALL.into_iter().find(|route| route.paths().contains(&path));
        let fits = |route: &Self| route.paths().iter().any(|template| fits(template, path));
        match exact.or_else(|| Self::ALL.into_iter().find(fits)) {
            Some(route) => route,
            None if path.starts_with("/docs/") => Self::Docs,
            None if below_forward_auth(path) => Self::ForwardAuth,
            None => Self::Unknown,
        }
    }
}

fn below_forward_auth(path: &str) -> bool {
    path.strip_prefix("/auth").unwrap_or(path).starts_with("/forward-auth/")
}

/// Whether a path is of the form of a template, where `{id}` stands for anything in one segment.
fn fits(template: &str, path: &str) -> bool {
    let (mut ours, mut theirs) = (template.split('/'), path.split('/'));
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == other || (one.starts_with('{') && !other.is_empty()) => {}
            _ => return false,
        }
    }
}

/// The service: everything that it answers over HTTP, with everything around it.
#[must_use]
pub fn router(app: App, settings: ServerSettings) -> Edge {
    assemble(app, settings, Arc::default())
}

/// The same with the routes of administrators, for a listener of their own beside that of `server` (AD-02). Whoever administers also logs in
/// there. What it answers counts among the requests of `server`.
#[must_use]
pub fn admin_router(app: App, server: &Edge) -> Edge {
    assemble(app, ServerSettings { admin: true, ..server.settings().clone() }, server.metrics())
}

fn assemble(app: App, settings: ServerSettings, metrics: Arc<HttpMetrics>) -> Edge {
    let api = Api::new(app, settings.clone());
    let mut others = Router::new();
    others = at(others, Route::Sessions, get(session::list));
    others = at(others, Route::Session, delete(session::end));
    others = at(others, Route::Logout, post(logout::logout));
    others = at(others, Route::LogoutAll, post(logout::logout_all));
    others = at(others, Route::Me, get(me::show).patch(me::rename).delete(me::close));
    others = at(others, Route::MeExport, get(me::export));
    others = at(others, Route::MeKeep, post(me::keep));
    others = at(others, Route::EmailVerify, post(email::send));
    others = at(others, Route::EmailVerifyConfirm, post(email::confirm));
    others = at(others, Route::EmailChange, post(email::change));
    others = at(others, Route::PasswordChange, post(password::change));
    others = at(others, Route::PasswordReset, post(password::reset));
    others = at(others, Route::PasswordResetConfirm, post(password::confirm_reset));
    others = at(others, Route::Introspect, post(introspect::introspect));
    others = at(others, Route::Revoke, post(revoke::revoke));
    others = at(others, Route::Token, post(token::token));
    others = at(others, Route::ForwardAuth, any(forward_auth::forward_auth));
    for path in ["/forward-auth/{*below}", "/auth/forward-auth/{*below}"] {
        others = others.route(path, any(forward_auth::forward_auth));
    }
    others = at(others, Route::StatusList, get(status_list::status_list));
    others = at(others, Route::Jwks, get(well_known::jwks));
    others = at(others, Route::OpenIdConfiguration, get(well_known::openid_configuration));
    if settings.admin {
        others = administration(others);
    }
    others = at(others, Route::Healthz, get(health::healthz));
    others = at(others, Route::Readyz, get(health::readyz));
    if settings.docs {
        others = at(others, Route::OpenApi, get(docs::openapi));
        others = others.route("/docs", get(docs::redirect));
        others = others.route("/docs/", get(docs::page));
        others = others.route("/docs/{file}", get(docs::file));
    }
    let others = others.fallback(not_found).method_not_allowed_fallback(method_not_allowed);
    Edge::new(Routes { others: others.with_state(api.clone()), api: Some(api) }, settings, metrics)
}

/// The routes of administrators.
fn administration(mut routes: Router<Api>) -> Router<Api> {
    routes = at(routes, Route::AdminUsers, get(admin::user::list).post(admin::user::create));
    routes = at(routes, Route::AdminUser, get(admin::user::get).delete(admin::user::delete));
    routes = at(routes, Route::AdminDisable, post(admin::user::disable));
    routes = at(routes, Route::AdminEnable, post(admin::user::enable));
    routes = at(routes, Route::AdminReset, post(admin::user::reset));
    routes = at(routes, Route::AdminRole, put(admin::role::give).delete(admin::role::take));
    routes = at(routes, Route::AdminSessions, get(admin::session::list).delete(admin::session::end_all));
    routes = at(routes, Route::AdminSession, delete(admin::session::end));
    routes = at(routes, Route::AdminMemberships, get(admin::member::list));
    routes = at(routes, Route::AdminMembership, put(admin::member::add).delete(admin::member::remove));
    routes = at(routes, Route::AdminGroups, get(admin::group::list).post(admin::group::create));
    routes = at(routes, Route::AdminGroup, get(admin::group::get).delete(admin::group::delete));
    routes = at(routes, Route::AdminPermission, put(admin::group::give).delete(admin::group::take));
    routes = at(routes, Route::AdminKeys, get(admin::key::list));
    routes = at(routes, Route::AdminRotate, post(admin::key::rotate));
    routes = at(routes, Route::AdminAudit, get(admin::event::list));
    routes = at(routes, Route::AdminApiKeys, get(admin::api_key::list).post(admin::api_key::create));
    routes = at(routes, Route::AdminApiKey, delete(admin::api_key::revoke));
    at(routes, Route::AdminBootstrap, post(admin::bootstrap::bootstrap))
}

/// Where requests are answered. The routes of the API document are fixed paths that take every method, so they need no
/// router; its way costs as much as a token check.
pub(crate) struct Routes {
    pub(crate) api: Option<Api>,
    pub(crate) others: Router,
}

impl Routes {
    pub(crate) async fn answer<B: Incoming>(
        &self,
        route: Route,
        context: Context,
        request: Request<B>,
    ) -> Response {
        let Some(api) = &self.api else { return self.other(context, request).await };
        match route {
            Route::Verify => verify::verify(api, context, request).await,
            // These take their time; in a box they take no room in the future of every token check.
            Route::Refresh => Box::pin(refresh::refresh(api, context, request)).await,
            Route::Login => Box::pin(login::login(api, context, request)).await,
            Route::Register => Box::pin(register::register(api, context, request)).await,
            _ => Box::pin(self.other(context, request)).await,
        }
    }

    fn other<B: Incoming>(
        &self,
        context: Context,
        mut request: Request<B>,
    ) -> impl Future<Output = Response> + use<B> {
        request.extensions_mut().insert(context);
        let answer = self.others.clone().call(request.map(Body::new));
        async { answer.await.unwrap_or_else(|never| match never {}) }
    }
}

fn at(router: Router<Api>, route: Route, handler: MethodRouter<Api>) -> Router<Api> {
    route.paths().iter().fold(router, |router, path| router.route(path, handler.clone()))
}

async fn not_found() -> Response {
    Error::NotFound.into_response()
}

async fn method_not_allowed(method: Method) -> Response {
    Error::MethodNotAllowed(method.to_string()).into_response()
}
