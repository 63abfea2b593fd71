//! What other services ask about tokens (RFC 7662), and ending the session of one (RFC 7009).

use domain::token::{Claims, TokenType};

use crate::error::{Kind, Result};
use crate::{App, Caller, logout, verify};

/// The claims of a token, if it is good by every check that POST /verify/ makes; nothing is said of one that is not, nor of
/// a refresh token unless `of_refresh_tokens`: most who ask look at `active` alone, and must not take it for an access token.
///
/// # Errors
/// [`Kind::Unavailable`] when that cannot be told.
pub async fn introspect(
    app: &App,
    caller: &Caller,
    text: &str,
    of_refresh_tokens: bool,
) -> Result<Option<Claims>> {
    match verify::check(app, caller, text).await {
        Ok(claims) if claims.token_type == TokenType::Refresh && !of_refresh_tokens => Ok(None),
        Ok(claims) => Ok(Some(claims)),
        Err(error) if error.kind == Kind::TokenInvalid => Ok(None),
        Err(error) => Err(error),
    }
}

/// Ends the session of a token for another service, by its name; answers whether there was one to end. A token that is not good, or has expired, needs no
/// revocation (RFC 7009 section 2.2).
///
/// # Errors
/// [`Kind::Conflict`] for a token that cannot be revoked alone; [`Kind::Unavailable`] when nothing was done.
pub async fn revoke(app: &App, caller: &Caller, service: &str, text: &str) -> Result<bool> {
    match logout::end_by(app, caller, Some(service), text).await {
        Err(error) if error.kind == Kind::TokenInvalid => Ok(false),
        result => result,
    }
}
