//! What other services ask about tokens (RFC 7662), and ending the session of one (RFC 7009).

use domain::token::Claims;

use crate::error::{Kind, Result};
use crate::{App, Caller, logout, verify};

/// The claims of a token, if it is good by every check that POST /verify/ makes; nothing is said of one that is not.
///
/// # Errors
/// [`Kind::Unavailable`] when that cannot be told.
pub async fn introspect(app: &App, caller: &Caller, text: &str) -> Result<Option<Claims>> {
    match verify::check(app, caller, text).await {
        Ok(claims) => Ok(Some(claims)),
        Err(error) if error.kind == Kind::TokenInvalid => Ok(None),
        Err(error) => Err(error),
    }
}

/// Ends the session of a token. A token that is not good, or has expired, needs no revocation (RFC 7009 section 2.2).
///
/// # Errors
/// [`Kind::Conflict`] for a token that cannot be revoked alone; [`Kind::Unavailable`] when nothing was done.
pub async fn revoke(app: &App, caller: &Caller, text: &str) -> Result<()> {
    match logout::logout(app, caller, text).await {
        Err(error) if error.kind == Kind::TokenInvalid => Ok(()),
        result => result,
    }
}
