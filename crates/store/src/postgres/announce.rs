//! Word of new entries in the feed of changes: NOTIFY from who wrote them, LISTEN by everyone.
//!
//! A notification is a hint to look at once, never the news itself. It is sent after the commit and outside of it:
//! a transaction with a NOTIFY in it would hold a lock over its whole commit that all others with one wait for.

use std::future::poll_fn;

use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client};

use super::connect::Connector;
use crate::{Error, Result};

/// The hint is not worth a flush to the disk.
pub(super) const ANNOUNCE: &str =
    "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY bookstore_auth_changes; COMMIT";
const LISTEN: &str = "LISTEN bookstore_auth_changes";

/// A connection that hears announcements. It ends with the connection.
pub(crate) struct Listener {
    heard: mpsc::Receiver<()>,
    /// The connection lives as long as its client.
    _client: Client,
}

impl Listener {
    pub(super) async fn open(connector: &Connector) -> Result<Self> {
        let (client, mut connection) = connector.connect().await?;
        // One place: an announcement that nobody has looked at yet stands for all that follow.
        let (sender, heard) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    // Full means that word is waiting already.
                    let _ = sender.try_send(());
                }
            }
        });
        super::transaction::limited(client.batch_execute(LISTEN)).await?;
        Ok(Self { heard, _client: client })
    }

    pub(crate) async fn next(&mut self) -> Result<()> {
        self.heard.recv().await.ok_or_else(|| Error::unavailable("the connection that listens has ended"))
    }
}
