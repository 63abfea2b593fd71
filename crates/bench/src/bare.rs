//! The bare handler: the least that the framework must do for a request of the same shape.
//!
//! It reads the body of POST /verify/ into a struct and answers `{}`, with the same framework, version, number of
//! threads and allocator as the service, and nothing else.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Result, bail};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use server::{Edge, Limits, ServerSettings};
use tokio_util::sync::CancellationToken;

use crate::bare_update;

/// The body that POST /verify/ takes.
#[derive(Debug, Deserialize)]
struct VerifyBody {
    token: String,
}

/// `{}`.
#[derive(Debug, Serialize)]
struct Nothing {}

/// The router of the bare handler.
pub(crate) fn router() -> Router {
    Router::new().route("/verify/", post(verify)).route("/healthz", get(healthz))
}

async fn verify(Json(body): Json<VerifyBody>) -> Json<Nothing> {
    // The text must really have been made: an optimiser may drop what nobody reads.
    std::hint::black_box(body.token.as_str());
    Json(Nothing {})
}

async fn healthz() -> &'static str {
    "ok"
}

/// Serves the bare handler on loopback with `workers` network threads until the process is ended; with
/// `middleware` it stands behind what every request to the service passes: its loop for connections and its edge.
/// With `database` it is the handler of [`bare_update`].
pub(crate) fn serve(port: u16, workers: usize, middleware: bool, database: Option<&str>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let router = database.map_or_else(|| Ok(router()), bare_update::router)?;
        if middleware {
            let edge = Edge::around(router, ServerSettings::default());
            return Ok(server::serve(listener, edge, Limits::default(), CancellationToken::new()).await?);
        }
        Ok::<_, anyhow::Error>(axum::serve(listener, router).await?)
    })?;
    bail!("the bare server ended")
}
