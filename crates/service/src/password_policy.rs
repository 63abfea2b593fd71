//! What a new password must satisfy, whoever sets it.

use std::sync::Arc;
use std::time::Duration;

use crypto::breached::{BreachKey, BreachedPasswords};
use domain::field::Message;
use domain::password::{Password, PolicyChecks};

use crate::App;
use crate::error::{Error, Result};

const BREACHED: &str =
    "This password has appeared in a data breach. Anyone may know it; please choose another one.";

/// Everything that is wrong with a new password, in Django's words and order; the policy in force applies, and where it is
/// the full one, the list of breached passwords (PW-05).
///
/// `attributes` are the account's, each with the name that people know it by.
///
/// # Errors
/// [`crate::Kind::Unavailable`] when the list cannot be read: a password that nobody could check is not taken.
pub(crate) async fn faults(app: &App, raw: &str, attributes: &[(&str, &str)]) -> Result<Vec<Message>> {
    let policy = app.settings.password_policy;
    let mut faults = policy.check(raw, attributes);
    let Some(list) = &app.settings.breached_passwords else { return Ok(faults) };
    if faults.is_empty() && policy.checks == PolicyChecks::Full {
        let key = BreachKey::of(Password::new_nfc(raw).as_bytes());
        if look_up(list.clone(), key).await? {
            faults.push(BREACHED.into());
        }
    }
    Ok(faults)
}

/// On a thread that may wait for the disk.
async fn look_up(list: Arc<BreachedPasswords>, key: BreachKey) -> Result<bool> {
    let looked = tokio::task::spawn_blocking(move || list.contains(key)).await.map_err(Error::internal)?;
    looked.map_err(|error| {
        let mut unavailable =
            Error::unavailable(Duration::from_secs(60), "New passwords cannot be checked now.");
        unavailable.source = Some(error.into());
        unavailable
    })
}
