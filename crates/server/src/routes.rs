//! Every path of the service.

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use service::App;

use crate::api::{docs, health, login, refresh, register, verify};
use crate::edge::Edge;
use crate::endpoint::Api;
use crate::error::Error;
use crate::settings::ServerSettings;

/// A route, whatever the spelling of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Register,
    Login,
    Refresh,
    Verify,
    Healthz,
    Readyz,
    OpenApi,
    Docs,
    Unknown,
}

impl Route {
    pub(crate) const ALL: [Self; 9] = [
        Self::Verify,
        Self::Refresh,
        Self::Login,
        Self::Register,
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

    /// The route of a path.
    pub(crate) fn of(path: &str) -> Self {
        let found = Self::ALL.into_iter().find(|route| route.paths().contains(&path));
        match found {
            Some(route) => route,
            None if path.starts_with("/docs/") => Self::Docs,
            None => Self::Unknown,
        }
    }
}

/// The service: everything that it answers over HTTP, with everything around it.
#[must_use]
pub fn router(app: App, settings: ServerSettings) -> Edge {
    let api = Api::new(app, settings.clone());
    let mut router = Router::new();
    router = at(router, Route::Register, any(register::register));
    router = at(router, Route::Login, any(login::login));
    router = at(router, Route::Refresh, any(refresh::refresh));
    router = at(router, Route::Verify, any(verify::verify));
    router = at(router, Route::Healthz, get(health::healthz));
    router = at(router, Route::Readyz, get(health::readyz));
    if settings.docs {
        router = at(router, Route::OpenApi, get(docs::openapi));
        router = router.route("/docs", get(docs::redirect));
        router = router.route("/docs/", get(docs::page));
        router = router.route("/docs/{file}", get(docs::file));
    }
    let router = router.fallback(not_found).method_not_allowed_fallback(method_not_allowed);
    Edge::around(router.with_state(api), settings)
}

fn at(router: Router<Api>, route: Route, handler: MethodRouter<Api>) -> Router<Api> {
    route.paths().iter().fold(router, |router, path| router.route(path, handler.clone()))
}

async fn not_found() -> Response {
    Error::NotFound.into_response()
}

async fn method_not_allowed(request: Request) -> Response {
    Error::MethodNotAllowed(request.method().to_string()).into_response()
}
