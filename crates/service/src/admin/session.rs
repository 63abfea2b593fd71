//! Sessions of others.

use domain::admin::Right;
use domain::session::SessionId;
use domain::user::UserId;

use super::user::no_such_user;
use super::{Administrator, Change};
use crate::error::{Error, Result};
use crate::session::{self, Page, Place};
use crate::{App, Caller, logout, retry};

/// The sessions of an account that are good now, the latest login first, at most 100 of them.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`].
pub async fn list(
    app: &App,
    caller: &Caller,
    admin: &Administrator,
    id: UserId,
    after: Option<Place>,
) -> Result<Page> {
    admin.require(Right::ViewSession)?;
    session::list_of(app, caller, id, after).await?.ok_or_else(no_such_user)
}

/// Ends a session of an account.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`] when the account has no such session, or it has ended.
pub async fn end(
    app: &App,
    caller: &Caller,
    admin: &Administrator,
    user: UserId,
    id: SessionId,
) -> Result<()> {
    retry::turns(|| try_to_end(app, caller, admin, user, id)).await
}

async fn try_to_end(
    app: &App,
    caller: &Caller,
    admin: &Administrator,
    user: UserId,
    id: SessionId,
) -> Result<()> {
    let mut change = Change::begin(app, caller, admin, Right::DeleteSession).await?;
    change.account(user).await?;
    let live = session::is_live(&mut change.tx, id, user, caller.now).await?;
    let event = session::ended(id, user, "administrator");
    if !live || !session::revoke(app, change.tx, id, &change.by, &event).await? {
        return Err(Error::not_found("There is no such session."));
    }
    Ok(())
}

/// Ends all sessions of an account (SE-03).
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`].
pub async fn end_all(app: &App, caller: &Caller, admin: &Administrator, user: UserId) -> Result<()> {
    retry::turns(|| try_to_end_all(app, caller, admin, user)).await
}

async fn try_to_end_all(app: &App, caller: &Caller, admin: &Administrator, user: UserId) -> Result<()> {
    let mut change = Change::begin(app, caller, admin, Right::DeleteSession).await?;
    change.account(user).await?;
    logout::end_all_in(app, change.tx, &change.by, user).await
}
