//! Registration.

use std::sync::atomic::Ordering::Relaxed;

use crypto::hasher::Lane;
use domain::action::Purpose;
use domain::audit::{Event, EventKind};
use domain::field::{Field, FieldErrors};
use domain::password::Password;
use domain::time::Timestamp;
use domain::user::{EmailAddress, NAME_TAKEN, NameKey, User, UserId, Username};
use store::Tx;
use store::user::{NewPassword, NewUser};

use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::settings::Verification;
use crate::throttle::{self, AddressLimit};
use crate::{App, Caller, action, password_policy, retry};

/// The fields as they came in; each is a text or says why it is none.
pub struct Input {
    /// The name.
    pub username: Field,
    /// The address; may be blank.
    pub email: Field,
    /// The password.
    pub password: Field,
}

/// Creates an account. All faulty fields are reported at once.
///
/// # Errors
/// [`crate::Kind::Invalid`] with the faulty fields; [`crate::Kind::Throttled`]; [`crate::Kind::Unavailable`].
pub async fn register(app: &App, caller: &Caller, input: Input) -> Result<User> {
    throttle::admit(app, caller, AddressLimit::Registration)?;
    let valid = validate(app, input).await?;
    let password = Password::new_nfc(&valid.password).to_bytes();
    let hash = app.hasher.hash(Lane::Registration, throttle::source(app, caller), password).await?;
    let user = insert(app, caller, &valid, &hash).await?;
    app.counters.registrations.fetch_add(1, Relaxed);
    tracing::info!(event = "registered", user.id = %user.id, request.id = caller.request_id, "account registered");
    Ok(user)
}

struct Valid {
    username: Username,
    email: EmailAddress,
    password: String,
}

async fn validate(app: &App, input: Input) -> Result<Valid> {
    let mut errors = FieldErrors::default();
    let attributes = [
        ("username", input.username.clone().unwrap_or_default()),
        ("email address", input.email.clone().unwrap_or_default()),
    ];
    let attributes = attributes.each_ref().map(|(name, value)| (*name, value.as_str()));
    let username = errors.take("username", input.username.and_then(|raw| Username::parse(&raw)));
    if let Some(name) = &username {
        let mut tx = app.db.read().await?;
        if store::user::name_taken(&mut tx, name).await? {
            errors.push("username", vec![NAME_TAKEN.into()]);
        }
    }
    let email = errors.take("email", input.email.and_then(|raw| EmailAddress::parse(&raw)));
    if let (Some(name), Some(email)) = (&username, &email) {
        check_own_address(app, name, email, &mut errors);
    }
    let password = match input.password {
        Ok(raw) => {
            let faults = password_policy::faults(app, &raw, &attributes).await?;
            if faults.is_empty() { Ok(raw) } else { Err(faults) }
        }
        faulty => faulty,
    };
    let password = errors.take("password", password);
    match (username, email, password) {
        (Some(username), Some(email), Some(password)) if errors.is_empty() => {
            Ok(Valid { username, email, password })
        }
        _ => Err(Error::invalid(errors)),
    }
}

/// While addresses stand for names, a name that looks like an address must be the account's own: else it would catch the logins of
/// whoever has that address.
pub(crate) fn check_own_address(app: &App, name: &Username, email: &EmailAddress, errors: &mut FieldErrors) {
    let is_other = name.as_str().contains('@') && name.key() != NameKey::of(email.as_str());
    if app.settings.accounts.login_by_email && is_other {
        errors.push("username", vec!["A username with @ must be your own e-mail address.".into()]);
    }
}

async fn insert(app: &App, caller: &Caller, valid: &Valid, hash: &str) -> Result<User> {
    let scheme = crypto::password::scheme_of(hash);
    let new = NewUser {
        id: None,
        username: &valid.username,
        claims_key: true,
        email: &valid.email,
        first_name: "",
        last_name: "",
        password: NewPassword { hash, scheme: &scheme, trims: false },
        is_staff: false,
        is_superuser: false,
        created_at: caller.now,
        last_login_at: None,
        disabled_at: None,
    };
    let id = store_new(app, &By::anonymous(caller), EventKind::UserRegistered, &new).await?;
    Ok(new.into_user(id))
}

/// Stores a new account under the next id; also for those that an operator makes.
pub(crate) async fn store_new(app: &App, by: &By<'_>, kind: EventKind, new: &NewUser<'_>) -> Result<UserId> {
    let mut turn = 0;
    loop {
        let done = try_to_store(app, by, kind, new).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_store(app: &App, by: &By<'_>, kind: EventKind, new: &NewUser<'_>) -> Result<UserId> {
    let mut tx = app.db.begin().await?;
    let id = match store::user::insert(&mut tx, new).await {
        Err(store::Error::Conflict) => return Err(name_taken()),
        other => other?,
    };
    audit::record(&mut tx, by, &Event::new(kind).user(id))?;
    if kind == EventKind::UserRegistered {
        store::account::set_unproved(&mut tx, id, new.created_at).await?;
        ask_for_proof(app, &mut tx, new.created_at, id).await?;
    }
    tx.commit().await?;
    Ok(id)
}

/// Sends a link that proves the new account's address.
async fn ask_for_proof(app: &App, tx: &mut Tx, now: Timestamp, id: UserId) -> Result<()> {
    if app.settings.mail.is_none() || app.settings.accounts.verification == Verification::Off {
        return Ok(());
    }
    match store::user::find(tx, id).await? {
        Some(user) if !user.email.is_blank() => {
            // Whether it is sent is not told: nobody learns by it what else has come to that address.
            action::send(app, tx, now, (Purpose::VerifyEmail, &user, &user.email)).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// Another request took the name while the password was hashed.
fn name_taken() -> Error {
    let mut errors = FieldErrors::default();
    errors.push("username", vec![NAME_TAKEN.into()]);
    Error::invalid(errors)
}
