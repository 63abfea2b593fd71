//! Checkpoints: statements, under the service's key, of how far the chain goes and what its last hash is. Kept elsewhere,
//! they show that nothing before them was changed or cut off, whoever had the database in their hands.

use domain::audit::{Hash, Walk};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::audit::{Checkpoint, Head};
use store::{Tx, meta};

use super::key::{Key, key};
use super::proof;
use crate::App;
use crate::error::{Error, Result};

/// What a checkpoint states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Names the installation.
    pub installation: String,
    /// What it says of the position.
    pub states: States,
    /// The position.
    pub position: i64,
    /// The hash of its row, in hexadecimal digits.
    pub hash: String,
    /// When its row happened; microseconds since the Unix epoch, UTC.
    pub row_at: i64,
    /// When it was made; Unix seconds.
    pub at: i64,
}

/// The two kinds of checkpoints. One cannot stand for the other: that a row is there does not say that it may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum States {
    /// The chain goes so far.
    End,
    /// The rows so far were removed, for their age.
    Removed,
}

/// States how far the chain goes now, and keeps and answers that. `None` while the chain is empty.
///
/// # Errors
/// When the database cannot be read or written, the key cannot be opened, or the last row is not what was written.
pub async fn make(app: &App) -> Result<Option<Checkpoint>> {
    super::chain::chain(app).await?;
    let key = key(app).await?;
    let mut tx = app.db.begin().await?;
    let head = store::audit::head(&mut tx).await?;
    if head.position == 0 {
        return Ok(None);
    }
    if head.position == head.purged_position {
        // No row is left: what was stated when the last one went is all there is to state.
        let last = store::audit::last_checkpoint(&mut tx).await?;
        return Ok(last.filter(|last| last.position == head.position));
    }
    let made = end(&key, &mut tx, &head, app.clock.now()).await?;
    store::audit::insert_checkpoint(&mut tx, &made).await?;
    tx.commit().await?;
    log(&made);
    Ok(Some(made))
}

/// The same for the worker: when there are new rows and the last checkpoint is old enough, by one replica.
pub(super) async fn make_due(app: &App, now: Timestamp) -> Result<()> {
    let mut tx = app.db.read().await?;
    let is_due = is_due(app, &mut tx, now).await?;
    drop(tx);
    if !is_due {
        return Ok(());
    }
    let key = key(app).await?;
    let mut tx = app.db.begin().await?;
    let Some(head) = store::audit::head_for_me(&mut tx).await? else { return Ok(()) };
    if !self::is_due(app, &mut tx, now).await? {
        return Ok(());
    }
    let made = end(&key, &mut tx, &head, now).await?;
    store::audit::insert_checkpoint(&mut tx, &made).await?;
    tx.commit().await?;
    log(&made);
    Ok(())
}

async fn is_due(app: &App, tx: &mut Tx, now: Timestamp) -> Result<bool> {
    let head = store::audit::head(tx).await?;
    let last = store::audit::last_checkpoint(tx).await?;
    Ok(match last {
        None => head.position > head.purged_position,
        Some(last) => {
            head.position > last.position && now >= last.at + app.settings.audit.checkpoint_interval
        }
    })
}

/// A statement of how far the chain goes. What the database says of its end is not believed: its last row must follow from
/// the one before, by links that only the key makes.
async fn end(key: &Key, tx: &mut Tx, head: &Head, now: Timestamp) -> Result<Checkpoint> {
    let before = (head.position - 2).max(head.purged_position);
    let page = store::audit::walk(tx, before, 3).await?;
    let mut walk = match page.rows.first() {
        Some(first) if first.position < head.position => Walk::after(first.position, first.proof.hash),
        _ => Walk::after(head.purged_position, head.purged_hash),
    };
    let mut faults = Vec::new();
    let rest: Vec<_> = page.rows.iter().filter(|row| row.position > walk.position()).collect();
    for row in &rest {
        proof::step(key, &mut walk, row, &page, &mut faults);
    }
    walk.end(head.position, &head.hash, &mut faults);
    match (rest.last(), faults.first()) {
        (Some(last), None) => {
            let row = Row { position: last.position, hash: &last.proof.hash, at: last.at };
            state(key, tx, States::End, &row, now).await
        }
        (_, fault) => {
            let fault = fault.map_or_else(|| "there is no last row".to_owned(), ToString::to_string);
            Err(Error::internal(format!("the end of the audit trail is not what was written: {fault}")))
        }
    }
}

/// The row that a statement is about.
pub(super) struct Row<'a> {
    pub(super) position: i64,
    pub(super) hash: &'a Hash,
    pub(super) at: Timestamp,
}

/// Makes a statement.
pub(super) async fn state(
    key: &Key,
    tx: &mut Tx,
    states: States,
    row: &Row<'_>,
    now: Timestamp,
) -> Result<Checkpoint> {
    let statement = Statement {
        installation: installation(tx).await?,
        states,
        position: row.position,
        hash: hex(row.hash),
        row_at: row.at.micros(),
        at: now.seconds(),
    };
    let payload = serde_json::to_vec(&statement).map_err(Error::internal)?;
    Ok(Checkpoint { position: row.position, at: now, statement: key.sign(&payload) })
}

/// What a checkpoint states; `None` when it is not under our key.
pub(super) fn read(key: &Key, text: &str) -> Option<Statement> {
    serde_json::from_slice(&key.open(text)?).ok()
}

/// Whether the service itself has removed the rows before those that are there, or none were removed.
pub(super) async fn is_start_stated(key: &Key, tx: &mut Tx, head: &Head) -> Result<bool> {
    if *head == (Head { position: head.position, hash: head.hash, ..Head::default() }) {
        return Ok(true);
    }
    let stored = store::audit::checkpoints(tx, head.purged_position - 1, 1).await?;
    Ok(stored.first().and_then(|stored| read(key, &stored.statement)).is_some_and(|stated| {
        stated.states == States::Removed
            && stated.position == head.purged_position
            && stated.hash == hex(&head.purged_hash)
    }))
}

/// The name of the installation; made when it is first asked for.
async fn installation(tx: &mut Tx) -> Result<String> {
    if let Some(name) = meta::get(tx, meta::INSTALLATION).await? {
        return Ok(name);
    }
    Ok(meta::set_once(tx, meta::INSTALLATION, &hex(&crypto::random::fill::<16>())).await?)
}

/// The line that takes the checkpoint to wherever logs are kept.
pub(super) fn log(made: &Checkpoint) {
    tracing::info!(
        event = "audit_checkpoint",
        audit.position = made.position,
        audit.checkpoint = made.statement,
        "the state of the audit trail"
    );
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
