//! A new password for somebody who has lost the old one, by a link to the account's address.
//!
//! A request is noted as it came and answered: whether there is such an account is looked up afterwards, by the worker. So the
//! answer to a known name and to an unknown one is the same work to the last instruction (RC-01).

use std::time::Duration;

use ::mail::Template;
use domain::action::Purpose;
use domain::audit::{Event, EventKind};
use domain::field::FieldErrors;
use domain::time::Timestamp;
use domain::user::{EmailKey, NameKey, User, canonical_name};
use store::Tx;
use store::change::What;
use store::recovery_request::{self, RecoveryRequest};
use store::user::NewPassword;

use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::mail::Draft;
use crate::throttle::{self, AddressLimit};
use crate::{App, Caller, action, email, mail, retry, user};

/// Requests that are looked at in one round.
const STEP: i64 = 20;
/// No more requests wait than about so many: beyond it nobody is noted, whoever asks.
const MOST_WAITING: i64 = 10_000;
/// An address that nobody has proved may stand in several accounts; so many of them get a link at a time.
const MOST_ACCOUNTS: i64 = 5;

/// Whose password is lost, as it was typed.
pub enum Whom {
    /// By the name of the account.
    Username(String),
    /// By its address.
    Email(String),
}

/// Notes a request for a link that sets a new password. Nothing about the answer depends on whether there is such an account.
///
/// # Errors
/// [`crate::Kind::Conflict`] where no mail is sent; [`crate::Kind::Throttled`]; [`crate::Kind::Unavailable`].
pub async fn request(app: &App, caller: &Caller, whom: Whom) -> Result<()> {
    action::require_mail(app)?;
    throttle::admit(app, caller, AddressLimit::Mail)?;
    let (username, email) = match whom {
        Whom::Username(name) => (Some(name), None),
        Whom::Email(email) => (None, Some(email)),
    };
    let request = RecoveryRequest { id: crypto::random::fill(), username, email };
    let mut tx = app.db.begin().await?;
    if recovery_request::is_full(&mut tx, MOST_WAITING).await? {
        return Err(Error::unavailable(Duration::from_secs(60), "Too many requests wait to be answered."));
    }
    recovery_request::insert(&mut tx, &request, caller.now).await?;
    tx.commit().await?;
    tracing::info!(
        event = "recovery_requested",
        request.id = caller.request_id,
        "a new password was asked for"
    );
    Ok(())
}

/// Looks whose the requests are, and sends links; answers how many requests there were. The worker does so all the time.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn look_up(app: &App) -> Result<usize> {
    let requests = recovery_request::oldest(&mut app.db.read().await?, STEP).await?;
    for request in &requests {
        let mut turn = 0;
        loop {
            let done = try_to_answer(app, request).await;
            if retry::again(&done, &mut turn).await {
                continue;
            }
            match done {
                Ok(()) => {}
                Err(error) if error.is_unavailable() => return Err(error),
                // Others wait behind it: what cannot be answered is forgotten.
                Err(error) => {
                    tracing::error!(event = "recovery_failed", error = %error, "a request for recovery cannot be answered; it is dropped");
                    forget(app, request).await?;
                }
            }
            break;
        }
    }
    Ok(requests.len())
}

async fn forget(app: &App, request: &RecoveryRequest) -> Result<()> {
    let mut tx = app.db.begin().await?;
    recovery_request::take(&mut tx, &request.id).await?;
    Ok(tx.commit().await?)
}

async fn try_to_answer(app: &App, request: &RecoveryRequest) -> Result<()> {
    let (mut tx, now) = user::begin(app).await?;
    if !recovery_request::take(&mut tx, &request.id).await? {
        return Ok(()); // another replica has
    }
    for user in meant(&mut tx, request, now).await? {
        // Whoever sets a new password, or answers another request, at the same time is done before this looks (RC-06, RC-07).
        let current = store::imported_user::lock_credentials(&mut tx, user.id).await?;
        let Some(user) = current.map(|found| found.user) else { continue };
        let is_reachable = user.is_active() && !user.email.is_blank() && app.settings.mail.is_some();
        if !is_reachable || action::is_recent(&mut tx, user.id, Purpose::ResetPassword, now).await? {
            continue;
        }
        if !action::send(app, &mut tx, now, (Purpose::ResetPassword, &user, &user.email)).await? {
            continue;
        }
        let event = Event::new(EventKind::PasswordResetRequested).user(user.id);
        audit::record(&mut tx, &By::system(now), &event)?;
    }
    Ok(tx.commit().await?)
}

