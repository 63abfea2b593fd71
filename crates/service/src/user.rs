//! Accounts, as an operator handles them.

use ::mail::Template;
use crypto::hasher::Lane;
use domain::action::Purpose;
use domain::audit::{Event, EventKind};
use domain::field::FieldErrors;
use domain::password::Password;
use domain::time::Timestamp;
use domain::user::{EmailAddress, NAME_TAKEN, NameKey, User, UserId, Username, canonical_name};
use store::Tx;
use store::change::{self, What};
use store::user::NewPassword;

use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::mail::Draft;
use crate::register::{check_own_address, store_new};
use crate::{App, Caller, action, mail, password_policy, retry, throttle};

/// An account to be made by an operator.
pub struct NewUser {
    /// The name.
    pub username: String,
    /// The address; may be blank.
    pub email: String,
    /// The password; the policy in force applies.
    pub password: String,
    /// Django's superuser flag.
    pub is_superuser: bool,
    /// Django's staff flag.
    pub is_staff: bool,
}

/// Creates an account.
///
/// # Errors
/// [`crate::Kind::Invalid`] with the faulty fields.
pub async fn create(app: &App, new: NewUser) -> Result<User> {
    let ready = prepare(app, new).await?;
    let row = ready.row(app.clock.now());
    let by = By::operator(row.created_at);
    let id = store_new(app, &by, EventKind::UserCreated, &row).await?;
    Ok(row.into_user(id))
}

/// An account that may be stored: its fields are good and its password is hashed.
pub(crate) struct Ready {
    username: Username,
    email: EmailAddress,
    hash: String,
    scheme: String,
    is_superuser: bool,
    is_staff: bool,
}

impl Ready {
    /// Its row at `now`.
    pub(crate) fn row(&self, now: Timestamp) -> store::user::NewUser<'_> {
        store::user::NewUser {
            id: None,
            username: &self.username,
            claims_key: true,
            email: &self.email,
            first_name: "",
            last_name: "",
            password: NewPassword { hash: &self.hash, scheme: &self.scheme, trims: false },
            is_staff: self.is_staff,
            is_superuser: self.is_superuser,
            created_at: now,
            last_login_at: None,
            disabled_at: None,
        }
    }
}

/// Checks the fields of a new account and hashes its password.
pub(crate) async fn prepare(app: &App, new: NewUser) -> Result<Ready> {
    let mut errors = FieldErrors::default();
    let username = errors.take("username", Username::parse(&new.username));
    let email = errors.take("email", EmailAddress::parse(&new.email));
    if let (Some(name), Some(email)) = (&username, &email) {
        check_own_address(app, name, email, &mut errors);
    }
    let attributes = [("username", new.username.as_str()), ("email address", new.email.as_str())];
    check_policy(app, ("password", &new.password), &attributes, &mut errors).await?;
    let (Some(username), Some(email), true) = (username, email, errors.is_empty()) else {
        return Err(Error::invalid(errors));
    };
    let mut tx = app.db.read().await?;
    if store::user::name_taken(&mut tx, &username).await? {
        return Err(name_taken());
    }
    drop(tx);
    let hash = operator_hash(app, &new.password).await?;
    let scheme = crypto::password::scheme_of(&hash);
    Ok(Ready { username, email, hash, scheme, is_superuser: new.is_superuser, is_staff: new.is_staff })
}

pub(crate) fn name_taken() -> Error {
    Error::invalid(FieldErrors::of("username", vec![NAME_TAKEN.into()]))
}

/// At most `limit` accounts with ids above `after`, by id.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(app: &App, after: Option<UserId>, limit: u32) -> Result<Vec<User>> {
    let mut tx = app.db.read().await?;
    Ok(store::user::list(&mut tx, after.unwrap_or(UserId::new(i64::MIN)), i64::from(limit)).await?)
}

/// The account of a name, in any spelling that means one account only, or of an id. `id:7` and `name:7` say which is
/// meant; digits alone are refused when they are one account's id and another's name.
///
/// # Errors
/// [`crate::Kind::NotFound`]; [`crate::Kind::Conflict`] when the text means two accounts.
pub async fn find(app: &App, text: &str) -> Result<User> {
    let mut tx = app.db.read().await?;
    let by_name = match text.strip_prefix("id:") {
        Some(_) => None,
        None => named(&mut tx, text.strip_prefix("name:").unwrap_or(text)).await?,
    };
    let by_id = match (text.strip_prefix("id:").unwrap_or(text)).parse() {
        Ok(id) => store::user::find(&mut tx, UserId::new(id)).await?,
        Err(_) => None,
    };
    match (by_name, by_id) {
        (Some(named), Some(other)) if named.id != other.id => Err(Error::conflict(format!(
            "{text} is the name of account {} and the id of account {:?}; say name:{text} or id:{text}.",
            named.id,
            other.username.as_str()
        ))),
        (Some(user), _) | (None, Some(user)) => Ok(user),
        (None, None) => Err(Error::not_found(format!(
            "There is no account {text:?}, or several that differ only by case."
        ))),
    }
}

