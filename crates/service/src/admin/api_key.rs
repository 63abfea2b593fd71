//! API keys.

use domain::admin::Right;
use domain::api_key::{ApiKey, ApiKeyId, Scope};
use domain::user::UserId;

use super::{Administrator, Change};
use crate::api_key::{self, Made, NewKey};
use crate::cursor::{self, Page, Wanted};
use crate::error::{Error, Result};
use crate::{App, Caller, retry};

/// A page of keys, of an account or of all, by id.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::Invalid`] for a cursor of another list.
pub async fn list(
    app: &App,
    admin: &Administrator,
    user: Option<UserId>,
    wanted: &Wanted,
) -> Result<Page<ApiKey>> {
    admin.require(Right::ViewApiKey)?;
    let list = format!("api keys\0{user:?}");
    let after: String = wanted.place(&app.index_key, &list)?.unwrap_or_default();
    let found = api_key::list(app, user, &after, wanted.limit + 1).await?;
    Ok(cursor::page(&app.index_key, &list, found, wanted.limit, |key| key.id.as_str().to_owned()))
}

/// Makes a key for an account. Who does that has every right of the account and of the scope (AD-03).
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`]; [`crate::Kind::Invalid`] with the faulty fields.
pub async fn create(app: &App, caller: &Caller, admin: &Administrator, new: &NewKey) -> Result<Made> {
    admin.require(Right::AddApiKey)?;
    let made = api_key::prepare(app, new, caller.now)?;
    retry::turns(|| try_to_create(app, caller, admin, &made)).await?;
    Ok(made)
}

async fn try_to_create(app: &App, caller: &Caller, admin: &Administrator, made: &Made) -> Result<()> {
    let mut change = Change::begin(app, caller, admin, Right::AddApiKey).await?;
    change.account(made.key.user).await?;
    change.require_scope(&made.key.scope)?;
    api_key::create_in(change.tx, &change.by, made).await
}

/// Revokes a key: it gives no tokens, and those that it gave are refused.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`].
pub async fn revoke(app: &App, caller: &Caller, admin: &Administrator, id: &ApiKeyId) -> Result<()> {
    retry::turns(|| try_to_revoke(app, caller, admin, id)).await
}

async fn try_to_revoke(app: &App, caller: &Caller, admin: &Administrator, id: &ApiKeyId) -> Result<()> {
    let mut change = Change::begin(app, caller, admin, Right::DeleteApiKey).await?;
    let found = store::api_key::find(&mut change.tx, id).await?;
    let key = found.ok_or_else(|| Error::not_found("There is no such key."))?.key;
    change.account(key.user).await?;
    api_key::revoke_in(app, change.tx, &change.by, &key).await.map(drop)
}

impl Change<'_> {
    /// Says no to a key that could say more than the administrator may, should its owner come to more.
    fn require_scope(&self, scope: &Scope) -> Result<()> {
        let has = scope.held_by(&self.actor.permissions) == *scope;
        if has { Ok(()) } else { Err(Error::beyond()) }
    }
}
