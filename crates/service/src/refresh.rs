//! Refreshing: one conditional UPDATE moves a session from one generation to the next.

use std::sync::atomic::Ordering::Relaxed;

use domain::audit::{Event, EventKind};
use domain::session::{Jti, RefreshDecision, Session, SessionId, decide, rotate};
use domain::time::Timestamp;
use domain::token::{Claims, TokenFault, TokenType};
use domain::user::UserId;
use store::Tx;
use store::session::{Advance, Found};

use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::token::{self, LegacyUser};
use crate::{App, Caller, retry, session, status_list};

/// What a refresh gives.
pub struct Refreshed {
    /// A new access token.
    pub access: String,
    /// The next refresh token, while rotation is on.
    pub refresh: Option<String>,
}

/// Lost races are decided anew; every turn means that another request moved the session on, so three are plenty.
const TURNS: usize = 3;

/// Gives new tokens for a refresh token.
///
/// # Errors
/// [`crate::Kind::TokenInvalid`] for a token that is not, or no longer, good; [`crate::Kind::Unauthenticated`] for a
/// disabled account.
pub async fn refresh(app: &App, caller: &Caller, text: &str) -> Result<Refreshed> {
    let claims = token::read(app, text, caller.now).map_err(Error::token)?;
    if claims.token_type != TokenType::Refresh {
        return Err(Error::token(TokenFault::WrongType));
    }
    let mut turn = 0;
    loop {
        let done = attempt(app, caller, &claims).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn attempt(app: &App, caller: &Caller, claims: &Claims) -> Result<Refreshed> {
    if let Some(session) = rotate_at_once(app, caller, claims).await? {
        return give(app, &session, caller.now).await;
    }
    for _ in 0..TURNS {
        let mut tx = app.db.begin().await?;
        let step = match claims.session {
            Some(id) => known(app, caller, claims, id, &mut tx).await?,
            None => adopt(app, caller, claims, &mut tx).await?,
        };
        match step {
            Step::Give(session) => {
                tx.commit().await?;
                return give(app, &session, caller.now).await;
            }
            Step::Again => {}
            Step::Reuse(id, user) => return Err(reused(app, caller, tx, id, user).await?),
            Step::Refuse(error) => return Err(error),
        }
    }
    Err(Error::unavailable(std::time::Duration::from_secs(1), "The session is in use by too many requests."))
}

/// What nearly every refresh is: the token is the current one of a good session. One statement finds out, moves the session
/// on and is committed. Otherwise nothing has changed by it, and a second look says what is to be done.
async fn rotate_at_once(app: &App, caller: &Caller, claims: &Claims) -> Result<Option<Session>> {
    let (Some(id), Some(presented)) = (claims.session, Jti::parse(&claims.jti)) else { return Ok(None) };
    if !app.settings.tokens.rotation {
        return Ok(None);
    }
    let next = Jti::new(crypto::random::fill());
    let idle_expires_at = caller.now + app.settings.tokens.refresh_lifetime;
    let asked = Advance { id, user: claims.user_id, presented, next, now: caller.now, idle_expires_at };
    let rotated = store::session::advance(&app.db, asked).await?;
    app.counters.refreshes.fetch_add(u64::from(rotated.is_some()), Relaxed);
    Ok(rotated)
}

/// What one look at the session says.
enum Step {
    /// Commit, and give the tokens of the session as it now stands.
    Give(Session),
    /// Another request was faster: look again.
    Again,
    /// A spent token came back: end the session.
    Reuse(SessionId, UserId),
    /// Say no; nothing was changed.
    Refuse(Error),
}

impl Step {
    fn invalid() -> Self {
        Self::Refuse(Error::token(TokenFault::Invalid))
    }
}

async fn known(app: &App, caller: &Caller, claims: &Claims, id: SessionId, tx: &mut Tx) -> Result<Step> {
    let Some(found) = store::session::find(tx, id).await? else { return Ok(Step::invalid()) };
    let Some(presented) = Jti::parse(&claims.jti) else { return Ok(Step::invalid()) };
    if found.session.user_id != claims.user_id {
        return Ok(Step::invalid());
    }
    if !found.user_active {
        return Ok(Step::Refuse(Error::no_active_account_for_token()));
    }
    advance(app, caller, tx, &found, presented).await
}

/// A refresh token of the replaced service opens a session on its first use. The session's id follows from the
/// token's, so that two racing tabs get the same session, the same successor and the same grace.
async fn adopt(app: &App, caller: &Caller, claims: &Claims, tx: &mut Tx) -> Result<Step> {
    let epoch = match token::legacy_user(app, tx, claims, caller.now).await? {
        LegacyUser::Refused => return Ok(Step::invalid()),
        LegacyUser::Disabled => return Ok(Step::Refuse(Error::no_active_account_for_token())),
        LegacyUser::Good { epoch } => epoch,
    };
    let id = legacy_session_id(&claims.jti, epoch);
    let presented = legacy_jti(&claims.jti);
    let mut session = token::new_session(app, id, claims.user_id, caller);
    if app.settings.tokens.rotation {
        session.previous_jti = Some(presented);
    } else {
        session.jti = presented; // nothing succeeds it: the token stays in force
    }
    let keep_until = token::spent_until(&session, claims);
    session.status = status_list::assign(app, tx, id, claims.user_id, keep_until).await?;
    match store::session::insert(tx, &session, keep_until).await {
        Ok(true) => {
            let event = Event::new(EventKind::SessionAdopted).user(claims.user_id).session(id);
            audit::record(tx, &By::user(caller, claims.user_id), &event)?;
            return Ok(Step::Give(session));
        }
        Ok(false) => {}
        // The user was deleted since the token was judged.
        Err(store::Error::Constraint(_)) => return Ok(Step::invalid()),
        Err(error) => return Err(error.into()),
    }
    match store::session::find(tx, id).await? {
        Some(found) if found.session.user_id == claims.user_id => {
            advance(app, caller, tx, &found, presented).await
        }
        _ => Ok(Step::invalid()),
    }
}

async fn advance(app: &App, caller: &Caller, tx: &mut Tx, found: &Found, presented: Jti) -> Result<Step> {
    let session = &found.session;
    match judge(app, found, presented, caller.now) {
        RefreshDecision::Rotate if app.settings.tokens.rotation => {
            let next = Jti::new(crypto::random::fill());
            let rotated = rotate(session, next, app.settings.tokens.refresh_lifetime, caller.now);
            let won = store::session::rotate(tx, &rotated).await?;
            app.counters.refreshes.fetch_add(u64::from(won), Relaxed);
            Ok(if won { Step::Give(rotated) } else { Step::Again })
        }
        RefreshDecision::Rotate => {
            let used = store::session::touch(tx, session.id, caller.now).await?;
            Ok(if used { Step::Give(session.clone()) } else { Step::Again })
        }
        RefreshDecision::Redeliver => {
            app.counters.redeliveries.fetch_add(1, Relaxed);
            Ok(Step::Give(session.clone()))
        }
        RefreshDecision::Reuse => Ok(Step::Reuse(session.id, session.user_id)),
        RefreshDecision::Expired => Ok(Step::Refuse(Error::token(TokenFault::Expired))),
        RefreshDecision::Ended => Ok(Step::invalid()),
    }
}

/// The domain's decision about a stored session.
pub(crate) fn judge(app: &App, found: &Found, presented: Jti, now: Timestamp) -> RefreshDecision {
    decide(&found.session, presented, found.user_epoch, app.settings.tokens.refresh_grace, now)
}

/// Ends the session of a spent token (RFC 9700 section 4.14.2) and answers what the caller is told.
async fn reused(app: &App, caller: &Caller, tx: Tx, id: SessionId, user: UserId) -> Result<Error> {
    let event = Event::new(EventKind::SessionReuseDetected).user(user).session(id);
    if session::revoke(app, tx, id, &By::anonymous(caller), &event).await? {
        app.counters.reuses.fetch_add(1, Relaxed);
        tracing::warn!(
            event = "refresh_token_reuse",
            session.id = %id,
            user.id = %user,
            request.id = caller.request_id,
            "a spent refresh token came back; its session was ended"
        );
    }
    Ok(Error::token(TokenFault::Invalid))
}

async fn give(app: &App, session: &Session, now: Timestamp) -> Result<Refreshed> {
    if app.settings.tokens.rotation {
        let pair = token::mint_pair(app, session, now).await?;
        return Ok(Refreshed { access: pair.access, refresh: Some(pair.refresh) });
    }
    Ok(Refreshed { access: token::mint_access(app, session, now).await?, refresh: None })
}

/// The id of the session that a refresh token of the replaced service opens. Whatever raises the epoch also sets the
/// user's not-before, so a token never opens a second session in a later epoch.
pub(crate) fn legacy_session_id(jti: &str, epoch: u32) -> SessionId {
    let digest = crypto::keyed::sha256(format!("session of refresh token {jti}").as_bytes());
    let mut bytes = [0; 12];
    bytes.copy_from_slice(&digest[..12]);
    SessionId::new(bytes, epoch)
}

/// The id of such a token as a session row keeps it: the replaced service wrote UUIDs, but took any text.
pub(crate) fn legacy_jti(jti: &str) -> Jti {
    Jti::parse(jti).unwrap_or_else(|| {
        let digest = crypto::keyed::sha256(jti.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Jti::from_bytes(bytes)
    })
}
