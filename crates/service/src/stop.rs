//! The hard stop: after a hundred consecutive failures a password is taken no more, until it is set anew (LG-04). Sessions go on.
//!
//! Only where the owner can set a new one by a link: nobody is locked out for good.

use ::mail::Template;
use domain::audit::{Event, EventKind};
use domain::throttle::{FailureLog, Network};
use store::Tx;
use store::user::Credentials;

use crate::audit::{self, By};
use crate::error::Result;
use crate::mail::Draft;
use crate::{App, Caller, mail};

/// Whether the account's password is not taken from here any more, whatever is typed.
pub(crate) fn is_stopped(app: &App, caller: &Caller, account: &Credentials) -> bool {
    may_stop(app, account) && failures(account).is_stopped(Network::of(caller.address), caller.now)
}

/// Writes down that the failure of this attempt is the one that stops the password, if it is, and tells the owner.
pub(crate) async fn note(
    app: &App,
    tx: &mut Tx,
    caller: &Caller,
    by: &By<'_>,
    account: &Credentials,
) -> Result<()> {
    let network = Network::of(caller.address);
    if !may_stop(app, account) || !failures(account).is_about_to_stop(network, caller.now) {
        return Ok(());
    }
    let id = account.user.id;
    audit::record(tx, by, &Event::new(EventKind::PasswordStopped).user(id))?;
    mail::notify(app, tx, caller.now, Draft::notice(Template::PasswordStopped, &account.user)).await?;
    tracing::warn!(event = "password_stopped", user.id = %id, "a password was tried too often and is not taken any more");
    Ok(())
}

fn may_stop(app: &App, account: &Credentials) -> bool {
    let is_recoverable = app.settings.mail.is_some() && !account.user.email.is_blank();
    app.settings.throttle && app.settings.hard_stop && is_recoverable && account.user.is_active()
}

/// The failures of an account as it was read; before the attempt, where that was reserved.
pub(crate) fn failures(account: &Credentials) -> FailureLog {
    account.login_failures.as_deref().map_or_else(FailureLog::default, FailureLog::decode)
}
