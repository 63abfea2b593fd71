//! Accounts.

use domain::action::Purpose;
use domain::admin::{Right, Role, when_enabled};
use domain::audit::{Event, EventKind};
use domain::field::{Field, FieldErrors};
use domain::user::{EmailAddress, NAME_TAKEN, User, UserId, Username};
use serde::{Deserialize, Serialize};
use store::change::What;
use store::user::{NewPassword, NewUser};
pub use store::user_search::State;
use store::user_search::{self, Prefix};

use super::{Administrator, Change};
use crate::audit;
use crate::cursor::{self, Page, Wanted};
use crate::error::{Error, Result};
use crate::group::Membership;
use crate::register::check_own_address;
use crate::{App, Caller, action, retry, user};

/// Which accounts are wanted: by the beginning of the name or of the address, or all.
#[derive(Clone, Debug)]
pub enum Find {
    /// All, by id.
    All,
    /// Those whose name begins so, in any spelling.
    Name(String),
    /// Those whose address begins so, in either case of ASCII letters.
    Email(String),
}

/// The text and the id of the last account of a page.
#[derive(Serialize, Deserialize)]
struct Place(String, i64);

/// A page of accounts.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::Invalid`] for a cursor of another list.
pub async fn search(
    app: &App,
    admin: &Administrator,
    find: &Find,
    state: State,
    wanted: &Wanted,
) -> Result<Page<User>> {
    admin.require(Right::ViewUser)?;
    let list = format!("users\0{state:?}\0{find:?}");
    let Place(text, id) = wanted.place(&app.index_key, &list)?.unwrap_or(Place(String::new(), i64::MIN));
    let (after, limit) = (UserId::new(id), i64::from(wanted.limit) + 1);
    let mut tx = app.db.read().await?;
    let found = match find {
        Find::All => user_search::by_id(&mut tx, after, state, limit).await?,
        Find::Name(name) => {
            let key = domain::user::NameKey::of(&domain::user::canonical_name(name));
            let prefix = Prefix { of: key.as_str(), after: &text };
            user_search::by_name(&mut tx, prefix, after, state, limit).await?
        }
        Find::Email(email) => {
            let email = email.to_ascii_lowercase();
            let prefix = Prefix { of: &email, after: &text };
            user_search::by_email(&mut tx, prefix, after, state, limit).await?
        }
    };
    Ok(cursor::page(&app.index_key, &list, found, wanted.limit, |user| place(find, user)))
}

fn place(find: &Find, user: &User) -> Place {
    let text = match find {
        Find::All => String::new(),
        Find::Name(_) => user.username.key().as_str().to_owned(),
        Find::Email(_) => user.email.as_str().to_ascii_lowercase(),
    };
    Place(text, user.id.get())
}

/// An account with its groups and what it may.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`].
pub async fn get(app: &App, admin: &Administrator, id: UserId) -> Result<(User, Membership)> {
    admin.require(Right::ViewUser)?;
    let mut tx = app.db.read().await?;
    let user = store::user::find(&mut tx, id).await?.ok_or_else(no_such_user)?;
    drop(tx);
    let membership = crate::group::of_user(app, &user).await?;
    Ok((user, membership))
}

/// Makes an account that nobody can log in to: it has no password until its owner sets one by recovery, or an operator does
/// (AD-04). The name and the address are as those of a registration.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::Invalid`] with the faulty fields.
pub async fn create(
    app: &App,
    caller: &Caller,
    admin: &Administrator,
    username: Field,
    email: Field,
) -> Result<User> {
    admin.require(Right::AddUser)?;
    let mut errors = FieldErrors::default();
    let username = errors.take("username", username.and_then(|raw| Username::parse(&raw)));
    let email = errors.take("email", email.and_then(|raw| EmailAddress::parse(&raw)));
    if let (Some(username), Some(email)) = (&username, &email) {
        check_own_address(app, username, email, &mut errors);
    }
    let (Some(username), Some(email), true) = (username, email, errors.is_empty()) else {
        return Err(Error::invalid(errors));
    };
    retry::turns(|| try_to_create(app, caller, admin, &username, &email)).await
}

/// What Django stores for an account without a password begins so; nothing verifies against it.
const NO_PASSWORD: &str = "!";

async fn try_to_create(
    app: &App,
    caller: &Caller,
    admin: &Administrator,
    username: &Username,
    email: &EmailAddress,
) -> Result<User> {
    let mut change = Change::begin(app, caller, admin, Right::AddUser).await?;
    let taken = || Error::invalid(FieldErrors::of("username", vec![NAME_TAKEN.into()]));
    if store::user::name_taken(&mut change.tx, username).await? {
        return Err(taken());
    }
    let scheme = crypto::password::scheme_of(NO_PASSWORD);
    let new = NewUser {
        id: None,
        username,
        claims_key: true,
        email,
        first_name: "",
        last_name: "",
        password: NewPassword { hash: NO_PASSWORD, scheme: &scheme, trims: false },
        is_staff: false,
        is_superuser: false,
        created_at: caller.now,
        last_login_at: None,
        disabled_at: None,
    };
    let id = match store::user::insert(&mut change.tx, &new).await {
        Err(store::Error::Conflict) => return Err(taken()),
        other => other?,
    };
    audit::record(&mut change.tx, &change.by, &Event::new(EventKind::UserCreated).user(id))?;
    change.tx.commit().await?;
    Ok(new.into_user(id))
}

