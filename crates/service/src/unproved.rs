//! The end of accounts that registered themselves and were neither proved nor used since, where nobody logs in without a proof: whoever
//! registers with another's address, or takes a name and never comes back, does not hold it for ever (RC-11).

use domain::time::Timestamp;
use domain::user::UserId;

use crate::audit::By;
use crate::error::Result;
use crate::settings::Verification;
use crate::{App, retry, user};

/// Accounts that are looked up at a time.
const STEP: i64 = 100;
/// Steps in one round of the worker, so that the rest of its work does not wait long; the next round goes on.
const STEPS: usize = 10;

/// Deletes the accounts that were registered too long ago without a proof. The worker does so every minute. Nobody is told: the
/// address may be anybody's, and who has not asked for the account is sent no mail about its end.
pub(crate) async fn delete_expired(app: &App, now: Timestamp) -> Result<()> {
    let accounts = &app.settings.accounts;
    let Some(lifetime) = accounts.unverified_lifetime else { return Ok(()) };
    if accounts.verification != Verification::Required {
        return Ok(()); // their owners can log in
    }
    let until = now - lifetime;
    for _ in 0..STEPS {
        let due = store::account::unproved(&mut app.db.read().await?, until, STEP).await?;
        if due.is_empty() {
            break;
        }
        for id in due {
            retry::turns(|| try_to_delete(app, id, until)).await?;
        }
    }
    Ok(())
}

async fn try_to_delete(app: &App, id: UserId, until: Timestamp) -> Result<()> {
    let (mut tx, now) = user::begin(app).await?;
    if !store::account::hold_unproved(&mut tx, id, until).await? {
        return Ok(()); // somebody has proved the address or used the account meanwhile, or another replica was faster
    }
    if user::delete_in(app, tx, &By::system(now), id).await? {
        tracing::info!(event = "unproved_account_expired", user.id = %id, "an account was deleted: nobody has proved its address");
    }
    Ok(())
}
