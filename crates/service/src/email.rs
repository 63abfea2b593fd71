//! The address of an account: proved by a link that came to it, and by who knows the account.
//!
//! A link alone proves only that somebody reads that mailbox, perhaps somebody who never asked for the account. So it counts
//! together with the account's password or a session of it; and who has the mailbox but not the password takes the account over
//! by a new password (`recovery`), which leaves nothing of what was there before (RC-11).

use ::mail::Template;
use domain::action::Purpose;
use domain::audit::{Event, EventKind};
use domain::field::FieldErrors;
use domain::time::Timestamp;
use domain::user::{EmailAddress, User};
use store::Tx;

use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::mail::Draft;
use crate::throttle::{self, AddressLimit};
use crate::verify::Identity;
use crate::{App, Caller, action, mail, reauth, retry, user};

/// Who confirms an address, beside having its link.
pub enum Proof<'a> {
    /// A user by an access token.
    Session(Identity),
    /// Who knows the account's password.
    Password(&'a str),
}

/// Sends a link to the account's address, unless that is proved or one was sent a moment ago.
///
/// # Errors
/// [`crate::Kind::Conflict`] where no mail is sent; [`crate::Kind::Invalid`] without an address; [`crate::Kind::Throttled`];
/// [`crate::Kind::Unavailable`].
pub async fn send(app: &App, caller: &Caller, who: Identity) -> Result<()> {
    action::require_mail(app)?;
    throttle::admit(app, caller, AddressLimit::Mail)?;
    let (mut tx, now) = user::begin(app).await?;
    let user = store::user::find(&mut tx, who.user_id).await?.ok_or_else(Error::changed_meanwhile)?;
    if user.email.is_blank() {
        return Err(Error::invalid(FieldErrors::of("email", vec!["This account has no address.".into()])));
    }
    if user.email_verified_at.is_some()
        || action::is_recent(&mut tx, user.id, Purpose::VerifyEmail, now).await?
    {
        return Ok(());
    }
    if action::send(app, &mut tx, now, (Purpose::VerifyEmail, &user, &user.email)).await? {
        tx.commit().await?;
    }
    Ok(())
}

