//! One connection.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use http::Request;
use http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::timed::{Phase, Timed};
use crate::edge::Edge;
use crate::settings::Limits;

/// The head of a request ends within so many bytes. The edge refuses less than that in words; this is for what never
/// gets there.
const MAX_HEAD: usize = 32 * 1024;
/// What is read ahead of a connection; the least that holds a head.
const MAX_BUFFER: usize = 64 * 1024;

pub(super) struct Connection {
    pub(super) edge: Edge,
    pub(super) limits: Limits,
    pub(super) peer: IpAddr,
}

impl Connection {
    /// Answers requests until the client leaves, does what it must not, or the service ends.
    pub(super) async fn run(self, stream: TcpStream, shutdown: CancellationToken) {
        // Answers are one small write; there is nothing to gather. A socket that refuses works as well.
        let _ = stream.set_nodelay(true);
        let phase = Arc::new(Phase::default());
        let io = TokioIo::new(Timed::new(stream, Arc::clone(&phase), &self.limits));
        let service = service_fn(move |request: Request<Incoming>| {
            phase.busy();
            let (edge, phase, peer) = (self.edge.clone(), Arc::clone(&phase), self.peer);
            async move {
                let response = edge.handle(request.map(Body::new), peer).await;
                phase.answered(response.headers().contains_key(CONNECTION));
                Ok::<_, Infallible>(response)
            }
        });
        let mut http = http1::Builder::new();
        http.max_header_size(MAX_HEAD).max_buf_size(MAX_BUFFER);
        let mut connection = pin!(http.serve_connection(io, service));
        // Errors concern this client alone: it left, was too slow, or spoke no HTTP (hyper has told it so).
        let ended = shutdown.run_until_cancelled(connection.as_mut()).await;
        if ended.is_none() {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