async fn named(tx: &mut Tx, text: &str) -> Result<Option<User>> {
    let name = canonical_name(text);
    Ok(store::user::find_credentials(tx, &name, &NameKey::of(&name)).await?.map(|found| found.user))
}

/// Disables an account: its sessions end, its tokens are refused everywhere within the bound. Answers whether it was
/// enabled.
///
/// # Errors
/// When the database cannot be written.
pub async fn disable(app: &App, id: UserId) -> Result<bool> {
    let mut turn = 0;
    loop {
        let done = try_to_disable(app, id).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_disable(app: &App, id: UserId) -> Result<bool> {
    let (tx, now) = begin(app).await?;
    disable_in(app, tx, &By::operator(now), id).await
}

/// The same in a transaction that has begun, by whoever asked for it.
pub(crate) async fn disable_in(app: &App, mut tx: Tx, by: &By<'_>, id: UserId) -> Result<bool> {
    let now = by.at();
    // Whoever closes or opens the account at the same time is done before this looks.
    store::imported_user::lock_credentials(&mut tx, id).await?;
    // No link outlives it: whoever has closed the account does not open it again once it was disabled by somebody else.
    let mut links = 0;
    for purpose in Purpose::ALL {
        links += store::action_token::kill(&mut tx, id, purpose).await?;
    }
    let Some(epoch) = store::user::disable(&mut tx, id, now).await? else {
        if links > 0 {
            audit::record(&mut tx, by, &Event::new(EventKind::UserDisabled).user(id))?;
            tx.commit().await?;
        }
        return Ok(false);
    };
    audit::record(&mut tx, by, &Event::new(EventKind::UserDisabled).user(id))?;
    commit_change(app, tx, now, What::User { id, epoch, active: false }).await?;
    tracing::info!(event = "user_disabled", user.id = %id, "account disabled");
    Ok(true)
}

/// Enables a disabled account; sessions that ended stay ended. Answers whether it was disabled.
///
/// # Errors
/// When the database cannot be written.
pub async fn enable(app: &App, id: UserId) -> Result<bool> {
    let mut turn = 0;
    loop {
        let done = try_to_enable(app, id).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_enable(app: &App, id: UserId) -> Result<bool> {
    let (tx, now) = begin(app).await?;
    enable_in(app, tx, &By::operator(now), id).await
}

/// The same in a transaction that has begun, by whoever asked for it.
pub(crate) async fn enable_in(app: &App, mut tx: Tx, by: &By<'_>, id: UserId) -> Result<bool> {
    let now = by.at();
    let Some(epoch) = store::user::enable(&mut tx, id).await? else { return Ok(false) };
    audit::record(&mut tx, by, &Event::new(EventKind::UserEnabled).user(id))?;
    commit_change(app, tx, now, What::User { id, epoch, active: true }).await?;
    tracing::info!(event = "user_enabled", user.id = %id, "account enabled");
    Ok(true)
}

/// Sets a password; the policy applies, and all sessions end.
///
/// # Errors
/// [`crate::Kind::Invalid`] when the policy refuses it; [`crate::Kind::NotFound`].
pub async fn set_password(app: &App, id: UserId, password: &str) -> Result<()> {
    let mut tx = app.db.read().await?;
    let user = store::user::find(&mut tx, id).await?.ok_or_else(|| no_such(id))?;
    drop(tx);
    let mut errors = FieldErrors::default();
    check_policy(app, ("password", password), &attributes(&user), &mut errors).await?;
    errors.into_result().map_err(Error::invalid)?;
    let hash = operator_hash(app, password).await?;
    let scheme = crypto::password::scheme_of(&hash);
    let new = NewPassword { hash: &hash, scheme: &scheme, trims: false };
    let mut turn = 0;
    loop {
        let done = try_to_set_password(app, id, new).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_set_password(app: &App, id: UserId, new: NewPassword<'_>) -> Result<()> {
    let (mut tx, now) = begin(app).await?;
    let epoch = set_password_in(&mut tx, id, new, now).await?.ok_or_else(|| no_such(id))?;
    action::forget_links(&mut tx, id, &[Purpose::ResetPassword, Purpose::ChangeEmail]).await?;
    let user = store::user::find(&mut tx, id).await?.ok_or_else(|| no_such(id))?;
    let active = user.disabled_at.is_none();
    mail::notify(app, &mut tx, now, Draft::notice(Template::PasswordChanged, &user)).await?;
    audit::record(&mut tx, &By::operator(now), &Event::new(EventKind::PasswordSetByOperator).user(id))?;
    commit_change(app, tx, now, What::User { id, epoch, active }).await?;
    tracing::info!(event = "password_set", user.id = %id, "password set by an operator");
    Ok(())
}

/// A new password: all sessions end, and with them the account's API keys, which somebody else may have made. Answers the epoch.
pub(crate) async fn set_password_in(
    tx: &mut Tx,
    id: UserId,
    new: NewPassword<'_>,
    now: Timestamp,
) -> Result<Option<u32>> {
    let epoch = store::user::set_password(tx, id, new, now).await?;
    store::api_key::revoke_of_user(tx, id, now).await?;
    Ok(epoch)
}

/// Deletes an account with its sessions. Its id is never issued again. Answers whether there was one.
///
/// # Errors
/// When the database cannot be written.
pub async fn delete(app: &App, id: UserId) -> Result<bool> {
    let mut turn = 0;
    loop {
        let done = try_to_delete(app, id).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_delete(app: &App, id: UserId) -> Result<bool> {
    let (tx, now) = begin(app).await?;
    delete_in(app, tx, &By::operator(now), id).await
}

/// Deletes an account in a transaction that has begun, by whoever asked for it, and commits it. Answers whether there was one;
/// nothing is committed otherwise.
pub(crate) async fn delete_in(app: &App, mut tx: Tx, by: &By<'_>, id: UserId) -> Result<bool> {
    let now = by.at();
    let Some(epoch) = store::user::delete(&mut tx, id, now).await? else { return Ok(false) };
    store::audit::request_erasure(&mut tx, id, now).await?;
    let what = What::User { id, epoch: epoch.saturating_add(1), active: false };
    audit::record(&mut tx, by, &Event::new(EventKind::UserDeleted).user(id))?;
    commit_change(app, tx, now, what).await?;
    tracing::info!(event = "user_deleted", user.id = %id, "account deleted");
    Ok(true)
}

/// A transaction and its time, read when it begins: an operator may have sat at a prompt since the command started, and
/// a change from before the feed's horizon would be forgotten at once.
pub(crate) async fn begin(app: &App) -> Result<(Tx, Timestamp)> {
    let tx = app.db.begin().await?;
    Ok((tx, app.clock.now()))
}

/// Tells every replica in the same transaction, and this one as soon as it is committed.
pub(crate) async fn commit_change(app: &App, mut tx: Tx, now: Timestamp, what: What) -> Result<()> {
    let change = change::append(&mut tx, now, what).await?;
    tx.commit().await?;
    app.feed.apply(&change, now);
    Ok(())
}

/// What a new password must not be like.
pub(crate) fn attributes(user: &User) -> [(&'static str, &str); 4] {
    [
        ("username", user.username.as_str()),
        ("first name", user.first_name.as_str()),
        ("last name", user.last_name.as_str()),
        ("email address", user.email.as_str()),
    ]
}

/// Notes what is wrong with a new password, under the name of its field.
pub(crate) async fn check_policy(
    app: &App,
    (field, password): (&'static str, &str),
    attributes: &[(&str, &str)],
    errors: &mut FieldErrors,
) -> Result<()> {
    let faults = password_policy::faults(app, password, attributes).await?;
    if !faults.is_empty() {
        errors.push(field, faults);
    }
    Ok(())
}

async fn operator_hash(app: &App, password: &str) -> Result<String> {
    Ok(app.hasher.hash(Lane::Registration, 0, Password::new_nfc(password).to_bytes()).await?)
}

/// The hash of a new password that a request brings.
pub(crate) async fn hash(app: &App, caller: &Caller, password: &str) -> Result<String> {
    let bytes = Password::new_nfc(password).to_bytes();
    Ok(app.hasher.hash(Lane::Registration, throttle::source(app, caller), bytes).await?)
}

fn no_such(id: UserId) -> Error {
    Error::not_found(format!("There is no account with id {id}."))
}