/// Asks for another address: a link goes there and a notice to the one in force, which stays until the link is used (RC-10).
///
/// # Errors
/// [`crate::Kind::Forbidden`] for a wrong password; [`crate::Kind::Invalid`] for what is no address; [`crate::Kind::Conflict`] where no
/// mail is sent; [`crate::Kind::Throttled`]; [`crate::Kind::Unavailable`].
pub async fn change(app: &App, caller: &Caller, who: Identity, email: &str, current: &str) -> Result<()> {
    action::require_mail(app)?;
    throttle::admit(app, caller, AddressLimit::Mail)?;
    let parsed = EmailAddress::parse(email).and_then(|email| match email.is_blank() {
        true => Err(vec![domain::field::BLANK.into()]),
        false => Ok(email),
    });
    let email = parsed.map_err(|messages| Error::invalid(FieldErrors::of("email", messages)))?;
    let checked = reauth::check(app, caller, who.user_id, current).await?;
    let mut turn = 0;
    loop {
        let done = try_to_ask(app, caller, &checked.user, &email).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_ask(app: &App, caller: &Caller, checked: &User, email: &EmailAddress) -> Result<()> {
    let (mut tx, now) = user::begin(app).await?;
    let current = store::imported_user::lock_credentials(&mut tx, checked.id).await?.map(|found| found.user);
    let user = current.filter(|user| user.epoch == checked.epoch).ok_or_else(Error::changed_meanwhile)?;
    if action::is_recent(&mut tx, user.id, Purpose::ChangeEmail, now).await? {
        return Err(Error::throttled(Purpose::ChangeEmail.pause()));
    }
    store::account::set_pending(&mut tx, user.id, Some(email)).await?;
    action::send(app, &mut tx, now, (Purpose::ChangeEmail, &user, email)).await?;
    let values = vec![("address", email.as_str().to_owned())];
    let notice = Draft { values, ..Draft::notice(Template::EmailChangeRequested, &user) };
    mail::notify(app, &mut tx, now, notice).await?;
    let event = Event::new(EventKind::EmailChangeRequested).user(user.id);
    audit::record(&mut tx, &By::user(caller, user.id), &event)?;
    Ok(tx.commit().await?)
}

/// Proves an address with the token of its link: the one of the account, or the one that it is to have.
///
/// # Errors
/// [`crate::Kind::Invalid`] for a bad token; [`crate::Kind::Forbidden`] for a wrong password; [`crate::Kind::Conflict`] when another
/// account has proved the address; [`crate::Kind::Throttled`]; [`crate::Kind::Unavailable`].
pub async fn confirm(app: &App, caller: &Caller, token: &str, proof: Proof<'_>) -> Result<()> {
    throttle::admit(app, caller, AddressLimit::Link)?;
    let mut meant = None;
    for purpose in [Purpose::VerifyEmail, Purpose::ChangeEmail] {
        let found = action::find(app, token, purpose, caller.now).await?;
        meant = meant.or(found.map(|found| (purpose, found.user_id)));
    }
    let (purpose, id) = meant.ok_or_else(action::no_good_link)?;
    match proof {
        Proof::Session(who) if who.user_id == id => {}
        Proof::Session(_) => return Err(action::no_good_link()),
        Proof::Password(raw) => drop(reauth::check(app, caller, id, raw).await?),
    }
    let mut turn = 0;
    loop {
        let done = try_to_confirm(app, caller, token, purpose).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_confirm(app: &App, caller: &Caller, token: &str, purpose: Purpose) -> Result<()> {
    let (mut tx, now) = user::begin(app).await?;
    let used = action::redeem(&mut tx, token, purpose, now).await?;
    let user = store::imported_user::lock_credentials(&mut tx, used.user_id).await?.map(|found| found.user);
    let user = user.filter(User::is_active).ok_or_else(action::no_good_link)?;
    let kind = match purpose {
        Purpose::ChangeEmail => {
            replace(app, &mut tx, &user, &used.address, now).await?;
            EventKind::EmailChanged
        }
        _ if user.email.as_str() != used.address => return Err(action::no_good_link()),
        _ if prove(&mut tx, &user, now).await? => EventKind::EmailVerified,
        _ => return Err(of_another()),
    };
    audit::record(&mut tx, &By::user(caller, user.id), &Event::new(kind).user(user.id))?;
    tx.commit().await?;
    tracing::info!(event = "email_proved", user.id = %user.id, request.id = caller.request_id, "an address was proved");
    Ok(())
}

/// The account gets the address that was asked for; links to the old one are good for nothing, and it is told.
async fn replace(app: &App, tx: &mut Tx, user: &User, address: &str, now: Timestamp) -> Result<()> {
    if user.pending_email.as_ref().map(EmailAddress::as_str) != Some(address) {
        return Err(action::no_good_link());
    }
    let email = EmailAddress::from_stored(address.to_owned());
    if !contended(store::account::set_email(tx, user.id, &email, now).await)? {
        return Err(of_another());
    }
    action::forget_links(tx, user.id, &[Purpose::VerifyEmail, Purpose::ResetPassword]).await?;
    let values = vec![("address", address.to_owned())];
    mail::notify(app, tx, now, Draft { values, ..Draft::notice(Template::EmailChanged, user) }).await
}

/// Notes that an account's address was proved; false when it is another account's.
pub(crate) async fn prove(tx: &mut Tx, user: &User, now: Timestamp) -> Result<bool> {
    contended(store::account::prove(tx, user.id, &user.email, now).await)
}

/// Two accounts that prove one address at the same moment: the second looks again, and sees the first.
fn contended(done: store::Result<bool>) -> Result<bool> {
    match done {
        Err(store::Error::Conflict) => Err(store::Error::Contention.into()),
        done => Ok(done?),
    }
}

fn of_another() -> Error {
    Error::conflict("This address belongs to another account.")
}
