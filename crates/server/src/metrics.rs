//! Metrics for Prometheus, on a listener of their own (KY-06). Labels are routes and statuses, never anything that a
//! client chooses, so the number of series is bounded (DS-03).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use service::App;

use crate::edge::Edge;
use crate::routes::Route;
use crate::settings::ServerSettings;

mod app;

/// Upper bounds of the duration buckets, in seconds: token checks take microseconds, logins tens of milliseconds.
const BUCKETS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];
/// The statuses that we answer with; a foreign one counts as 0.
const STATUSES: [u16; 20] =
    [200, 201, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 413, 414, 415, 429, 431, 500, 503, 0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

/// Counts of requests. The series in use are found by index: looking a label set up would cost more than counting.
pub(crate) struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabel, Histogram>,
    counters: Box<[OnceLock<Counter>]>,
    histograms: [OnceLock<Histogram>; Route::ALL.len()],
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            counters: (0..Route::ALL.len() * STATUSES.len()).map(|_| OnceLock::new()).collect(),
            histograms: [const { OnceLock::new() }; Route::ALL.len()],
        }
    }
}

impl HttpMetrics {
    /// Notes an answered request.
    pub(crate) fn record(&self, route: Route, status: StatusCode, elapsed: Duration) {
        let row = route as usize;
        let template = route.template();
        let known = STATUSES.iter().position(|known| *known == status.as_u16());
        let cell = known.unwrap_or(STATUSES.len() - 1);
        let labels = || RequestLabels { route: template, status: STATUSES[cell] };
        let counter = || self.requests.get_or_create_owned(&labels());
        self.counters[row * STATUSES.len() + cell].get_or_init(counter).inc();
        let histogram = || self.durations.get_or_create_owned(&RouteLabel { route: template });
        self.histograms[row].get_or_init(histogram).observe(elapsed.as_secs_f64());
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Answered requests", self.requests.clone());
        registry.register("http_request_duration_seconds", "Time to answer", self.durations.clone());
    }
}

/// The service that shows the metrics of an application and of the edge before it, at /metrics.
#[must_use]
pub fn metrics_router(app: App, server: &Edge) -> Edge {
    let mut registry = Registry::with_prefix("bookstore_auth");
    server.metrics().register(&mut registry);
    registry.register_collector(Box::new(app::AppCollector::new(app)));
    let router = Router::new().route("/metrics", get(show)).with_state(Arc::new(registry));
    Edge::around(router, ServerSettings::default())
}

async fn show(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}
