//! The same on PostgreSQL: one replica at a time, under an advisory lock.

use domain::time::Timestamp;
use tokio_postgres::Client;

use super::{APPLIED, COMPATIBLE_FROM, Migration, Mode, Report, TABLE, checksum, full_name, judge};
use crate::Result;
use crate::postgres::of_driver;

/// A number that is ours in this database.
const LOCK: &str = "SELECT pg_advisory_lock(4912840437520581227)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(4912840437520581227)";
/// By the search path, like every other statement of ours.
const HAS_TABLE: &str = "SELECT to_regclass('schema_migrations') IS NOT NULL";
const NOTE: &str =
    "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)";
const SET_COMPATIBLE_FROM: &str = "INSERT INTO meta (key, value) VALUES ('compatible_from', $1) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value \
    WHERE CAST(meta.value AS BIGINT) < CAST(excluded.value AS BIGINT)";

type Answer<T> = std::result::Result<T, tokio_postgres::Error>;

/// Brings the schema up to date. Where nothing is pending, or nothing may be applied, it only reads.
pub(super) async fn migrate(
    client: &Client,
    known: &'static [Migration],
    mode: Mode,
    now: Timestamp,
) -> Result<Report> {
    let mut applied = Vec::new();
    loop {
        let (version, pending) = compare(client, known).await?;
        let Some(next) = pending.first() else { return Ok(Report { applied, version }) };
        if mode == Mode::Never {
            return Err(crate::Error::MigrationsPending(pending.len()));
        }
        if apply(client, known, next, now).await? {
            tracing::info!(migration = full_name(next), "the schema has been changed");
            applied.push(full_name(next));
        }
    }
}

/// Applies one step, unless another process was faster. What fails is taken back with the connection, which is ours
/// alone, and so is the lock.
///
/// The lock comes before the transaction: one that waited for it inside could go on with what its server process knew of
/// the tables when it began, and not see those that the holder has made.
async fn apply(client: &Client, known: &[Migration], next: &Migration, now: Timestamp) -> Result<bool> {
    client.batch_execute(LOCK).await.map_err(of_driver)?;
    client.batch_execute("BEGIN").await.map_err(of_driver)?;
    let is_pending = compare(client, known).await?.1.first().map(|first| first.version) == Some(next.version);
    if is_pending {
        change(client, next, now).await.map_err(of_driver)?;
    } else {
        client.batch_execute("ROLLBACK").await.map_err(of_driver)?;
    }
    client.batch_execute(UNLOCK).await.map_err(of_driver)?;
    Ok(is_pending)
}

async fn change(client: &Client, next: &Migration, now: Timestamp) -> Answer<()> {
    client.batch_execute(TABLE).await?;
    client.batch_execute(next.sql).await?;
    client.execute(NOTE, &[&next.version, &next.name, &checksum(next.sql), &now.micros()]).await?;
    client.execute(SET_COMPATIBLE_FROM, &[&next.compatible_from.to_string()]).await?;
    client.batch_execute("COMMIT").await
}

/// The schema's version and what this program would add to it.
pub(super) async fn compare<'a>(
    client: &Client,
    known: &'a [Migration],
) -> Result<(i64, Vec<&'a Migration>)> {
    let (applied, compatible_from) = read(client).await.map_err(of_driver)?;
    judge(&applied, compatible_from, known)
}

async fn read(client: &Client) -> Answer<(Vec<(i64, String)>, i64)> {
    let has_table: bool = client.query_one(HAS_TABLE, &[]).await?.try_get(0)?;
    if !has_table {
        return Ok((Vec::new(), 0));
    }
    let rows = client.query(APPLIED, &[]).await?;
    let applied = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Answer<_>>()?;
    let value = client.query_opt(COMPATIBLE_FROM, &[]).await?;
    let value: Option<String> = value.map(|row| row.try_get(0)).transpose()?;
    // A later schema that does not say with whom it works does not work with us.
    Ok((applied, value.and_then(|value| value.parse().ok()).unwrap_or(i64::MAX)))
}
