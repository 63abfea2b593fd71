//! The one who gives rows their places. On PostgreSQL a row lock keeps all replicas but one away; SQLite has one writer.

use domain::audit::{Hash, link_bytes, row_bytes};
use store::audit::Stored;

use crate::App;
use crate::error::{Error, Result};

/// Rows that get their places in one transaction, so that no request waits long behind it.
const STEP: i64 = 200;

/// Gives every row that waits its place at the end of the chain, in the order in which the rows were written. A row that is
/// committed later, with whatever place in that order, comes behind them. Answers how many; those that another replica is at
/// are left to it.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn chain(app: &App) -> Result<u64> {
    let mut chained = 0;
    loop {
        let mut tx = app.db.read().await?;
        let any = store::audit::any_pending(&mut tx).await?;
        drop(tx);
        if !any {
            return Ok(chained);
        }
        let step = chain_some(app).await?;
        chained += step;
        if step == 0 {
            return Ok(chained);
        }
    }
}

async fn chain_some(app: &App) -> Result<u64> {
    let mut tx = app.db.begin().await?;
    let Some(head) = store::audit::head_for_me(&mut tx).await? else { return Ok(0) };
    let rows = store::audit::take(&mut tx, STEP).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let (mut position, mut hash) = (head.position, head.hash);
    for row in &rows {
        position += 1;
        let commitment = commitment(row)?;
        hash = crypto::keyed::sha256(&link_bytes(&hash, position, &commitment));
        store::audit::append(&mut tx, position, row, &commitment, &hash)?;
    }
    if !store::audit::move_end(&mut tx, &head, position, &hash).await? {
        return Err(Error::internal("the end of the audit trail has moved while it was locked"));
    }
    tx.commit().await?;
    Ok(rows.len() as u64)
}

fn commitment(row: &Stored) -> Result<Hash> {
    let mut bytes = Vec::with_capacity(256);
    row_bytes(row.salt()?.unwrap_or_default(), &row.fields()?, &mut bytes);
    Ok(crypto::keyed::sha256(&bytes))
}
