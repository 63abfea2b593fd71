//! Checkpoints: signed statements of how far the chain goes and what its last hash is. Kept elsewhere, they show that
//! nothing before them was changed or cut off, whoever had the database in their hands.

use domain::audit::Hash;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::audit::Checkpoint;
use store::{Tx, meta};

use crate::App;
use crate::error::{Error, Result};

/// What a checkpoint states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Names the installation.
    pub installation: String,
    /// The last position.
    pub position: i64,
    /// Its hash, in hexadecimal digits.
    pub hash: String,
    /// When it was made; Unix seconds.
    pub at: i64,
}

/// States how far the chain goes now, and keeps and answers that. `None` while the chain is empty.
///
/// # Errors
/// When the database cannot be read or written, or there is no key to sign with.
pub async fn make(app: &App) -> Result<Option<Checkpoint>> {
    super::chain::chain(app).await?;
    let mut tx = app.db.begin().await?;
    let head = store::audit::head(&mut tx).await?;
    if head.position == 0 {
        return Ok(None);
    }
    let made = sign(app, &mut tx, head.position, &head.hash, app.clock.now()).await?;
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
    let mut tx = app.db.begin().await?;
    let Some(head) = store::audit::head_for_me(&mut tx).await? else { return Ok(()) };
    if !self::is_due(app, &mut tx, now).await? {
        return Ok(());
    }
    let made = sign(app, &mut tx, head.position, &head.hash, now).await?;
    store::audit::insert_checkpoint(&mut tx, &made).await?;
    tx.commit().await?;
    log(&made);
    Ok(())
}

async fn is_due(app: &App, tx: &mut Tx, now: Timestamp) -> Result<bool> {
    let head = store::audit::head(tx).await?;
    let last = store::audit::last_checkpoint(tx).await?;
    Ok(match last {
        None => head.position > 0,
        Some(last) => {
            head.position > last.position && now >= last.at + app.settings.audit.checkpoint_interval
        }
    })
}

/// Signs a statement with the key that signs access tokens now, or one derived from the shared secret.
pub(super) async fn sign(
    app: &App,
    tx: &mut Tx,
    position: i64,
    hash: &Hash,
    now: Timestamp,
) -> Result<Checkpoint> {
    let statement =
        Statement { installation: installation(tx).await?, position, hash: hex(hash), at: now.seconds() };
    let payload = serde_json::to_vec(&statement).map_err(Error::internal)?;
    let signed = app.keys.sign_statement(&payload, now);
    let (statement, public_key) = signed.ok_or_else(|| Error::internal("there is no key to sign with"))?;
    Ok(Checkpoint { position, at: now, statement, public_key })
}

/// The name of the installation; made when it is first asked for.
async fn installation(tx: &mut Tx) -> Result<String> {
    if let Some(name) = meta::get(tx, meta::INSTALLATION).await? {
        return Ok(name);
    }
    Ok(meta::set_once(tx, meta::INSTALLATION, &hex(&crypto::random::fill::<16>())).await?)
}

/// The line that takes the checkpoint to wherever logs are kept.
fn log(made: &Checkpoint) {
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
