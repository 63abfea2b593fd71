//! What happens to every request before and after its handler, in one place and one pass.
//!
//! Before: the request gets a name and the address of its client; what is too large, ambiguous, of a foreign host or
//! beyond what we can carry is refused; preflights are answered. After: security headers, CORS, metrics and a line in the
//! log. A handler that panics or takes too long is cut off here.
//!
//! This is a single hand-written service, not a stack of layers: it stands before every token check, and each boxed layer
//! costs about as much as the check itself.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router};
use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use tower::Service;

use crate::error::{self, Error};
use crate::extract::body::within;
use crate::metrics::HttpMetrics;
use crate::request_id::{self, RequestIds};
use crate::routes::{Route, Routes};
use crate::settings::ServerSettings;
use crate::{client, cors, headers, host, path};

/// Path and query, in bytes (IN-01).
const MAX_URI: usize = 8 * 1024;
/// Header names and values, in bytes, and header fields.
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_HEADER_FIELDS: usize = 100;

/// A router with everything around it that every request needs. Cheap to clone.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

struct Inner {
    routes: Routes,
    settings: ServerSettings,
    policy: cors::Policy,
    ids: RequestIds,
    metrics: Arc<HttpMetrics>,
    in_flight: AtomicUsize,
    warned_of_proxy: AtomicBool,
}

/// What the handlers are told of a request beside what it says itself.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) request_id: String,
    pub(crate) client: IpAddr,
}

/// What is remembered of a request for its answer.
struct Asked {
    started: Instant,
    method: Method,
    route: Route,
    id: HeaderValue,
    origin: Option<HeaderValue>,
    client: IpAddr,
    https: bool,
    preflight: bool,
}

impl Edge {
    /// Puts the edge around a router.
    #[must_use]
    pub fn around(router: Router, settings: ServerSettings) -> Self {
        Self::new(Routes { api: None, others: router }, settings, Arc::default())
    }

    /// The same around the routes of the service; requests are counted in `metrics`.
    pub(crate) fn new(routes: Routes, settings: ServerSettings, metrics: Arc<HttpMetrics>) -> Self {
        Self(Arc::new(Inner {
            routes,
            policy: cors::Policy::new(&settings.cors),
            ids: RequestIds::new(),
            metrics,
            in_flight: AtomicUsize::new(0),
            warned_of_proxy: AtomicBool::new(false),
            settings,
        }))
    }

    pub(crate) fn settings(&self) -> &ServerSettings {
        &self.0.settings
    }

    pub(crate) fn metrics(&self) -> Arc<HttpMetrics> {
        Arc::clone(&self.0.metrics)
    }

    /// Answers a request of the peer of a connection.
    pub async fn handle<B>(&self, mut request: Request<B>, peer: IpAddr) -> Response
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let this = &*self.0;
        let (asked, context) = this.note(&mut request, peer);
        let _guard = InFlight::new(&this.in_flight);
        let response = match this.refuse(&request, asked.route) {
            Some(refusal) => refusal.into_response(),
            None if asked.preflight => Response::new(Body::empty()),
            None => {
                let answer = pin!(this.routes.answer(asked.route, context, request));
                guard(answer, this.settings.request_timeout).await
            }
        };
        this.finish(asked, response)
    }
}

