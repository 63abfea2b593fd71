//! The account's password again, or a login of late, before what must not be done with a stolen token alone (SE-05, PW-10).

use std::time::Duration;

use domain::audit::{Event, EventKind};
use domain::session::Session;
use domain::time::Timestamp;
use domain::user::{User, UserId};
use store::user::Credentials;

use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::login::password_of;
use crate::throttle::{self, AddressLimit};
use crate::{App, Caller, stop};

/// Checks the password of an account, and answers the account as it was checked. Failures count as those of logins do, and a
/// password that is stopped for logins from there is not taken here: a stolen token is no way to guess on.
///
/// # Errors
/// [`crate::Kind::Forbidden`] for a wrong password; [`crate::Kind::Throttled`]; [`crate::Kind::Unavailable`].
pub(crate) async fn check(app: &App, caller: &Caller, id: UserId, raw: &str) -> Result<Credentials> {
    throttle::admit(app, caller, AddressLimit::Login)?;
    let user = store::user::find(&mut app.db.read().await?, id).await?.ok_or_else(Error::wrong_password)?;
    let (name, key) = (user.username.as_str(), user.username.key());
    let reserved = throttle::reserve(app, caller, name, &key).await?;
    let account = reserved.filter(|found| found.user.id == id).ok_or_else(Error::wrong_password)?;
    let (password, stored) = (password_of(&account, raw), account.password_hash.clone());
    let checked = app.hasher.verify(throttle::source(app, caller), password.to_bytes(), stored, false).await;
    let verdict = match checked {
        Ok(verdict) => verdict,
        Err(busy) => {
            throttle::cancel(app, caller, name, &key).await?;
            return Err(busy.into());
        }
    };
    if !verdict.valid || !account.user.is_active() || stop::is_stopped(app, caller, &account) {
        let by = By::user(caller, id);
        let mut tx = app.db.begin().await?;
        audit::record(&mut tx, &by, &Event::new(EventKind::PasswordRefused).user(id))?;
        stop::note(app, &mut tx, caller, &by, &account).await?;
        tx.commit().await?;
        tracing::info!(event = "password_refused", user.id = %id, request.id = caller.request_id, "wrong current password");
        return Err(Error::wrong_password());
    }
    throttle::succeeded(app, caller, name, &key).await?;
    Ok(account)
}

/// Whether a session was opened by a login within this time (SE-05). In the time of the replaced service's tokens, one of which also
/// opens a session, only the account's latest login counts: nothing else tells the two apart.
pub(crate) fn is_fresh(app: &App, session: &Session, user: &User, within: Duration, now: Timestamp) -> bool {
    let is_login = session.created_at >= app.legacy_until || user.last_login_at == Some(session.created_at);
    is_login && now.since(session.created_at) < within
}
