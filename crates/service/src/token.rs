//! Minting tokens, and the checks that need no database.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crypto::jws::TokenKind;
use domain::api_key::{ApiKeyId, Scope};
use domain::session::{Jti, Lifetimes, Session, SessionId};
use domain::signing_key::Purpose;
use domain::time::Timestamp;
use domain::token::{Claims, Standard, StatusReference, TokenFault, TokenType};
use domain::user::UserId;

use crate::App;
use crate::error::{Error, Result};
use crate::grants;
use crate::keyring::SignedBy;
use crate::refresh::legacy_jti;
use crate::settings::TokenProfile;
use crate::status_list;

/// `client_id` of tokens that a user got from us directly (RFC 9068 section 2.2 demands one).
const FIRST_PARTY: &str = "first-party";

/// What a login gives.
pub struct TokenPair {
    /// For `/refresh/`.
    pub refresh: String,
    /// For every other service.
    pub access: String,
}

/// The pair of a session as it stands: the refresh token is the one of its generation, always the same.
pub(crate) async fn mint_pair(app: &App, session: &Session, now: Timestamp) -> Result<TokenPair> {
    let access = mint_access(app, session, now).await?;
    Ok(TokenPair { refresh: mint_refresh(app, session, now)?, access })
}

/// A new access token; it dies with its session's absolute lifetime at the latest.
pub(crate) async fn mint_access(app: &App, session: &Session, now: Timestamp) -> Result<String> {
    let expires_at = (now + app.settings.tokens.access_lifetime).min(session.expires_at);
    let jti = Jti::new(crypto::random::fill());
    let status = status(app, session);
    let granted = grants::claims(app, session.user_id).await?;
    let claims = Claims { status, ..claims(app, TokenType::Access, session, jti, now, expires_at) };
    if !is_rfc9068(app) {
        return sign(app, Purpose::Access, TokenKind::Jwt, &Claims { standard: granted, ..claims }, now);
    }
    let Standard { scope, roles, .. } = granted;
    let standard = Standard { scope, roles, ..Standard::of(session.user_id, FIRST_PARTY) };
    sign(app, Purpose::Access, TokenKind::AccessToken, &Claims { standard, ..claims }, now)
}

