//! Logging in.

use std::sync::atomic::Ordering::Relaxed;

use ::mail::Template;
use crypto::hasher::Verdict;
use domain::audit::{Event, EventKind};
use domain::password::Password;
use domain::session::{Session, SessionId};
use domain::throttle::Network;
use domain::user::{EmailKey, NameKey, User, UserId, canonical_name};
use store::Tx;
use store::user::Credentials;

use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::mail::Draft;
use crate::settings::Verification;
use crate::throttle::{self, AddressLimit};
use crate::token::{self, TokenPair};
use crate::{App, Caller, mail, retry, status_list, stop};

/// Name and password as they came in.
pub struct Input {
    /// The name, in any spelling.
    pub username: String,
    /// The password.
    pub password: String,
}

/// An account whose row changes while its password is checked is checked again: another login may have upgraded the
/// hash, or counted a failure.
const TURNS: usize = 4;

/// Gives tokens for a name and its password. Unknown names, wrong passwords and disabled accounts get the same answer for
/// the same work (LG-01, LG-02).
///
/// # Errors
/// [`crate::Kind::Unauthenticated`]; [`crate::Kind::Throttled`]; [`crate::Kind::Unavailable`] when too many passwords wait to be checked.
pub async fn login(app: &App, caller: &Caller, input: Input) -> Result<TokenPair> {
    throttle::admit(app, caller, AddressLimit::Login)?;
    let name = name_of(app, &input.username).await?;
    let key = NameKey::of(&name);
    let mut found = throttle::reserve(app, caller, &name, &key).await?;
    for _ in 0..TURNS {
        let checked = check(app, caller, found.as_ref(), &key, &input.password).await;
        let verdict = match checked {
            Ok(Some(verdict)) => verdict,
            Ok(None) => return Err(failed(app, caller, found.as_ref()).await?),
            Err(error) => {
                throttle::cancel(app, caller, &name, &key).await?;
                return Err(error);
            }
        };
        let Some(account) = found.as_ref() else { break };
        match finish(app, caller, account, &verdict).await? {
            Finished::Given(pair) => return Ok(pair),
            Finished::Changed(now) => found = now.map(|now| *now),
        }
    }
    Err(failed(app, caller, found.as_ref()).await?)
}

/// The name of the account that is meant: where addresses stand for names, a proved one means its account before any name does.
async fn name_of(app: &App, typed: &str) -> Result<String> {
    if app.settings.accounts.login_by_email && typed.contains('@') {
        let found = store::account::of_proved_email(&mut app.db.read().await?, &EmailKey::of(typed)).await?;
        if let Some((_, name)) = found {
            return Ok(name);
        }
    }
    Ok(canonical_name(typed))
}

/// Records a failed login and answers what is told. Nothing was changed, so the row is all that there is to commit; the name
/// that was typed is not in it: it may be a password, or one of nobody here.
async fn failed(app: &App, caller: &Caller, account: Option<&Credentials>) -> Result<Error> {
    let mut event = Event::new(EventKind::LoginFailed);
    event.user = account.map(|account| account.user.id);
    event = event.detail("reason", reason(app, caller, account));
    let mut tx = app.db.begin().await?;
    let by = By::anonymous(caller);
    audit::record(&mut tx, &by, &event)?;
    if let Some(account) = account {
        stop::note(app, &mut tx, caller, &by, account).await?;
    }
    tx.commit().await?;
    app.counters.failed_logins.fetch_add(1, Relaxed);
    tracing::info!(
        event = "login_failed",
        client.network = %Network::of(caller.address),
        request.id = caller.request_id,
        "login failed"
    );
    Ok(Error::no_active_account())
}

fn reason(app: &App, caller: &Caller, account: Option<&Credentials>) -> &'static str {
    match account {
        None => "unknown name",
        Some(account) if !account.user.is_active() => "disabled",
        Some(account) if is_unproved(app, account) => "unproved address",
        Some(account) if stop::is_stopped(app, caller, account) => "stopped",
        Some(_) => "wrong password",
    }
}

/// Checks the password. An account that is disabled, or whose password is stopped, is checked like any other and then refused; a
/// name that nobody has costs what a known one would.
async fn check(
    app: &App,
    caller: &Caller,
    found: Option<&Credentials>,
    key: &NameKey,
    raw: &str,
) -> Result<Option<Verdict>> {
    let source = throttle::source(app, caller);
    let Some(account) = found else {
        let password = Password::new_nfc(raw).to_bytes();
        app.hasher.dummy(source, password, &plausible_scheme(app, key)).await?;
        return Ok(None);
    };
    let password = password_of(account, raw);
    // The hash of an account that is let in by no password is not upgraded: the right one must not cost more than a wrong one (LG-02).
    let active =
        account.user.is_active() && !is_unproved(app, account) && !stop::is_stopped(app, caller, account);
    let verdict =
        app.hasher.verify(source, password.to_bytes(), account.password_hash.clone(), active).await?;
    if verdict.broken {
        tracing::error!(
            event = "stored_hash_unreadable",
            user.id = %account.user.id,
            "the stored password hash of this account cannot be read; set a new password"
        );
    }
    Ok((verdict.valid && active).then_some(verdict))
}

