//! What administrators do. Each use case takes the [`Administrator`] who asks: only this module makes one, from the database and
//! not from what a token says (AD-03).
//!
//! # Layout
//! `user`, `session`, `group`, `key`, `api_key`, `event`: one noun each; `bootstrap`: the first administrator.
//!
//! # How to add one
//! A reading use case begins with [`Administrator::require`]. A changing one begins with `Change::begin`: it waits for
//! others who change who may what, reads the administrator's rights anew, and wants a fresh login (AD-02). It records what
//! was done by `change.by`.

pub mod api_key;
pub mod bootstrap;
pub mod event;
pub mod group;
pub mod key;
pub mod session;
pub mod user;

use domain::admin::{Right, covers, gets_in};
use domain::group::Permissions;
use domain::session::SessionId;
use domain::time::Timestamp;
use domain::token::TokenFault;
use domain::user::UserId;
use store::{Tx, meta};

use crate::audit::By;
use crate::error::{Error, Result};
use crate::settings::TokenRoles;
use crate::verify::Identity;
use crate::{App, Caller, reauth};

/// Somebody who may administer, and how far.
#[derive(Clone, Debug)]
pub struct Administrator {
    who: Identity,
    permissions: Permissions,
    is_superuser: bool,
    is_fresh: bool,
}

impl Administrator {
    /// Whoever a good access token speaks for, if that is an administrator.
    ///
    /// # Errors
    /// [`crate::Kind::Forbidden`] for everybody else; [`crate::Kind::TokenInvalid`] when the session has ended or the account
    /// is disabled, though this process has not heard of it yet.
    pub async fn of(app: &App, caller: &Caller, who: Identity) -> Result<Self> {
        let mut tx = app.db.read().await?;
        Self::read(app, &mut tx, caller.now, who).await
    }

    async fn read(app: &App, tx: &mut Tx, now: Timestamp, who: Identity) -> Result<Self> {
        // A token of the replaced service says nothing of a login here.
        let session = who.session.ok_or_else(Error::forbidden)?;
        let ended = || Error::token(TokenFault::Invalid);
        let found = store::session::find(tx, session).await?.ok_or_else(ended)?;
        let user = store::user::find(tx, who.user_id).await?.ok_or_else(ended)?;
        if found.session.user_id != user.id || found.session.is_ended(user.epoch) || !user.is_active() {
            return Err(ended());
        }
        if !gets_in(&user) {
            return Err(Error::forbidden());
        }
        let is_fresh = reauth::is_fresh(app, &found.session, &user, app.settings.admin.fresh_login, now);
        let granted = store::group::granted(tx, user.id).await?;
        let permissions = Permissions::of(&user, granted);
        Ok(Self { who, is_superuser: user.is_superuser, permissions, is_fresh })
    }

    /// Whose rights these are.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.who.user_id
    }

    /// The session that asks.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.who.session
    }

    /// Says no to whoever does not have this right.
    ///
    /// # Errors
    /// [`crate::Kind::Forbidden`].
    pub fn require(&self, right: Right) -> Result<()> {
        if self.permissions.allows(right.as_str()) { Ok(()) } else { Err(Error::forbidden()) }
    }

    /// Says no to whoever may not change something of this kind, or has not logged in lately.
    fn require_change(&self, right: Right) -> Result<()> {
        self.require(right)?;
        if self.is_fresh { Ok(()) } else { Err(Error::login_not_fresh()) }
    }

    /// Says no to everybody but superusers.
    fn require_superuser(&self) -> Result<()> {
        if self.is_superuser { Ok(()) } else { Err(Error::forbidden()) }
    }

    /// Says no to whoever would give or touch more than they have.
    fn require_covers(&self, other: &Permissions) -> Result<()> {
        if covers(&self.permissions, other) { Ok(()) } else { Err(Error::beyond()) }
    }
}

/// A change that an administrator makes: a transaction in which nobody else changes who may what.
struct Change<'a> {
    tx: Tx,
    by: By<'a>,
    actor: Administrator,
    /// Whether tokens carry the names of groups, so that other services may give rights by them.
    names_count: bool,
}

impl<'a> Change<'a> {
    /// Begins one, if the administrator still has the right and has logged in lately.
    async fn begin(app: &App, caller: &'a Caller, admin: &Administrator, right: Right) -> Result<Self> {
        let mut tx = app.db.begin().await?;
        turn(&mut tx).await?;
        let actor = Administrator::read(app, &mut tx, caller.now, admin.who).await?;
        actor.require_change(right)?;
        let names_count = app.settings.tokens.roles == TokenRoles::Roles;
        Ok(Self { tx, by: By::user(caller, actor.id()), actor, names_count })
    }
}

/// Waits until others who change who may what are done: of two administrators who remove each other, the second finds that it is
/// none any more.
async fn turn(tx: &mut Tx) -> Result<()> {
    let version = u128::from_be_bytes(crypto::random::fill());
    Ok(meta::set(tx, meta::ROLES_VERSION, &format!("{version:032x}")).await?)
}
