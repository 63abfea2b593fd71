//! How much mail goes to one mailbox, whoever caused it.
//!
//! An address that an account has not proved may be anybody's: whoever registers with it, asks for it or plays with such an account
//! makes us write to a stranger. So those mails have a budget per address, a rate like those of networks and shared like them. Mails to
//! an address that its account has proved have none: nothing that others do keeps them from their owner.
//!
//! Of the accounts with an address that nobody has proved, the one that recovery would begin with has a budget apart from the
//! others': they cannot use up its own.

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
    /// The account, where it outlives the mail.
    pub(crate) user_id: Option<UserId>,
    /// Whether the account has proved that it is its owner's.
    pub(crate) is_proved: bool,
    pub(crate) to: &'a EmailAddress,
}

/// Whether a user has proved this address.
pub(crate) fn has_proved(user: &User, address: &EmailAddress) -> bool {
    user.email_verified_at.is_some() && user.email == *address
}

/// Whether a mailbox may get this mail; if so, it counts. Links (`AddressLimit::LinkTo`) and notices (`AddressLimit::NoticeTo`) count
/// apart: who asks for links cannot keep a notice from coming. Counted before the transaction commits: one that is taken back has used
/// a little of the budget.
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
    let key = letter.to.key();
    let never = Timestamp::from_micros(i64::MAX);
    let first = store::account::with_email(tx, &key, never, 1).await?;
    let rank =
        if letter.user_id.is_some() && first.first().copied() == letter.user_id { "first" } else { "other" };
    let number = app.index_key.number(format!("{rank} {}", key.as_str()).as_bytes());
    if app.addresses.take(limit, number, now).is_ok() {
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
