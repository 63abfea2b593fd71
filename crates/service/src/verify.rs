//! Checking tokens. Access tokens are checked against memory alone.

use domain::session::SessionId;
use domain::token::{Claims, TokenFault, TokenType};
use domain::user::UserId;
use store::session::Found;

use crate::error::{Error, Kind, Result};
use crate::refresh::{judge, legacy_jti, legacy_session_id};
use crate::token::{self, LegacyUser};
use crate::{App, Caller};

/// Whether a token, access or refresh, is good.
///
/// # Errors
/// [`Kind::TokenInvalid`] when it is not; [`Kind::Unavailable`] when that cannot be told.
pub async fn verify(app: &App, caller: &Caller, text: &str) -> Result<()> {
    check(app, caller, text).await.map(drop)
}

/// The claims of a token, access or refresh, that is good.
pub(crate) async fn check(app: &App, caller: &Caller, text: &str) -> Result<Claims> {
    let claims = token::read(app, text, caller.now).map_err(Error::token)?;
    match claims.token_type {
        TokenType::Access => access(app, caller, &claims).await?,
        TokenType::Refresh => refresh(app, caller, &claims).await?,
    }
    Ok(claims)
}

/// Who a good access token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user_id: UserId,
    /// The session; a token of the replaced service has none.
    pub session: Option<SessionId>,
    /// Whether it was given for an API key: then it stands for no login, and its scope limits what it is good for.
    pub by_key: bool,
}

/// Who the token of an Authorization header speaks for, if it is a good access token.
///
/// # Errors
/// [`Kind::BearerInvalid`] when it is not; [`Kind::Unavailable`] when that cannot be told.
pub async fn bearer(app: &App, caller: &Caller, text: &str) -> Result<Identity> {
    let claims = token::read(app, text, caller.now).map_err(Error::bearer)?;
    if claims.token_type != TokenType::Access {
        return Err(Error::bearer(TokenFault::WrongType));
    }
    access(app, caller, &claims).await.map_err(|error| match error.kind {
        Kind::TokenInvalid => Error::bearer(TokenFault::Invalid),
        _ => error,
    })?;
    Ok(Identity { user_id: claims.user_id, session: claims.session, by_key: token::is_of_key(&claims) })
}

pub(crate) async fn access(app: &App, caller: &Caller, claims: &Claims) -> Result<()> {
    let Some(session) = claims.session else {
        let mut tx = app.db.read().await?;
        return good_legacy(token::legacy_user(app, &mut tx, claims, caller.now).await?).map(drop);
    };
    if app.feed.age(caller.now) > app.settings.feed_max_staleness {
        return Err(token::stale());
    }
    if app.feed.allows(session, claims.user_id) { Ok(()) } else { Err(Error::token(TokenFault::Invalid)) }
}

/// A refresh token is good while its session would take it; its row is read.
async fn refresh(app: &App, caller: &Caller, claims: &Claims) -> Result<()> {
    let mut tx = app.db.read().await?;
    let (id, presented) = match claims.session {
        Some(id) => (id, domain::session::Jti::parse(&claims.jti)),
        None => {
            let epoch = good_legacy(token::legacy_user(app, &mut tx, claims, caller.now).await?)?;
            (legacy_session_id(&claims.jti, epoch), Some(legacy_jti(&claims.jti)))
        }
    };
    let found = store::session::find(&mut tx, id).await?;
    drop(tx);
    match (found, presented) {
        (None, _) if claims.session.is_none() => Ok(()), // not yet spent
        (Some(found), Some(jti)) if usable(app, caller, claims, &found, jti) => Ok(()),
        _ => Err(Error::token(TokenFault::Invalid)),
    }
}

fn usable(app: &App, caller: &Caller, claims: &Claims, found: &Found, jti: domain::session::Jti) -> bool {
    use domain::session::RefreshDecision::{Redeliver, Rotate};
    found.user_active
        && found.session.user_id == claims.user_id
        && matches!(judge(app, found, jti, caller.now), Rotate | Redeliver)
}

fn good_legacy(user: LegacyUser) -> Result<u32> {
    match user {
        LegacyUser::Good { epoch } => Ok(epoch),
        LegacyUser::Refused | LegacyUser::Disabled => Err(Error::token(TokenFault::Invalid)),
    }
}
