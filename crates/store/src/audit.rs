//! The audit trail: rows as they are written with a change.

use domain::audit::Fields;

use crate::{Result, Tx};

const RECORD: &str = "INSERT INTO audit_pending (at, kind, result, actor, actor_id, user_id, session_id, address, user_agent, request_id, detail, salt) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// Every statement of this file that both engines read.
pub const STATEMENTS: &[&str] = &[RECORD];
/// Those for SQLite.
pub const SQLITE_STATEMENTS: &[&str] = &[];
/// Those for PostgreSQL.
pub const POSTGRES_STATEMENTS: &[&str] = &[];

/// Writes a row with the change that the transaction makes. It costs no round trip of its own, so what is wrong with it may
/// come to light with the next statement or the commit.
///
/// # Errors
/// As [`Tx::execute_later`].
pub fn record(tx: &mut Tx, salt: &[u8], row: &Fields<'_>) -> Result<()> {
    let params = [
        row.at.into(),
        row.kind.into(),
        row.result.into(),
        row.actor.into(),
        row.actor_id.into(),
        row.user_id.into(),
        row.session_id.into(),
        row.address.into(),
        row.user_agent.into(),
        row.request_id.into(),
        row.detail.into(),
        salt.into(),
    ];
    tx.execute_later(RECORD, &params)
}
