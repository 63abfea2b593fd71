//! The one who gives rows their places. On PostgreSQL a row lock keeps all replicas but one away; SQLite has one writer.

use domain::audit::{Hash, open_bytes, personal_bytes};
use store::audit::{Proof, Stored};

use super::key::{Key, key};
use crate::App;
use crate::error::{Error, Result};

/// Rows that get their places in one transaction, so that no request waits long behind it.
const STEP: u64 = 200;

/// Gives every row that waits its place at the end of the chain, in the order in which the rows were written. A row that is
/// committed later, with whatever place in that order, comes behind them. Answers how many; those that another replica is at
/// are left to it.
///
/// # Errors
/// When the database cannot be read or written; [`crate::Kind::Conflict`] when rows wait and the key cannot be opened.
pub async fn chain(app: &App) -> Result<u64> {
    let mut tx = app.db.read().await?;
    let any = store::audit::any_pending(&mut tx).await?;
    drop(tx);
    if !any {
        return Ok(0);
    }
    let key = key(app).await?;
    let mut chained = 0;
    loop {
        let step = chain_some(app, &key).await?;
        chained += step;
        if step < STEP {
            return Ok(chained);
        }
    }
}

async fn chain_some(app: &App, key: &Key) -> Result<u64> {
    let mut tx = app.db.begin().await?;
    let Some(head) = store::audit::head_for_me(&mut tx).await? else { return Ok(0) };
    let rows = store::audit::take(&mut tx, STEP.cast_signed()).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let (mut position, mut hash) = (head.position, head.hash);
    for row in &rows {
        position += 1;
        let proof = prove(key, row, &hash, position)?;
        hash = proof.hash;
        store::audit::append(&mut tx, position, row, &proof)?;
    }
    if !store::audit::move_end(&mut tx, &head, position, &hash).await? {
        return Err(Error::internal("the end of the audit trail has moved while it was locked"));
    }
    tx.commit().await?;
    Ok(rows.len() as u64)
}

fn prove(key: &Key, row: &Stored, previous: &Hash, position: i64) -> Result<Proof> {
    let fields = row.fields()?;
    let mut bytes = Vec::with_capacity(256);
    personal_bytes(row.salt()?.unwrap_or_default(), &fields, &mut bytes);
    let personal = crypto::keyed::sha256(&bytes);
    bytes.clear();
    open_bytes(&personal, &fields, &mut bytes);
    let commitment = crypto::keyed::sha256(&bytes);
    Ok(Proof { personal, commitment, hash: key.link(previous, position, &commitment) })
}
