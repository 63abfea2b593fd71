//! Whether a reverse proxy may let a request through, and whose it is.

use domain::user::UserId;

use crate::error::{Error, Result};
use crate::verify::{self, Identity};
use crate::{App, Caller};

/// Who a request comes from.
pub struct Visitor {
    /// The user and the session.
    pub identity: Identity,
    /// The user's name.
    pub username: String,
}

/// Who an access token speaks for. The name is read from the database once, and again after the user has changed.
///
/// # Errors
/// [`crate::Kind::BearerInvalid`] when the token is not a good access token; [`crate::Kind::Forbidden`] for one of an API key;
/// [`crate::Kind::Unavailable`].
pub async fn visitor(app: &App, caller: &Caller, token: &str) -> Result<Visitor> {
    let identity = verify::bearer(app, caller, token).await?;
    // Who is behind the proxy would not hear of the scope, and take a limited token for its whole account.
    if identity.by_key {
        return Err(Error::forbidden());
    }
    Ok(Visitor { identity, username: username(app, identity.user_id).await? })
}

async fn username(app: &App, id: UserId) -> Result<String> {
    if let Some(name) = app.names.get(id) {
        return Ok(name);
    }
    let seen = app.names.generation();
    let mut tx = app.db.read().await?;
    let user = store::user::find(&mut tx, id).await?;
    drop(tx);
    let user = user.ok_or_else(|| Error::bearer(domain::token::TokenFault::Invalid))?;
    let name = user.username.as_str().to_owned();
    app.names.remember(id, name.clone(), seen);
    Ok(name)
}
