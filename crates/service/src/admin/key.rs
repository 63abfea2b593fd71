//! Signing keys.

use domain::admin::Right;

use super::{Administrator, Change};
use crate::error::Result;
use crate::signing_key::{self, Listed};
use crate::{App, Caller, retry};

/// All signing keys that are remembered, without their secrets.
///
/// # Errors
/// [`crate::Kind::Forbidden`].
pub async fn list(app: &App, admin: &Administrator) -> Result<Vec<Listed>> {
    admin.require(Right::ViewSigningKey)?;
    signing_key::list(app).await
}

/// Publishes the next keys now. Answers them.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::Conflict`] when no public keys sign, or the next one is published already.
pub async fn rotate(app: &App, caller: &Caller, admin: &Administrator) -> Result<Vec<Listed>> {
    admin.require_change(Right::AddSigningKey)?;
    let made = signing_key::make_next(app).await?;
    let next = retry::turns(|| try_to_rotate(app, caller, admin, &made)).await?;
    signing_key::follow_rotation(app).await?;
    Ok(next)
}

async fn try_to_rotate(
    app: &App,
    caller: &Caller,
    admin: &Administrator,
    made: &signing_key::Next,
) -> Result<Vec<Listed>> {
    let change = Change::begin(app, caller, admin, Right::AddSigningKey).await?;
    signing_key::rotate_in(app, change.tx, &change.by, made).await
}
