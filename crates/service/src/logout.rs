//! Logging out: ending the session of a token, or all sessions of its user.

use domain::audit::{Actor, Event, EventKind};
use domain::session::SessionId;
use domain::token::{Claims, TokenType};
use domain::user::UserId;
use store::Tx;
use store::change::What;

use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::refresh::{legacy_jti, legacy_session_id};
use crate::token::{self, LegacyUser};
use crate::{App, Caller, retry, session, user, verify};

/// Ends the session of a token. Any of its access and refresh tokens will do, also a spent one: whoever holds it may
/// have stolen it, or wants the session to end. Ending what has ended already is no failure: the answer is false.
///
/// # Errors
/// [`crate::Kind::TokenInvalid`] for a token that is not well signed or has expired; [`crate::Kind::Conflict`] for an access token of
/// the replaced service, which names no session; [`crate::Kind::Unavailable`].
pub async fn logout(app: &App, caller: &Caller, text: &str) -> Result<bool> {
    end_by(app, caller, None, text).await
}

/// The same, asked for by another service, or by whoever holds the token.
pub(crate) async fn end_by(app: &App, caller: &Caller, service: Option<&str>, text: &str) -> Result<bool> {
    let claims = token::read(app, text, caller.now).map_err(Error::token)?;
    let actor = service.map_or(Actor::User(claims.user_id), |name| Actor::Service(name.to_owned()));
    let by = By::request(caller, actor);
    let mut turn = 0;
    loop {
        let done = try_to_log_out(app, caller, &by, &claims).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_log_out(app: &App, caller: &Caller, by: &By<'_>, claims: &Claims) -> Result<bool> {
    let (id, ended) = match (claims.session, claims.token_type) {
        (Some(id), _) => (id, end(app, by, claims, id).await?),
        (None, TokenType::Refresh) => spend(app, caller, by, claims).await?,
        (None, TokenType::Access) => {
            verify::access(app, caller, claims).await?;
            return Err(Error::conflict("This token names no session; log out with the refresh token."));
        }
    };
    if ended {
        tracing::info!(
            event = "logged_out",
            session.id = %id,
            user.id = %claims.user_id,
            request.id = caller.request_id,
            "logged out"
        );
    }
    Ok(ended)
}

async fn end(app: &App, by: &By<'_>, claims: &Claims, id: SessionId) -> Result<bool> {
    let mut tx = app.db.begin().await?;
    let found = store::session::find(&mut tx, id).await?;
    if found.is_none_or(|found| found.session.user_id != claims.user_id) {
        return Ok(false); // purged: no token of it is good
    }
    session::revoke(app, tx, id, by, &session::ended(id, claims.user_id, "token")).await
}

/// A refresh token of the replaced service has a session only once it was used; otherwise it gets one that has ended.
async fn spend(app: &App, caller: &Caller, by: &By<'_>, claims: &Claims) -> Result<(SessionId, bool)> {
    let mut tx = app.db.begin().await?;
    let epoch = match token::legacy_user(app, &mut tx, claims, caller.now).await? {
        LegacyUser::Good { epoch } => epoch,
        LegacyUser::Refused | LegacyUser::Disabled => {
            return Err(Error::token(domain::token::TokenFault::Invalid));
        }
    };
    let id = legacy_session_id(&claims.jti, epoch);
    let mut session = token::new_session(app, id, claims.user_id, caller);
    session.previous_jti = Some(legacy_jti(&claims.jti));
    let keep_until = token::spent_until(&session, claims);
    store::session::insert(&mut tx, &session, keep_until).await?;
    Ok((id, session::revoke(app, tx, id, by, &session::ended(id, claims.user_id, "token")).await?))
}

/// Ends all sessions of the user of a token, this one included, and refuses the user's tokens of the replaced service.
/// Answers whose.
///
/// # Errors
/// [`crate::Kind::TokenInvalid`] for a token that is not, or no longer, good; [`crate::Kind::Forbidden`] for one of an API key;
/// [`crate::Kind::Unavailable`].
pub async fn logout_all(app: &App, caller: &Caller, text: &str) -> Result<UserId> {
    let claims = verify::check(app, caller, text).await?;
    if token::is_of_key(&claims) {
        return Err(Error::forbidden()); // it may end its own session, not those of its account
    }
    let mut turn = 0;
    loop {
        let done = end_all(app, caller, claims.user_id).await;
        if !retry::again(&done, &mut turn).await {
            return done.map(|()| claims.user_id);
        }
    }
}

/// Ends all sessions of a user.
///
/// # Errors
/// [`crate::Kind::NotFound`]; [`crate::Kind::Unavailable`].
async fn end_all(app: &App, caller: &Caller, id: UserId) -> Result<()> {
    let tx = app.db.begin().await?;
    end_all_in(app, tx, &By::user(caller, id), id).await?;
    tracing::info!(
        event = "logged_out_everywhere",
        user.id = %id,
        request.id = caller.request_id,
        "all sessions were ended by their owner"
    );
    Ok(())
}

/// The same in a transaction that has begun, by whoever asked for it.
pub(crate) async fn end_all_in(app: &App, mut tx: Tx, by: &By<'_>, id: UserId) -> Result<()> {
    let now = by.at();
    let ended = store::user::end_sessions(&mut tx, id, now).await?;
    let (epoch, active) = ended.ok_or_else(|| Error::not_found("There is no such account."))?;
    audit::record(&mut tx, by, &Event::new(EventKind::SessionsEndedAll).user(id))?;
    user::commit_change(app, tx, now, What::User { id, epoch, active }).await
}
