//! How much mail goes to one mailbox, whoever caused it.
//!
//! An address that an account has not proved may be anybody's: whoever registers with it, asks for it or plays with such an account
//! makes us write to a stranger. So those mails have a budget, a rate like those of networks and shared like them. Accounts that
//! registered themselves and were neither proved nor used since have one together for each address. Every other account speaks for
//! itself: its budget is its own, so that no stranger uses it up, and the link that its owner needs to get in again has none.
//! Mails to an address that its account has proved have none either.

use std::sync::atomic::Ordering::Relaxed;

use ::mail::Template;
use domain::time::Timestamp;
use domain::user::{EmailAddress, User, UserId};
use store::Tx;

use super::AddressLimit;
use crate::App;
use crate::error::Result;

/// A mail to be: what it is about, and where it goes.
#[derive(Clone, Copy)]
pub(crate) struct Letter<'a> {
    pub(crate) template: Template,
    pub(crate) user_id: UserId,
    /// Whether the account has proved that it is its owner's.
    pub(crate) is_proved: bool,
    pub(crate) to: &'a EmailAddress,
}

/// Whether a user has proved this address.
pub(crate) fn has_proved(user: &User, address: &EmailAddress) -> bool {
    user.email_verified_at.is_some() && user.email == *address
}

/// Whether a mailbox may get this mail; if so, it counts, unless the transaction is taken back. Links (`AddressLimit::LinkTo`) and
/// notices (`AddressLimit::NoticeTo`) count apart: who asks for links cannot keep a notice from coming.
///
/// # Errors
/// When the database cannot be read.
pub(crate) async fn admits(
    app: &App,
    tx: &mut Tx,
    now: Timestamp,
    limit: AddressLimit,
    letter: Letter<'_>,
) -> Result<bool> {
    if !app.settings.throttle || letter.is_proved || letter.to.is_blank() {
        return Ok(true);
    }
    let speaks_for_itself = !store::account::is_unproved(tx, letter.user_id).await?;
    if speaks_for_itself && letter.template == Template::ResetPassword {
        return Ok(true);
    }
    let owner = if speaks_for_itself { letter.user_id.to_string() } else { String::new() };
    let key = format!("{owner} {}", letter.to.key().as_str());
    if take(app, tx, limit, &key, now) {
        return Ok(true);
    }
    app.counters.mails_withheld.fetch_add(1, Relaxed);
    tracing::info!(
        event = "mail_withheld",
        mail.template = letter.template.name(),
        "a mailbox has had many mails lately and gets no more for now"
    );
    Ok(false)
}

/// Takes one from each of two slots that have any, and answers whether one had. Somebody else's key may share a slot, and whose mails
/// are withheld is not told of it: both of a key's slots are hardly ever shared.
fn take(app: &App, tx: &mut Tx, limit: AddressLimit, key: &str, now: Timestamp) -> bool {
    let mut is_taken = false;
    for salt in ["first", "second"] {
        let number = app.index_key.number(format!("{salt} {key}").as_bytes());
        if app.addresses.take(limit, number, now).is_err() {
            continue;
        }
        is_taken = true;
        let app = app.clone();
        tx.on_rollback(move || app.addresses.give_back(limit, number, now));
    }
    is_taken
}