/// An access token for an API key: of the key's session, limited to a scope. `client_id` names the key, under every profile: by it
/// such a token is told from one of a login.
pub(crate) fn mint_for_key(
    app: &App,
    session: &Session,
    key: &ApiKeyId,
    scope: &Scope,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<String> {
    let jti = Jti::new(crypto::random::fill());
    let standard = Standard { scope: Some(scope.to_string()), ..Standard::of(session.user_id, key.as_str()) };
    let status = status(app, session);
    let claims = Claims { status, standard, ..claims(app, TokenType::Access, session, jti, now, expires_at) };
    let kind = if is_rfc9068(app) { TokenKind::AccessToken } else { TokenKind::Jwt };
    sign(app, Purpose::Access, kind, &claims, now)
}

/// Whether a token was given for an API key.
pub(crate) fn is_of_key(claims: &Claims) -> bool {
    claims.standard.client.as_deref().is_some_and(|client| client != FIRST_PARTY)
}

/// Where it is told whether the session has ended, if it is.
fn status(app: &App, session: &Session) -> Option<StatusReference> {
    let status = session.status?;
    let uri = status_list::uri(app, status.list)?;
    Some(StatusReference { place: status.place, uri })
}

/// The refresh token of the session's generation. Everything in it is read from the row, so that a redelivered
/// successor is the same token, as long as the same key signs.
fn mint_refresh(app: &App, session: &Session, now: Timestamp) -> Result<String> {
    let claims =
        claims(app, TokenType::Refresh, session, session.jti, session.rotated_at, session.idle_expires_at);
    sign(app, Purpose::Refresh, TokenKind::Jwt, &claims, now)
}

fn sign(app: &App, purpose: Purpose, kind: TokenKind, claims: &Claims, now: Timestamp) -> Result<String> {
    let no_key = || Error::unavailable(Duration::from_secs(5), "There is no key to sign tokens with.");
    app.keys.sign(purpose, kind, &claims.to_json(), now).ok_or_else(no_key)
}

fn is_rfc9068(app: &App) -> bool {
    !app.keys.shared_signs() && app.settings.keys.profile == TokenProfile::Rfc9068
}

fn claims(
    app: &App,
    token_type: TokenType,
    session: &Session,
    jti: Jti,
    issued_at: Timestamp,
    expires_at: Timestamp,
) -> Claims {
    let settings = &app.settings.tokens;
    Claims {
        token_type,
        expires_at: expires_at.seconds(),
        issued_at: issued_at.seconds(),
        not_before: None,
        jti: jti.to_string(),
        user_id: session.user_id,
        session: Some(session.id),
        issuer: settings.issuer.clone(),
        audience: settings.audience.iter().cloned().collect(),
        standard: Standard::default(),
        status: None,
    }
}

/// Checks signature, claims and times of a token: all that can be told without knowing sessions and users.
pub(crate) fn read(app: &App, token: &str, now: Timestamp) -> std::result::Result<Claims, TokenFault> {
    let opened = app.keys.open(token, now).map_err(|_| TokenFault::Invalid)?;
    let claims = Claims::read(&opened.payload, now)?;
    let settings = &app.settings.tokens;
    let issuer_fits = settings.issuer.is_none() || settings.issuer == claims.issuer;
    let audience_fits = settings.audience.as_ref().is_none_or(|wanted| claims.audience.contains(wanted));
    if !issuer_fits || !audience_fits || claims.issued_at < app.tokens_not_before {
        return Err(TokenFault::Invalid);
    }
    match opened.by {
        SignedBy::Shared if app.keys.shared_signs() => Ok(claims),
        SignedBy::Shared => {
            app.counters.shared_key_tokens.fetch_add(1, Relaxed);
            Ok(claims)
        }
        SignedBy::Own { purpose, is_access_token } if fits(app, purpose, is_access_token, &claims) => {
            Ok(claims)
        }
        SignedBy::Own { .. } => Err(TokenFault::Invalid),
    }
}

/// Whether a token is one that we sign with a key of this purpose (TK-03): of its one type, of a session, and under RFC 9068
/// (section 4) an access token that says so and is complete (TK-04).
fn fits(app: &App, purpose: Purpose, is_access_token: bool, claims: &Claims) -> bool {
    let is_ours = claims.token_type == purpose.token_type() && claims.session.is_some();
    match purpose {
        Purpose::Access if is_rfc9068(app) => {
            is_ours && is_access_token && claims.standard.is_complete_for(claims.user_id)
        }
        Purpose::Access | Purpose::Refresh => is_ours,
    }
}

/// What the row of a user says about tokens without a session, which the replaced service minted.
pub(crate) enum LegacyUser {
    /// There is no such user, or the token is from before what the user's tokens must come after.
    Refused,
    /// The account is disabled.
    Disabled,
    /// The token may be taken; new sessions are of this epoch.
    Good {
        /// The user's epoch.
        epoch: u32,
    },
}

/// Judges a token without a session by its user: minted in the time of such tokens, not before the user was created,
/// and not before the user's own not-before. A refresh token must not have been refused where it comes from.
pub(crate) async fn legacy_user(
    app: &App,
    tx: &mut store::Tx,
    claims: &Claims,
    now: Timestamp,
) -> Result<LegacyUser> {
    if now >= app.legacy_until {
        return Ok(LegacyUser::Refused);
    }
    let Some(user) = store::user::find(tx, claims.user_id).await? else { return Ok(LegacyUser::Refused) };
    let earliest = user.created_at.seconds().max(user.not_before.unwrap_or(i64::MIN));
    if claims.issued_at < earliest {
        return Ok(LegacyUser::Refused);
    }
    if claims.token_type == TokenType::Refresh
        && store::refused_token::is_refused(tx, legacy_jti(&claims.jti)).await?
    {
        return Ok(LegacyUser::Refused);
    }
    if user.disabled_at.is_some() {
        return Ok(LegacyUser::Disabled);
    }
    app.counters.legacy_tokens.fetch_add(1, Relaxed);
    Ok(LegacyUser::Good { epoch: user.epoch })
}

/// A new session of a user at `now`.
pub(crate) fn new_session(app: &App, id: SessionId, user_id: UserId, caller: &crate::Caller) -> Session {
    let settings = &app.settings.tokens;
    let lifetimes = Lifetimes { idle: settings.refresh_lifetime, absolute: settings.session_lifetime };
    let jti = Jti::new(crypto::random::fill());
    Session {
        address: caller.address.to_string(),
        user_agent: caller.short_user_agent(),
        ..Session::open(id, user_id, jti, lifetimes, caller.now)
    }
}

/// When no token can name the session any more: an access token minted in its last moment has died too.
pub(crate) fn keep_until(session: &Session) -> Timestamp {
    const MARGIN: Duration = Duration::from_secs(24 * 60 * 60);
    session.expires_at + MARGIN
}

/// When a session that stands for a spent token of the replaced service may be forgotten: the token cannot come back then.
pub(crate) fn spent_until(session: &Session, claims: &Claims) -> Timestamp {
    keep_until(session).max(Timestamp::from_seconds(claims.expires_at))
}

/// The answer when our knowledge of ended sessions is too old to judge an access token (never 400 or 401).
pub(crate) fn stale() -> Error {
    Error::unavailable(Duration::from_secs(5), "Revocations cannot be checked at the moment.")
}
