//! Serving connections: an accept loop of our own on hyper, because what a hostile client may hold (a connection, a half
//! request, an unread answer) must be bounded in number and time (IN-02), and an end must be an end (DS-05).

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::edge::Edge;
use crate::settings::Limits;

mod connection;
mod ending;
mod slots;
mod timed;

use ending::{Endings, Stage};
use slots::Slots;

/// After an error that concerns no single connection (no file descriptors left) the loop waits so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that were cut off get so long to notice.
const CUT: Duration = Duration::from_secs(1);

/// Serves connections until `shutdown`; then no new ones are taken, idle ones are closed, and requests in work have
/// `limits.drain` to finish.
///
/// # Errors
/// When the listener cannot tell its address.
pub async fn serve(
    listener: TcpListener,
    edge: Edge,
    limits: Limits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let slots = Slots::new(&limits, edge.settings().trusted_proxies.clone());
    let (connections, endings) = (TaskTracker::new(), Endings::default());
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                accept_failed(&error).await;
                continue;
            }
        };
        // A client that has too many connections finds this one closed.
        let Some(slot) = slots.take(peer.ip()) else { continue };
        let (edge, limits, listed) = (edge.clone(), limits.clone(), endings.list());
        connections.spawn(async move {
            connection::run(stream, peer.ip(), edge, limits, &listed.ending).await;
            drop((listed, slot));
        });
    }
    drop(listener);
    connections.close();
    endings.tell(Stage::Drain);
    if tokio::time::timeout(limits.drain, connections.wait()).await.is_err() {
        tracing::warn!(%address, connections = connections.len(), "requests did not finish in time and were cut off");
        endings.tell(Stage::Cut);
        let _ = tokio::time::timeout(CUT, connections.wait()).await;
    }
    Ok(())
}

async fn accept_failed(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "cannot accept connections");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