impl Inner {
    /// Names the request and finds out whose it is.
    #[expect(
        clippy::disallowed_methods,
        reason = "the duration of a request is a metric, no rule depends on it"
    )]
    fn note<B>(&self, request: &mut Request<B>, peer: IpAddr) -> (Asked, Context) {
        let started = Instant::now();
        path::normalise(request.uri_mut());
        let trusted = &self.settings.trusted_proxies;
        let (client, proxied) = if trusted.is_empty() {
            (peer.to_canonical(), false)
        } else {
            let proxied = client::is_trusted(peer.to_canonical(), trusted);
            (client::address(peer, request.headers(), trusted), proxied)
        };
        if !proxied && client::looks_like_a_proxy(peer, request.headers()) {
            self.warn_of_proxy(peer);
        }
        let given = if proxied { request_id::given(request.headers()) } else { None };
        let request_id = given.unwrap_or_else(|| self.ids.next());
        let route = Route::of(request.uri().path());
        let asked = Asked {
            started,
            method: request.method().clone(),
            route,
            id: HeaderValue::from_str(&request_id).unwrap_or(HeaderValue::from_static("")),
            origin: cors::origin(request.headers()).cloned(),
            client,
            https: proxied && client::is_https(request.headers()),
            // What a proxy asks about is not asked of us: a preflight passes no more than other requests without a token.
            preflight: route != Route::ForwardAuth && cors::is_preflight(request.method(), request.headers()),
        };
        (asked, Context { request_id, client })
    }

    /// Whether the request is not even looked at by a handler.
    fn refuse<B>(&self, request: &Request<B>, route: Route) -> Option<Error> {
        let uri = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
        if uri > MAX_URI {
            return Some(Error::UriTooLong);
        }
        if !headers_fit(request.headers()) {
            return Some(Error::HeadersTooLarge);
        }
        if !names_one_host(request) {
            return Some(Error::Malformed("The request must name one host.".into()));
        }
        if self.settings.loopback_hosts_only && !host::is_loopback(request) {
            return Some(Error::Malformed(
                "The development mode answers only to names of this machine.".into(),
            ));
        }
        // Whoever asks whether the process lives must hear it also when there is much to do.
        let overloaded = self.in_flight.load(Ordering::Relaxed) > self.settings.max_in_flight;
        (overloaded && route != Route::Healthz).then_some(Error::Overloaded)
    }

    fn finish(&self, asked: Asked, response: Response) -> Response {
        let mut response = if response.status().is_server_error() {
            headers::server_error(&asked.id, response)
        } else {
            response
        };
        let elapsed = asked.started.elapsed();
        self.metrics.record(asked.route, response.status(), elapsed);
        log(&asked, response.status().as_u16(), elapsed.as_micros());
        let policy = if asked.route.is_public() { &cors::Policy::Any } else { &self.policy };
        let Asked { method, id, origin, https, preflight, .. } = asked;
        if preflight && response.status().is_success() {
            headers::preflight(id, response.headers_mut());
        } else {
            headers::secure(id, https, response.headers_mut());
        }
        if let Some(origin) = &origin {
            policy.apply(&method, origin, response.headers_mut());
        }
        // Whoever keeps a connection open finds another replica now, and not when this one closes it under a request.
        if self.routes.api.as_ref().is_some_and(|api| service::health::is_leaving(&api.app)) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn warn_of_proxy(&self, peer: IpAddr) {
        if !self.warned_of_proxy.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                peer.address = %peer,
                "a peer on a private network sends X-Forwarded-For but is no trusted proxy: all its clients count as one; \
                 if it is your gateway, add it to TRUSTED_PROXIES"
            );
        }
    }
}

/// Lets the handler answer, in time and without harm to others.
async fn guard<F: Future<Output = Response>>(mut answer: Pin<&mut F>, time: Duration) -> Response {
    let guarded = std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
            Ok(polled) => polled,
            // What a panic says may hold secrets (LA-02); the name of the request leads to it.
            Err(_) => Poll::Ready(error::internal()),
        }
    });
    within(time, guarded).await.unwrap_or_else(|| Error::TooSlow.into_response())
}

/// The line about a request. It names the route, never the path or query: secrets have been seen in both (LA-02).
/// Checks and probes that succeed are many and say nothing.
fn log(asked: &Asked, status: u16, elapsed: u128) {
    let id = asked.id.to_str().unwrap_or_default();
    let method = if asked.method.as_str().len() <= 7 { asked.method.as_str() } else { "other" };
    let checks = matches!(
        asked.route,
        Route::Verify | Route::ForwardAuth | Route::Jwks | Route::StatusList | Route::Healthz | Route::Readyz
    );
    let quiet = status < 300 && checks;
    if quiet {
        tracing::debug!(
            request.id = id, http.method = method, http.route = asked.route.template(), http.status = status,
            client.address = %asked.client, duration_us = elapsed, "request"
        );
    } else {
        tracing::info!(
            request.id = id, http.method = method, http.route = asked.route.template(), http.status = status,
            client.address = %asked.client, duration_us = elapsed, "request"
        );
    }
}

fn headers_fit(headers: &HeaderMap) -> bool {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    bytes <= MAX_HEADER_BYTES && headers.len() <= MAX_HEADER_FIELDS
}

/// RFC 9112 section 3.2: a request of HTTP/1.1 has one Host header; older ones may have none (IN-06).
fn names_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match hosts.next() {
        Some(_) => hosts.next().is_none(),
        None => request.version() < Version::HTTP_11,
    }
}

/// Counts a request while it is in work; a client that leaves drops it.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// For tests and other servers. The peer is taken from axum's [`ConnectInfo`], or is this machine.
impl Service<Request<Body>> for Edge {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let edge = self.clone();
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Box::pin(async move { Ok(edge.handle(request, peer).await) })
    }
}
