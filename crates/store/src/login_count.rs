//! How many logins failed and succeeded, by replica and period. A replica writes its own rows alone, so none waits for another.

use domain::throttle::Logins;
use domain::time::Timestamp;

use crate::{Error, Result, Tx};

const SAVE: &str = "INSERT INTO login_counts (period, replica, failures, successes) VALUES ($1, $2, $3, $4) ON CONFLICT (period, replica) DO UPDATE SET failures = excluded.failures, successes = excluded.successes";
const SUM: &str = "SELECT CAST(COALESCE(SUM(failures), 0) AS BIGINT), CAST(COALESCE(SUM(successes), 0) AS BIGINT) FROM login_counts WHERE period > $1 AND period <= $2";
const PURGE: &str = "DELETE FROM login_counts WHERE period < $1 OR period > $2";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[SAVE, SUM, PURGE];

/// Writes what a replica has counted in a period so far; the same again changes nothing.
pub async fn save(tx: &mut Tx, period: Timestamp, replica: &[u8], logins: Logins) -> Result<()> {
    let params = [
        period.micros().into(),
        replica.into(),
        i64::try_from(logins.failures).unwrap_or(i64::MAX).into(),
        i64::try_from(logins.successes).unwrap_or(i64::MAX).into(),
    ];
    tx.execute(SAVE, &params).await.map(drop)
}

/// What all replicas have counted in the periods that began after `after` and not later than `until`.
pub async fn sum(tx: &mut Tx, after: Timestamp, until: Timestamp) -> Result<Logins> {
    let row = tx.query_opt(SUM, &[after.micros().into(), until.micros().into()]).await?;
    let row = row.ok_or(Error::Corrupt("a sum returned no row".into()))?;
    Ok(Logins { failures: row.int(0)?.unsigned_abs(), successes: row.int(1)?.unsigned_abs() })
}

/// Removes periods before `before`, and those that began `after` any that can have: a clock was wrong. Answers how many rows.
pub async fn purge(tx: &mut Tx, before: Timestamp, after: Timestamp) -> Result<u64> {
    tx.execute(PURGE, &[before.micros().into(), after.micros().into()]).await
}
