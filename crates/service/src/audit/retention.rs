//! Removing the oldest rows. What is left still verifies: where it begins is stated by a checkpoint.

use domain::time::Timestamp;

use super::checkpoint;
use crate::App;
use crate::error::Result;

/// Rows removed in one transaction.
const STEP: i64 = 500;
/// Transactions in one round; the next round goes on.
const STEPS: usize = 200;

/// Removes rows that are older than `AUDIT_RETENTION`: always the beginning of the chain, never a row behind one that stays.
pub(super) async fn purge(app: &App, now: Timestamp) -> Result<()> {
    let Some(retention) = app.settings.audit.retention else { return Ok(()) };
    for _ in 0..STEPS {
        if !purge_some(app, now, now - retention).await? {
            break;
        }
    }
    Ok(())
}

async fn purge_some(app: &App, now: Timestamp, before: Timestamp) -> Result<bool> {
    let mut tx = app.db.read().await?;
    let head = store::audit::head(&mut tx).await?;
    // Mostly there is nothing to do: then nobody's turn to write is taken.
    if store::audit::end_of_old(&mut tx, head.purged_position, before, 1).await?.is_none() {
        return Ok(false);
    }
    drop(tx);
    let mut tx = app.db.begin().await?;
    let Some(head) = store::audit::head_for_me(&mut tx).await? else { return Ok(false) };
    let end = store::audit::end_of_old(&mut tx, head.purged_position, before, STEP).await?;
    let Some((position, hash)) = end else { return Ok(false) };
    store::audit::purge(&mut tx, &head, position, &hash).await?;
    // Whoever removes rows by hand cannot sign where the rest begins.
    let start = checkpoint::sign(app, &mut tx, position, &hash, now).await?;
    store::audit::insert_checkpoint(&mut tx, &start).await?;
    tx.commit().await?;
    Ok(true)
}
