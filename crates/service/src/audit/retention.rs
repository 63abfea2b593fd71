//! Removing the oldest rows. What is left still verifies: where it begins is stated under the service's key.

use domain::audit::{Fault, Walk};
use domain::time::Timestamp;
use store::Tx;
use store::audit::Head;

use super::checkpoint::{self, Row, States};
use super::key::{Key, key};
use super::proof;
use crate::App;
use crate::error::Result;

/// Rows removed in one transaction.
const STEP: i64 = 500;
/// Transactions in one round; the next round goes on.
const STEPS: usize = 200;

/// Removes rows that are older than `AUDIT_RETENTION`: always the beginning of the chain, never a row behind one that stays.
/// What somebody has tampered with is not removed: the service would sign the harm.
pub(super) async fn purge(app: &App, now: Timestamp) -> Result<()> {
    let Some(retention) = app.settings.audit.retention else { return Ok(()) };
    let before = now - retention;
    for _ in 0..STEPS {
        if !is_due(app, before).await? || !purge_some(app, now, before).await? {
            break;
        }
    }
    Ok(())
}

/// Mostly there is nothing to do: then nobody's turn to write is taken.
async fn is_due(app: &App, before: Timestamp) -> Result<bool> {
    let mut tx = app.db.read().await?;
    let head = store::audit::head(&mut tx).await?;
    let page = store::audit::walk(&mut tx, head.purged_position, 1).await?;
    Ok(page.rows.first().is_some_and(|row| row.at < before))
}

async fn purge_some(app: &App, now: Timestamp, before: Timestamp) -> Result<bool> {
    let key = key(app).await?;
    let mut tx = app.db.begin().await?;
    let Some(head) = store::audit::head_for_me(&mut tx).await? else { return Ok(false) };
    let (walk, last, faults) = old_rows(&key, &mut tx, &head, before).await?;
    if let Some(fault) = faults.first() {
        tracing::error!(
            event = "audit_purge_refused",
            fault = %fault,
            "the oldest rows of the audit trail are not what was written; they are kept"
        );
        return Ok(false);
    }
    let Some(at) = last else { return Ok(false) };
    let row = Row { position: walk.position(), hash: walk.hash(), at };
    store::audit::purge(&mut tx, &head, row.position, row.hash).await?;
    // Whoever removes rows by hand cannot state where the rest begins.
    let start = checkpoint::state(&key, &mut tx, States::Removed, &row, now).await?;
    store::audit::insert_checkpoint(&mut tx, &start).await?;
    tx.commit().await?;
    checkpoint::log(&start);
    Ok(true)
}

/// Walks along the rows that are to be removed. Answers where it ended, when the last of them happened, and what is wrong
/// with them or with where they begin.
async fn old_rows(
    key: &Key,
    tx: &mut Tx,
    head: &Head,
    before: Timestamp,
) -> Result<(Walk, Option<Timestamp>, Vec<Fault>)> {
    let (mut faults, mut last) = (Vec::new(), None);
    if !checkpoint::is_start_stated(key, tx, head).await? {
        faults.push(Fault::Start { position: head.purged_position });
    }
    let mut walk = Walk::after(head.purged_position, head.purged_hash);
    let page = store::audit::walk(tx, head.purged_position, STEP).await?;
    for row in page.rows.iter().take_while(|row| row.at < before) {
        proof::step(key, &mut walk, row, &page, &mut faults);
        last = Some(row.at);
    }
    Ok((walk, last, faults))
}
