//! Failed logins to names that nobody has, in a fixed number of slots: bounded however many names are tried.

use crate::{Dialect, Param, Result, Tx};

const FIND: &str = "SELECT failures FROM unknown_names WHERE slot = $1";
const INSERT: &str =
    "INSERT INTO unknown_names (slot, failures) VALUES ($1, $2) ON CONFLICT (slot) DO NOTHING";
const UPDATE: &str = "UPDATE unknown_names SET failures = $3 WHERE slot = $1 AND failures = $2";

const LOCK: &str = "SELECT failures FROM unknown_names WHERE slot = $1 FOR NO KEY UPDATE";

/// Every statement of this file that both engines read.
pub const STATEMENTS: &[&str] = &[FIND, INSERT, UPDATE];
/// Those for PostgreSQL.
pub const POSTGRES_STATEMENTS: &[&str] = &[LOCK];

/// The encoded `domain::throttle::FailureLog` of a slot; nobody else changes it until this transaction ends.
pub async fn lock(tx: &mut Tx, slot: i64) -> Result<Option<Vec<u8>>> {
    let statement = match tx.dialect() {
        Dialect::Sqlite => FIND,
        Dialect::Postgres => LOCK,
    };
    let row = tx.query_opt(statement, &[slot.into()]).await?;
    row.map(|row| row.blob(0).map(<[u8]>::to_vec)).transpose()
}

/// Writes a slot, if it still holds `old`.
pub async fn save(tx: &mut Tx, slot: i64, old: Option<&[u8]>, new: &[u8]) -> Result<bool> {
    let changed = match old {
        Some(old) => tx.execute(UPDATE, &[slot.into(), Param::Blob(old), Param::Blob(new)]).await?,
        None => tx.execute(INSERT, &[slot.into(), Param::Blob(new)]).await?,
    };
    Ok(changed == 1)
}
