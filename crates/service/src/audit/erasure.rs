//! Erasing the rows of deleted users: salt and personal data go, what is chained stays (LG-12).

use std::time::Duration;

use domain::time::Timestamp;

use crate::App;
use crate::error::Result;

/// Rows erased in one transaction.
const STEP: i64 = 200;
/// Users at a time.
const USERS: i64 = 100;
/// A request that was at work when its user was deleted may still write a row so long after: it may have waited for a thread
/// that hashes, for a connection and for locks.
const STRAGGLERS: Duration = Duration::from_secs(10 * 60);

/// Erases what there is to erase. A user is done when no row is left and none can come any more.
pub(super) async fn erase(app: &App, now: Timestamp) -> Result<()> {
    let mut tx = app.db.read().await?;
    let users = store::audit::erasures(&mut tx, USERS).await?;
    drop(tx);
    for (user, since) in users {
        loop {
            let mut tx = app.db.begin().await?;
            let erased = store::audit::erase(&mut tx, user, now, STEP).await?;
            let is_over = erased == 0
                && now.since(since) > STRAGGLERS
                && !store::audit::any_pending_of(&mut tx, user).await?;
            if is_over {
                store::audit::erased(&mut tx, user).await?;
            }
            if erased > 0 || is_over {
                tx.commit().await?;
            }
            if erased == 0 {
                break;
            }
        }
    }
    Ok(())
}
