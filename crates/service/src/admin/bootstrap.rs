//! The first administrator: made by whoever holds a token that an operator has made, once and for a short time (LG-09).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto::keyed::{equal, sha256};
use domain::audit::{Event, EventKind};
use domain::time::Timestamp;
use domain::user::User;
use store::meta;

use super::turn;
use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::throttle::{self, AddressLimit};
use crate::user::{self, NewUser, Ready};
use crate::{App, Caller, retry};

/// A token and until when it is good.
pub struct Token {
    /// To be shown once.
    pub text: String,
    /// The end of its time.
    pub expires_at: Timestamp,
}

/// Makes a token, in the place of the one before.
///
/// # Errors
/// [`crate::Kind::Conflict`] when there is a superuser already.
pub async fn make(app: &App, lifetime: Duration) -> Result<Token> {
    let text = URL_SAFE_NO_PAD.encode(crypto::random::fill::<32>());
    retry::turns(|| try_to_make(app, &text, lifetime)).await.map(|expires_at| Token { text, expires_at })
}

async fn try_to_make(app: &App, text: &str, lifetime: Duration) -> Result<Timestamp> {
    let mut tx = app.db.begin().await?;
    turn(&mut tx).await?;
    if store::role::any_superuser(&mut tx).await? {
        return Err(Error::conflict("There is a superuser already."));
    }
    let now = app.clock.now();
    let expires_at = now + lifetime;
    meta::set(&mut tx, meta::BOOTSTRAP, &format!("{}:{}", digest(text), expires_at.micros())).await?;
    audit::record(&mut tx, &By::operator(now), &Event::new(EventKind::BootstrapTokenMade))?;
    tx.commit().await?;
    Ok(expires_at)
}

/// Makes the first administrator, a superuser, for such a token. Once: then the token is gone.
///
/// # Errors
/// [`crate::Kind::Forbidden`] for a token that is not good, whatever is wrong with it, and when there is a superuser;
/// [`crate::Kind::Invalid`] with the faulty fields, the token then stays; [`crate::Kind::Throttled`].
pub async fn bootstrap(app: &App, caller: &Caller, token: &str, new: NewUser) -> Result<User> {
    throttle::admit(app, caller, AddressLimit::Login)?;
    let mut tx = app.db.read().await?;
    let stored = meta::get(&mut tx, meta::BOOTSTRAP).await?;
    let is_first = !store::role::any_superuser(&mut tx).await?;
    drop(tx);
    let stored = stored.filter(|stored| is_first && fits(stored, token, caller.now)).ok_or_else(refused)?;
    let new = NewUser { is_superuser: true, is_staff: true, ..new };
    let ready = user::prepare(app, new).await?;
    retry::turns(|| try_to_bootstrap(app, caller, &stored, &ready)).await
}

async fn try_to_bootstrap(app: &App, caller: &Caller, stored: &str, ready: &Ready) -> Result<User> {
    let mut tx = app.db.begin().await?;
    turn(&mut tx).await?;
    // Another request may have been faster, or an operator.
    if store::role::any_superuser(&mut tx).await? || !meta::take(&mut tx, meta::BOOTSTRAP, stored).await? {
        return Err(refused());
    }
    let row = ready.row(caller.now);
    let id = match store::user::insert(&mut tx, &row).await {
        Err(store::Error::Conflict) => return Err(user::name_taken()),
        other => other?,
    };
    let event = Event::new(EventKind::UserCreated).user(id).detail("by", "bootstrap token");
    audit::record(&mut tx, &By::anonymous(caller), &event)?;
    tx.commit().await?;
    tracing::warn!(event = "bootstrapped", user.id = %id, request.id = caller.request_id, "the first administrator was made");
    Ok(row.into_user(id))
}

/// What is kept of a token: enough, for it is 32 random bytes.
fn digest(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(token.as_bytes()))
}

fn fits(stored: &str, token: &str, now: Timestamp) -> bool {
    let Some((kept, until)) = stored.split_once(':') else { return false };
    let same = equal(kept.as_bytes(), digest(token).as_bytes());
    same && until.parse().is_ok_and(|until| now < Timestamp::from_micros(until))
}

fn refused() -> Error {
    Error::forbidden()
}
