//! A connection with our settings, and what is asked of the server before it is used.

use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::Connect;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Connection, SimpleQueryMessage, Socket};

use super::options::PostgresOptions;
use super::tls::{Tls, TlsStream};
use super::{CONNECT_LIMIT, failure, transaction};
use crate::{Error, Result};

/// Of every connection, whatever the server's or the role's defaults are: an acknowledged commit is on the disk, and
/// nothing waits or stays open for ever. The search path is the role's.
const SETTINGS: &str = "SET synchronous_commit = on; SET statement_timeout = '5s'; SET lock_timeout = '3s'; \
    SET idle_in_transaction_session_timeout = '10s'; SET TimeZone = 'UTC'; \
    SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off; \
    SET client_min_messages = 'warning'";
/// For work on the schema, which may take long and wait for others that do the same.
const SCHEMA_SETTINGS: &str = "SET statement_timeout = 0; SET lock_timeout = '60s'";

const PROCESS: &str = "SELECT pg_backend_pid()";
const ENCODING: &str = "SELECT current_setting('server_encoding'), current_setting('fsync')";

/// How long a start waits for a server that is starting too, in steps of [`RETRY`].
const RETRIES: u32 = 20;
const RETRY: Duration = Duration::from_millis(500);

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: Tls,
}

type Made = (Client, Connection<Socket, TlsStream>);

impl Connector {
    pub(super) fn new(options: &PostgresOptions) -> Result<Self> {
        Ok(Self { config: options.config.clone(), tls: Tls::new(&options.trust)? })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// A connection whose messages the caller reads, without our settings.
    pub(super) async fn connect(&self) -> Result<Made> {
        let made = tokio::time::timeout(CONNECT_LIMIT, self.config.connect(self.tls.clone())).await;
        let made = made.map_err(|_| Error::unavailable(failure::NO_ANSWER))?;
        made.map_err(|error| failure::of_connecting(&error))
    }

    /// A connection that is no pool's.
    pub(super) async fn session(&self) -> Result<Client> {
        let (client, _) = start(self.connect().await?);
        transaction::limited(client.batch_execute(SETTINGS)).await?;
        transaction::limited(client.batch_execute(SCHEMA_SETTINGS)).await?;
        Ok(client)
    }

    /// Looks whether the server is one that we can rely on.
    pub(super) async fn check_server(&self) -> Result<()> {
        let first = self.first_session().await?;
        let second = self.session().await?;
        let processes = [process(&first).await?, process(&second).await?];
        check_processes(processes)?;
        let settings = transaction::limited(first.query_one(ENCODING, &[])).await?;
        let [encoding, fsync]: [&str; 2] = [settings.get(0), settings.get(1)];
        if fsync != "on" {
            tracing::warn!(
                "the database server runs with fsync = {fsync}: a crash may lose what was acknowledged"
            );
        }
        check_encoding(encoding)
    }

    /// Waits a little for a server that is being started at the same time as we are.
    async fn first_session(&self) -> Result<Client> {
        for _ in 0..RETRIES {
            match self.session().await {
                Err(Error::Unavailable(cause)) if is_starting(&cause.to_string()) => {
                    tokio::time::sleep(RETRY).await;
                }
                other => return other,
            }
        }
        self.session().await
    }
}

/// By the text: both causes have gone through `failure`.
fn is_starting(cause: &str) -> bool {
    cause.contains("(57P03)") || cause.contains("Connection refused")
}

/// The number of the server's process. Asked without a prepared statement: a pooler may have kept those of others.
async fn process(session: &Client) -> Result<String> {
    let answer = transaction::limited(session.simple_query(PROCESS)).await?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.map(str::to_owned).ok_or(Error::unavailable("the database server does not name its process"))
}

/// Two connections that are open at the same time are two processes of the server, unless something between us gives
/// one process to whoever asks next.
fn check_processes([first, second]: [String; 2]) -> Result<()> {
    if first != second { Ok(()) } else { Err(Error::Refused(failure::POOLER.into())) }
}

fn check_encoding(encoding: &str) -> Result<()> {
    if encoding == "UTF8" {
        return Ok(());
    }
    let text = format!("the database has the encoding {encoding}; create it with ENCODING 'UTF8'");
    Err(Error::Refused(text.into()))
}

/// Lets a connection work; it ends with its client.
fn start((client, connection): Made) -> (Client, JoinHandle<()>) {
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = crate::error::chain(&error), "a connection to the database has ended");
        }
    });
    (client, task)
}

type Connecting<'a> = Pin<
    Box<
        dyn Future<Output = std::result::Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + 'a,
    >,
>;

impl Connect for Connector {
    fn connect(&self, config: &Config) -> Connecting<'_> {
        let config = config.clone();
        Box::pin(async move {
            let (client, task) = start(config.connect(self.tls.clone()).await?);
            client.batch_execute(SETTINGS).await?;
            Ok((client, task))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pooler_that_shares_server_processes_is_refused_by_name() {
        let of = |one: &str, other: &str| check_processes([one.to_owned(), other.to_owned()]);
        assert!(of("1", "2").is_ok());
        let refused = of("7", "7").unwrap_err().to_string();
        assert!(refused.contains("PgBouncer") && refused.contains("pool_mode = session"), "{refused}");
    }

    #[test]
    fn text_is_utf_8_or_refused() {
        assert!(check_encoding("UTF8").is_ok());
        assert!(check_encoding("SQL_ASCII").unwrap_err().to_string().contains("ENCODING 'UTF8'"));
    }
}
