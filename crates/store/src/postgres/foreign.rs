//! Another program's PostgreSQL database, to be read: one moment of it, over a connection as ours are made.

use tokio_postgres::Client;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::types::ToSql;

use super::connect::Connector;
use super::options::PostgresOptions;
use super::{failure, transaction, value};
use crate::{Error, Result, Row};

/// Statements may take long on a large table; the transaction stays open while what was read is stored elsewhere.
const SETTINGS: &str = "SET statement_timeout = '5min'; SET idle_in_transaction_session_timeout = 0; \
    SET default_transaction_read_only = on";
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const ENCODING: &str = "SELECT current_setting('server_encoding')";

/// A snapshot of another program's database. Nothing can be written through it; a standby will do.
pub struct Foreign {
    client: Client,
}

impl Foreign {
    /// Connects, with TLS as the address says, and begins to read.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Refused`] for a database whose texts have no known encoding.
    pub async fn open(options: &PostgresOptions) -> Result<Self> {
        let mut options = options.clone();
        options.config.target_session_attrs(TargetSessionAttrs::Any);
        let client = Connector::new(&options)?.session().await?;
        transaction::limited(client.batch_execute(SETTINGS)).await?;
        transaction::limited(client.batch_execute(BEGIN)).await?;
        let encoding = transaction::limited(client.query_one(ENCODING, &[])).await?;
        if encoding.get::<_, &str>(0) == "SQL_ASCII" {
            return Err(Error::Refused(
                "the database does not know the encoding of its texts (SQL_ASCII)".into(),
            ));
        }
        Ok(Self { client })
    }

    /// All rows of a statement with numbers for `$1`, `$2`, ... as BIGINT. It holds them in memory: every caller has a LIMIT.
    ///
    /// # Errors
    /// What the server answers.
    pub async fn query(&self, sql: &str, numbers: &[i64]) -> Result<Vec<Row>> {
        let numbers: Vec<&(dyn ToSql + Sync)> =
            numbers.iter().map(|number| number as &(dyn ToSql + Sync)).collect();
        let rows = self.client.query(sql, &numbers).await.map_err(|error| failure::of(&error))?;
        rows.iter().map(value::row).collect()
    }
}
