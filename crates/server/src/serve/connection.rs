//! One connection.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::task::Poll;

use futures_util::FutureExt;
use http::Request;
use http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::ending::{Ending, Stage};
use super::timed::{Phase, Timed};
use crate::edge::Edge;
use crate::settings::Limits;

/// The head of a request ends within so many bytes. The edge refuses less than that in words; this is for what never
/// gets there.
const MAX_HEAD: usize = 32 * 1024;
/// What is read ahead of a connection; the least that holds a head.
const MAX_BUFFER: usize = 64 * 1024;

/// Answers requests until the client leaves, does what it must not, or the service ends.
pub(super) async fn run(stream: TcpStream, peer: IpAddr, edge: Edge, limits: Limits, ending: &Ending) {
    // Answers are one small write; there is nothing to gather. A socket that refuses works as well.
    let _ = stream.set_nodelay(true);
    let phase = Phase::new();
    let io = TokioIo::new(Timed::new(stream, phase.clone(), &limits));
    let (edge, phase) = (&edge, &phase);
    let service = service_fn(move |request: Request<Incoming>| {
        phase.busy();
        edge.handle(request, peer).map(|response| {
            phase.answered(response.headers().contains_key(CONNECTION));
            Ok::<_, Infallible>(response)
        })
    });
    let mut http = http1::Builder::new();
    http.max_header_size(MAX_HEAD).max_buf_size(MAX_BUFFER);
    let mut connection = pin!(http.serve_connection(io, service));
    let mut known = None;
    // Errors concern this client alone: it left, was too slow, or spoke no HTTP (hyper has told it so).
    poll_fn(|context| {
        if known != Some(ending.stage()) {
            ending.watch(context.waker());
            let stage = ending.stage();
            match stage {
                Stage::Open => {}
                Stage::Drain => connection.as_mut().graceful_shutdown(),
                Stage::Cut => return Poll::Ready(()),
            }
            known = Some(stage);
        }
        connection.as_mut().poll(context).map(drop)
    })
    .await;
}