/// The accounts that a request means: the one of the name; the one that has proved the address, or else those that it stands in, in
/// turn.
async fn meant(tx: &mut Tx, request: &RecoveryRequest, now: Timestamp) -> Result<Vec<User>> {
    if let Some(name) = &request.username {
        let name = canonical_name(name);
        let found = store::user::find_credentials(tx, &name, &NameKey::of(&name)).await?;
        return Ok(found.map(|found| found.user).into_iter().collect());
    }
    let key = EmailKey::of(request.email.as_deref().unwrap_or_default());
    let ids = match store::account::of_proved_email(tx, &key).await? {
        Some((id, _)) => vec![id],
        // Who asks again comes to the next ones. Accounts that were used or that others have made come first and are always sent
        // theirs: no number of accounts that somebody registers with the address hides one.
        None => {
            let since = now - Purpose::ResetPassword.pause();
            store::account::with_email(tx, &key, since, MOST_ACCOUNTS).await?
        }
    };
    let mut users = Vec::new();
    for id in ids {
        users.extend(store::user::find(tx, id).await?);
    }
    Ok(users)
}

/// Sets a new password with the token of a link. All sessions end, and so does every other link; nobody is logged in (RC-07).
/// The link came to the account's address, so that is proved, and what was there before the proof is gone (RC-11).
///
/// # Errors
/// [`crate::Kind::Invalid`] for a bad token or password; [`crate::Kind::Throttled`]; [`crate::Kind::Unavailable`].
pub async fn confirm(app: &App, caller: &Caller, token: &str, new: &str) -> Result<()> {
    throttle::admit(app, caller, AddressLimit::Link)?;
    let found = action::find(app, token, Purpose::ResetPassword, caller.now).await?;
    let found = found.ok_or_else(action::no_good_link)?;
    let user = store::user::find(&mut app.db.read().await?, found.user_id).await?;
    let user = user.ok_or_else(action::no_good_link)?;
    let mut errors = FieldErrors::default();
    user::check_policy(app, ("new_password", new), &user::attributes(&user), &mut errors).await?;
    errors.into_result().map_err(Error::invalid)?;
    let hash = user::hash(app, caller, new).await?;
    let scheme = crypto::password::scheme_of(&hash);
    let new = NewPassword { hash: &hash, scheme: &scheme, trims: false };
    let mut turn = 0;
    loop {
        let done = try_to_reset(app, caller, token, new).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_reset(app: &App, caller: &Caller, token: &str, new: NewPassword<'_>) -> Result<()> {
    let (mut tx, now) = user::begin(app).await?;
    let used = action::redeem(&mut tx, token, Purpose::ResetPassword, now).await?;
    let user = store::imported_user::lock_credentials(&mut tx, used.user_id).await?.map(|found| found.user);
    let user = user.filter(|user| user.is_active() && user.email.as_str() == used.address);
    let user = user.ok_or_else(action::no_good_link)?;
    let id = user.id;
    let epoch = user::set_password_in(&mut tx, id, new, now).await?.ok_or_else(action::no_good_link)?;
    action::forget_links(&mut tx, id, &Purpose::ALL).await?;
    prove(&mut tx, caller, &user, now).await?;
    // The link has come to that address: it is its owner's, whatever stood in the row.
    let notice = Draft { is_proved: true, ..Draft::notice(Template::PasswordChanged, &user) };
    mail::notify(app, &mut tx, now, notice).await?;
    audit::record(&mut tx, &By::anonymous(caller), &Event::new(EventKind::PasswordReset).user(id))?;
    user::commit_change(app, tx, now, What::User { id, epoch, active: true }).await?;
    tracing::info!(event = "password_reset", user.id = %id, request.id = caller.request_id, "password set by a link");
    Ok(())
}

/// The link has come to the address. Where another account has proved it already, it stays that account's.
async fn prove(tx: &mut Tx, caller: &Caller, user: &User, now: Timestamp) -> Result<()> {
    if user.email_verified_at.is_some() || !email::prove(tx, user, now).await? {
        return Ok(());
    }
    audit::record(tx, &By::anonymous(caller), &Event::new(EventKind::EmailVerified).user(user.id))
}