/// Mails the owner of an account a link that sets a new password: nobody else chooses or sees it (AD-04). Sessions end when the
/// password is set.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`]; [`crate::Kind::Conflict`] where no mail is sent, for an account that is
/// disabled or has no address, and when a link was sent a moment ago.
pub async fn start_reset(app: &App, caller: &Caller, admin: &Administrator, id: UserId) -> Result<()> {
    retry::turns(|| try_to_start_reset(app, caller, admin, id)).await
}

async fn try_to_start_reset(app: &App, caller: &Caller, admin: &Administrator, id: UserId) -> Result<()> {
    let mut change = Change::begin(app, caller, admin, Right::ChangeUser).await?;
    // Whoever sets a new password or disables the account at the same time is done before this looks (RC-06).
    store::imported_user::lock_credentials(&mut change.tx, id).await?;
    let target = change.account(id).await?;
    action::require_mail(app)?;
    if !target.is_active() || target.email.is_blank() {
        return Err(Error::conflict("The account is disabled or has no address."));
    }
    let (tx, now) = (&mut change.tx, caller.now);
    if action::is_recent(tx, id, Purpose::ResetPassword, now).await? {
        return Err(Error::conflict("A link was sent a moment ago."));
    }
    action::send_always(app, tx, now, (Purpose::ResetPassword, &target, &target.email)).await?;
    audit::record(tx, &change.by, &Event::new(EventKind::PasswordResetRequested).user(id))?;
    Ok(change.tx.commit().await?)
}

/// Disables an account: its sessions end. Ending what has ended is no failure.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`]; [`crate::Kind::Conflict`] for the last superuser.
pub async fn disable(app: &App, caller: &Caller, admin: &Administrator, id: UserId) -> Result<()> {
    retry::turns(|| try_to_disable(app, caller, admin, id)).await
}

async fn try_to_disable(app: &App, caller: &Caller, admin: &Administrator, id: UserId) -> Result<()> {
    let mut change = Change::begin(app, caller, admin, Right::ChangeUser).await?;
    let target = change.account(id).await?;
    change.keep_a_superuser(&target).await?;
    user::disable_in(app, change.tx, &change.by, id).await.map(drop)
}

/// Enables a disabled account.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`].
pub async fn enable(app: &App, caller: &Caller, admin: &Administrator, id: UserId) -> Result<()> {
    retry::turns(|| try_to_enable(app, caller, admin, id)).await
}

async fn try_to_enable(app: &App, caller: &Caller, admin: &Administrator, id: UserId) -> Result<()> {
    let mut change = Change::begin(app, caller, admin, Right::ChangeUser).await?;
    change.account(id).await?;
    user::enable_in(app, change.tx, &change.by, id).await.map(drop)
}

/// Deletes an account with its sessions; its id is never issued again.
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`]; [`crate::Kind::Conflict`] for the last superuser.
pub async fn delete(app: &App, caller: &Caller, admin: &Administrator, id: UserId) -> Result<()> {
    retry::turns(|| try_to_delete(app, caller, admin, id)).await
}

async fn try_to_delete(app: &App, caller: &Caller, admin: &Administrator, id: UserId) -> Result<()> {
    let mut change = Change::begin(app, caller, admin, Right::DeleteUser).await?;
    let target = change.account(id).await?;
    change.keep_a_superuser(&target).await?;
    user::delete_in(app, change.tx, &change.by, id).await.map(drop)
}

/// Gives an account a role or takes it. Superusers alone may, and one enabled superuser always stays (AD-03).
///
/// # Errors
/// [`crate::Kind::Forbidden`]; [`crate::Kind::NotFound`]; [`crate::Kind::Conflict`] for the last superuser.
pub async fn set_role(
    app: &App,
    caller: &Caller,
    admin: &Administrator,
    id: UserId,
    role: Role,
    has: bool,
) -> Result<()> {
    retry::turns(|| try_to_set_role(app, caller, admin, id, role, has)).await
}

async fn try_to_set_role(
    app: &App,
    caller: &Caller,
    admin: &Administrator,
    id: UserId,
    role: Role,
    has: bool,
) -> Result<()> {
    let mut change = Change::begin(app, caller, admin, Right::ChangeUser).await?;
    change.actor.require_superuser()?;
    let target = change.account(id).await?;
    if role == Role::Superuser && !has {
        change.keep_a_superuser(&target).await?;
    }
    let Some((epoch, active)) = store::role::set(&mut change.tx, id, role, has).await? else { return Ok(()) };
    let kind = if has { EventKind::RoleGranted } else { EventKind::RoleTaken };
    let event = Event::new(kind).user(id).detail("role", role.as_str());
    audit::record(&mut change.tx, &change.by, &event)?;
    user::commit_change(app, change.tx, caller.now, What::User { id, epoch, active }).await
}

impl Change<'_> {
    /// The account that is to be changed, if the administrator has every right that it has.
    pub(super) async fn account(&mut self, id: UserId) -> Result<User> {
        let target = store::user::find(&mut self.tx, id).await?.ok_or_else(no_such_user)?;
        let granted = store::group::granted(&mut self.tx, id).await?;
        self.actor.require_covers(&when_enabled(&target, granted))?;
        Ok(target)
    }

    /// Says no when there would be no enabled superuser without this account.
    async fn keep_a_superuser(&mut self, target: &User) -> Result<()> {
        let counts = target.is_superuser && target.is_active();
        if counts && !store::role::other_superuser(&mut self.tx, target.id).await? {
            return Err(Error::conflict("The last enabled superuser stays."));
        }
        Ok(())
    }
}

pub(super) fn no_such_user() -> Error {
    Error::not_found("There is no such account.")
}
