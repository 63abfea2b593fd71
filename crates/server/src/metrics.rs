//! Metrics for Prometheus, on a listener of their own (KY-06). Labels are routes and statuses, never anything that a
//! client chooses, so the number of series is bounded (DS-03).

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use prometheus_client::registry::Registry;
use service::App;

use crate::edge::Edge;
use crate::settings::ServerSettings;

mod app;
mod requests;

pub(crate) use requests::HttpMetrics;

/// The service that shows the metrics of an application and of the edge before it, at /metrics.
#[must_use]
pub fn metrics_router(app: App, server: &Edge) -> Edge {
    let mut registry = Registry::with_prefix("bookstore_auth");
    registry.register_collector(Box::new(requests::HttpCollector(server.metrics())));
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