/// A password as the account's hash wants it.
pub(crate) fn password_of(account: &Credentials, raw: &str) -> Password {
    if account.password_trims { Password::as_django(raw) } else { Password::new_nfc(raw) }
}

/// Whether the account must prove its address before anybody logs in to it.
fn is_unproved(app: &App, account: &Credentials) -> bool {
    app.settings.accounts.verification == Verification::Required && account.user.email_verified_at.is_none()
}

/// One of the schemes that occur among the users; always the same one for the same name.
fn plausible_scheme(app: &App, key: &NameKey) -> String {
    let schemes = app.schemes.load();
    if schemes.is_empty() {
        return String::new();
    }
    let number = app.index_key.number(key.as_str().as_bytes());
    schemes[(number % schemes.len() as u64) as usize].clone()
}

enum Finished {
    /// Logged in.
    Given(TokenPair),
    /// The account is not what was checked any more; this is what it is now.
    Changed(Option<Box<Credentials>>),
}

/// Clears the failures, keeps an upgraded hash and opens a session, all in one transaction.
/// It is repeated when another transaction is in the way; the password is not hashed again for that.
async fn finish(app: &App, caller: &Caller, checked: &Credentials, verdict: &Verdict) -> Result<Finished> {
    let mut turn = 0;
    loop {
        let done = try_to_finish(app, caller, checked, verdict).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_finish(
    app: &App,
    caller: &Caller,
    checked: &Credentials,
    verdict: &Verdict,
) -> Result<Finished> {
    let id = checked.user.id;
    let mut tx = app.db.begin().await?;
    let mut current = match store::imported_user::lock_credentials(&mut tx, id).await? {
        Some(current) if current.password_hash == checked.password_hash => current,
        changed => return Ok(Finished::Changed(changed.map(Box::new))),
    };
    if let Some(hash) = &verdict.upgraded {
        let scheme = crypto::password::scheme_of(hash);
        if !store::user::upgrade_hash(&mut tx, id, &current.password_hash, hash, &scheme).await? {
            return Ok(Finished::Changed(Some(Box::new(current))));
        }
        current.password_hash.clone_from(hash);
    }
    let before = stop::failures(&current);
    let mut log = before.clone();
    log.succeeded(Network::of(caller.address), caller.now);
    if !store::user::record_login(&mut tx, &current, &log.encode(), caller.now).await? {
        current.password_hash.clone_from(&checked.password_hash);
        return Ok(Finished::Changed(Some(Box::new(current))));
    }
    tell_of_new_device(app, &mut tx, caller, &current.user).await?;
    let session = open_session(app, &mut tx, caller, id, current.user.epoch).await?;
    let session_id = session.id;
    let event = Event::new(EventKind::LoginSucceeded).user(id).session(session_id);
    audit::record(&mut tx, &By::user(caller, id), &event)?;
    tx.commit().await?;
    throttle::give_back(app, caller, AddressLimit::Login);
    throttle::give_back_stranger(app, caller, &before);
    app.counters.logins.fetch_add(1, Relaxed);
    tracing::info!(event = "logged_in", user.id = %id, session.id = %session_id, request.id = caller.request_id, "logged in");
    Ok(Finished::Given(token::mint_pair(app, &session, caller.now).await?))
}

/// Opens a session of a user in this epoch.
pub(crate) async fn open_session(
    app: &App,
    tx: &mut Tx,
    caller: &Caller,
    id: UserId,
    epoch: u32,
) -> Result<Session> {
    let session_id = SessionId::new(crypto::random::fill(), epoch);
    let mut session = token::new_session(app, session_id, id, caller);
    session.status = status_list::assign(app, tx, session_id, id, token::keep_until(&session)).await?;
    store::session::insert(tx, &session, token::keep_until(&session)).await?;
    Ok(session)
}

/// Tells the owner of a login by a program that no session of the last weeks was opened with (LA-06): at a proved address, and not
/// of the very first login.
async fn tell_of_new_device(app: &App, tx: &mut Tx, caller: &Caller, user: &User) -> Result<()> {
    let wanted = app.settings.mail.is_some() && app.settings.accounts.login_notices;
    if !wanted || user.email_verified_at.is_none() || user.last_login_at.is_none() {
        return Ok(());
    }
    let device = caller.short_user_agent();
    if store::session::knows_agent(tx, user.id, &device).await? {
        return Ok(());
    }
    let device = if device.is_empty() { "unknown".to_owned() } else { device };
    let values = vec![("device", device), ("network", Network::of(caller.address).to_string())];
    mail::notify(app, tx, caller.now, Draft { values, ..Draft::notice(Template::NewLogin, user) }).await
}
