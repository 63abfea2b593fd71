//! Word of new entries in the feed of changes: NOTIFY from who wrote them, LISTEN by everyone.
//!
//! A notification is a hint to look at once, never the news itself. It is sent after the commit and outside of it:
//! a transaction with a NOTIFY in it would hold a lock over its whole commit that all others with one wait for.

use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client};

use super::connect::Connector;
use super::transaction::limited;
use crate::{Error, Result};

/// The hint is not worth a flush to the disk.
pub(super) const ANNOUNCE: &str =
    "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY bookstore_auth_changes; COMMIT";
const LISTEN: &str = "LISTEN bookstore_auth_changes";
/// After so long without an announcement the listener asks whether there is anybody.
const SILENCE: Duration = Duration::from_secs(5);

/// A connection that hears announcements. It ends with the connection.
pub(crate) struct Listener {
    heard: mpsc::Receiver<()>,
    /// The connection lives as long as its client.
    client: Client,
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
        limited(client.batch_execute(LISTEN)).await?;
        Ok(Self { heard, client })
    }

    /// Waits for an announcement. When it is long in coming the server is asked whether it is still there: a link that died
    /// without a word sounds like silence.
    pub(crate) async fn next(&mut self) -> Result<()> {
        loop {
            match timeout(SILENCE, self.heard.recv()).await {
                Ok(heard) => {
                    return heard.ok_or_else(|| Error::unavailable("the connection that listens has ended"));
                }
                Err(_) => limited(self.client.batch_execute("")).await?,
            }
        }
    }
}
