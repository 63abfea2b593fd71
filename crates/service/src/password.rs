//! A new password, set by the owner of the account.

use ::mail::Template;
use domain::action::Purpose;
use domain::audit::{Event, EventKind};
use domain::field::FieldErrors;
use store::change::What;
use store::user::{Credentials, NewPassword};

use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::mail::Draft;
use crate::token::{self, TokenPair};
use crate::verify::Identity;
use crate::{App, Caller, action, login, mail, reauth, retry, user};

/// Changes the password of an account whose owner knows the one in force. All sessions end; the caller gets a new one.
///
/// # Errors
/// [`crate::Kind::Forbidden`] for a wrong password; [`crate::Kind::Invalid`] when the policy refuses the new one;
/// [`crate::Kind::Conflict`] when the account changes meanwhile; [`crate::Kind::Throttled`]; [`crate::Kind::Unavailable`].
pub async fn change(
    app: &App,
    caller: &Caller,
    who: Identity,
    current: &str,
    new: &str,
) -> Result<TokenPair> {
    let account = reauth::check(app, caller, who.user_id, current).await?;
    let mut errors = FieldErrors::default();
    user::check_policy(app, ("new_password", new), &user::attributes(&account.user), &mut errors).await?;
    errors.into_result().map_err(Error::invalid)?;
    let hash = user::hash(app, caller, new).await?;
    let scheme = crypto::password::scheme_of(&hash);
    let new = NewPassword { hash: &hash, scheme: &scheme, trims: false };
    let mut turn = 0;
    loop {
        let done = try_to_change(app, caller, &account, new).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_change(
    app: &App,
    caller: &Caller,
    checked: &Credentials,
    new: NewPassword<'_>,
) -> Result<TokenPair> {
    let (mut tx, now) = user::begin(app).await?;
    let id = checked.user.id;
    let current = store::imported_user::lock_credentials(&mut tx, id).await?;
    let is_as_checked =
        |current: &Credentials| current.password_hash == checked.password_hash && current.user.is_active();
    let current = current.filter(is_as_checked).ok_or_else(Error::changed_meanwhile)?;
    let epoch = user::set_password_in(&mut tx, id, new, now).await?.ok_or_else(Error::changed_meanwhile)?;
    action::forget_links(&mut tx, id, &[Purpose::ResetPassword, Purpose::ChangeEmail]).await?;
    let session = login::open_session(app, &mut tx, caller, id, epoch).await?;
    mail::notify(app, &mut tx, now, Draft::notice(Template::PasswordChanged, &current.user)).await?;
    let event = Event::new(EventKind::PasswordChanged).user(id).session(session.id);
    audit::record(&mut tx, &By::user(caller, id), &event)?;
    user::commit_change(app, tx, now, What::User { id, epoch, active: true }).await?;
    tracing::info!(event = "password_changed", user.id = %id, request.id = caller.request_id, "password changed by its owner");
    token::mint_pair(app, &session, caller.now).await
}
