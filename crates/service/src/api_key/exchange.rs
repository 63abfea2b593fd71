//! A key for a short-lived access token (RFC 6749 section 4.4).
//!
//! The tokens of a key belong to one session at a time. It ends with the key, or when the account is disabled or deleted, or when its
//! owner ends it; so a token that is out is refused like any other whose session has ended. A session that has come to its end is
//! followed by another, and no token of the one before is good then.

use std::time::Duration;

use crypto::keyed::{equal, sha256};
use domain::admin::when_enabled;
use domain::api_key::{ApiKey, Scope, id_of};
use domain::audit::{Event, EventKind};
use domain::session::{Jti, Lifetimes, Session, SessionId};
use domain::time::Timestamp;
use domain::user::User;
use store::Tx;
use store::api_key::Stored;

use super::about;
use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::throttle::{self, AddressLimit};
use crate::{App, Caller, retry, status_list, token};

/// How long a token lives, unless access tokens live shorter.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// A token that dies within the second is none.
const SECOND: Duration = Duration::from_secs(1);
/// The last use is noted to the hour.
const COARSE: i64 = 60 * 60;

/// What an exchange gives.
#[derive(Debug)]
pub struct Exchanged {
    /// An access token; there is no refresh token.
    pub access: String,
    /// How long it is good for.
    pub expires_in: Duration,
    /// What it is limited to.
    pub scope: Scope,
}

/// Why there is no token, when nothing else is wrong.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key is not good: unknown, wrong, expired, revoked, or of a disabled account. Which of them is not said.
    Client,
    /// More was asked for than the key may, or what was asked for is no scope.
    Scope,
}

/// Gives a token for a key. `id` is what the client calls itself: the key's id. `wanted` narrows the scope, and never widens it.
///
/// # Errors
/// [`crate::Kind::Throttled`]; [`crate::Kind::Unavailable`].
pub async fn exchange(
    app: &App,
    caller: &Caller,
    id: &str,
    text: &str,
    wanted: Option<&str>,
) -> Result<std::result::Result<Exchanged, Refusal>> {
    throttle::admit(app, caller, AddressLimit::Token)?;
    let done = retry::turns(|| attempt(app, caller, id, text, wanted)).await?;
    // A bad scope is no guess at a key.
    if !matches!(done, Err(Refusal::Client)) {
        throttle::give_back(app, caller, AddressLimit::Token);
    }
    Ok(done)
}

async fn attempt(
    app: &App,
    caller: &Caller,
    id: &str,
    text: &str,
    wanted: Option<&str>,
) -> Result<std::result::Result<Exchanged, Refusal>> {
    let mut tx = app.db.begin().await?;
    let found = known(&mut tx, id, text).await?;
    let Some(stored) = found else { return refuse(tx, caller, None).await };
    let user = store::user::find(&mut tx, stored.key.user).await?;
    let Some(user) = user.filter(|user| user.is_active() && stored.key.is_good(caller.now)) else {
        return refuse(tx, caller, Some(&stored.key)).await;
    };
    let Some(scope) = scope(&mut tx, &stored.key, &user, wanted).await? else {
        return Ok(Err(Refusal::Scope));
    };
    let session = session(app, caller, &mut tx, &stored, &user).await?;
    let used_at = Timestamp::from_seconds(caller.now.seconds().div_euclid(COARSE) * COARSE);
    if !store::api_key::note_use(&mut tx, &stored, session.id, used_at, caller.now).await? {
        // Revoked since it was read, or exchanged for the first time elsewhere: look again.
        return Err(store::Error::Contention.into());
    }
    let event = about(EventKind::ApiKeyUsed, &stored.key).session(session.id);
    audit::record(&mut tx, &By::service(caller, stored.key.id.as_str()), &event)?;
    tx.commit().await?;
    let lifetime = LIFETIME.min(app.settings.tokens.access_lifetime);
    let expires_at = (caller.now + lifetime).min(session.expires_at);
    let access = token::mint_for_key(app, &session, &stored.key.id, &scope, expires_at, caller.now)?;
    Ok(Ok(Exchanged { access, expires_in: expires_at.since(caller.now), scope }))
}

/// The key that a text is, if the client calls itself by its id. One read and one comparison, whatever is wrong.
async fn known(tx: &mut Tx, id: &str, text: &str) -> Result<Option<Stored>> {
    let digest = sha256(text.as_bytes());
    let Some(named) = id_of(text).filter(|named| named.as_str() == id) else { return Ok(None) };
    let found = store::api_key::find(tx, &named).await?;
    let kept = found.as_ref().map_or(&[0; 32][..], |stored| &stored.digest);
    Ok(if equal(kept, &digest) { found } else { None })
}

/// Records a refusal; what was presented is not in it.
async fn refuse(
    mut tx: Tx,
    caller: &Caller,
    key: Option<&ApiKey>,
) -> Result<std::result::Result<Exchanged, Refusal>> {
    let event = match key {
        Some(key) => about(EventKind::ApiKeyRefused, key),
        None => Event::new(EventKind::ApiKeyRefused),
    };
    audit::record(&mut tx, &By::anonymous(caller), &event)?;
    tx.commit().await?;
    Ok(Err(Refusal::Client))
}

/// What a token is limited to: what was asked for, or all that the key may; of that, what its owner may now.
async fn scope(tx: &mut Tx, key: &ApiKey, user: &User, wanted: Option<&str>) -> Result<Option<Scope>> {
    let wanted = match wanted {
        None => key.scope.clone(),
        Some(text) => match Scope::parse(text).filter(|wanted| wanted.is_within(&key.scope)) {
            Some(wanted) => wanted,
            None => return Ok(None),
        },
    };
    let granted = store::group::granted(tx, user.id).await?;
    Ok(Some(wanted.held_by(&when_enabled(user, granted))))
}

/// The session of a key's tokens: the one it has, while that is good, or a new one.
async fn session(app: &App, caller: &Caller, tx: &mut Tx, stored: &Stored, user: &User) -> Result<Session> {
    if let Some(id) = stored.session
        && let Some(found) = store::session::find(tx, id).await?
        && !found.session.is_ended(found.user_epoch)
        && !found.session.is_expired(caller.now + SECOND)
    {
        return Ok(found.session);
    }
    let life = stored.key.expires_at.since(caller.now).min(app.settings.tokens.session_lifetime);
    let id = SessionId::new(crypto::random::fill(), user.epoch);
    let jti = Jti::new(crypto::random::fill());
    let lifetimes = Lifetimes { idle: life, absolute: life };
    let mut session = Session {
        address: caller.address.to_string(),
        user_agent: format!("API key {}", stored.key.id),
        ..Session::open(id, user.id, jti, lifetimes, caller.now)
    };
    session.status = status_list::assign(app, tx, id, user.id, token::keep_until(&session)).await?;
    match store::session::insert(tx, &session, token::keep_until(&session)).await {
        // The account was deleted since it was read.
        Err(store::Error::Constraint(_)) => Err(Error::unavailable(Duration::from_secs(1), "Try again.")),
        other => other.map(|_| session).map_err(Error::from),
    }
}
