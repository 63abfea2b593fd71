//! Requests for a new password, until somebody has looked whose they are.

use domain::time::Timestamp;

use crate::{Error, Param, Result, Row, Tx};

/// What somebody typed who has lost a password: a name or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryRequest {
    /// Names it; random.
    pub id: [u8; 16],
    /// The name, or else
    pub username: Option<String>,
    /// the address.
    pub email: Option<String>,
}

const INSERT: &str = "INSERT INTO recovery_requests (id, at, username, email) VALUES ($1, $2, $3, $4)";
const OLDEST: &str = "SELECT id, username, email FROM recovery_requests ORDER BY at, id LIMIT $1";
const IS_FULL: &str = "SELECT 1 FROM recovery_requests ORDER BY at LIMIT 1 OFFSET $1";
const TAKE: &str = "DELETE FROM recovery_requests WHERE id = $1";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[INSERT, IS_FULL, OLDEST, TAKE];

/// Notes a request.
pub async fn insert(tx: &mut Tx, request: &RecoveryRequest, now: Timestamp) -> Result<()> {
    let params = [
        Param::Blob(&request.id),
        now.micros().into(),
        request.username.as_deref().into(),
        request.email.as_deref().into(),
    ];
    tx.execute(INSERT, &params).await.map(drop)
}

/// Whether more than `most` requests wait.
pub async fn is_full(tx: &mut Tx, most: i64) -> Result<bool> {
    Ok(tx.query_opt(IS_FULL, &[most.into()]).await?.is_some())
}

/// At most `limit` requests, the oldest first.
pub async fn oldest(tx: &mut Tx, limit: i64) -> Result<Vec<RecoveryRequest>> {
    tx.query(OLDEST, &[limit.into()]).await?.iter().map(read).collect()
}

/// Takes a request; false when somebody else has.
pub async fn take(tx: &mut Tx, id: &[u8; 16]) -> Result<bool> {
    Ok(tx.execute(TAKE, &[Param::Blob(id)]).await? == 1)
}

fn read(row: &Row) -> Result<RecoveryRequest> {
    let id = row.blob(0)?;
    let id =
        id.try_into().map_err(|_| Error::Corrupt(format!("{} bytes where 16 should be", id.len()).into()))?;
    Ok(RecoveryRequest {
        id,
        username: row.opt_text(1)?.map(str::to_owned),
        email: row.opt_text(2)?.map(str::to_owned),
    })
}
