//! Logging in.

use std::sync::atomic::Ordering::Relaxed;

use crypto::hasher::Verdict;
use domain::audit::{Event, EventKind};
use domain::password::Password;
use domain::session::SessionId;
use domain::throttle::{FailureLog, Network};
use domain::user::{NameKey, canonical_name};
use store::user::Credentials;

use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::throttle::{self, AddressLimit};
use crate::token::{self, TokenPair};
use crate::{App, Caller, retry, status_list};

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
    let name = canonical_name(&input.username);
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
            Finished::Changed(now) => found = now,
        }
    }
    Err(failed(app, caller, found.as_ref()).await?)
}

/// Records a failed login and answers what is told. Nothing was changed, so the row is all that there is to commit; the name
/// that was typed is not in it: it may be a password, or one of nobody here.
async fn failed(app: &App, caller: &Caller, account: Option<&Credentials>) -> Result<Error> {
    let mut event = Event::new(EventKind::LoginFailed);
    event.user = account.map(|account| account.user.id);
    event = event.detail("reason", reason(app, caller, account));
    let stops = account.filter(|account| stops_now(app, caller, account)).map(|account| account.user.id);
    let mut tx = app.db.begin().await?;
    audit::record(&mut tx, &By::anonymous(caller), &event)?;
    if let Some(id) = stops {
        audit::record(&mut tx, &By::anonymous(caller), &Event::new(EventKind::PasswordStopped).user(id))?;
    }
    tx.commit().await?;
    if let Some(id) = stops {
        tracing::warn!(event = "password_stopped", user.id = %id, "a password was tried too often and is not taken any more");
    }
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
        Some(account) if account.user.disabled_at.is_some() => "disabled",
        Some(account) if is_stopped(app, caller, account) => "stopped",
        Some(_) => "wrong password",
    }
}

/// Whether the account's password is not taken from here any more, whatever is typed (LG-04). Sessions go on, and whoever sets
/// a new password makes it good again.
fn is_stopped(app: &App, caller: &Caller, account: &Credentials) -> bool {
    has_hard_stop(app) && failures(account).is_stopped(Network::of(caller.address), caller.now)
}

/// Whether the failure of this attempt is the one that stops it.
fn stops_now(app: &App, caller: &Caller, account: &Credentials) -> bool {
    has_hard_stop(app) && failures(account).is_about_to_stop(Network::of(caller.address), caller.now)
}

fn has_hard_stop(app: &App) -> bool {
    app.settings.throttle && app.settings.hard_stop
}

/// The failures of an account as it was read; before the attempt, where that was reserved.
fn failures(account: &Credentials) -> FailureLog {
    account.login_failures.as_deref().map_or_else(FailureLog::default, FailureLog::decode)
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
    let password = if account.password_trims { Password::as_django(raw) } else { Password::new_nfc(raw) };
    // Where no password is taken the hash is not upgraded: the right one must not cost more than a wrong one (LG-02).
    let active = account.user.disabled_at.is_none() && !is_stopped(app, caller, account);
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
    Changed(Option<Credentials>),
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
        changed => return Ok(Finished::Changed(changed)),
    };
    if let Some(hash) = &verdict.upgraded {
        let scheme = crypto::password::scheme_of(hash);
        if !store::user::upgrade_hash(&mut tx, id, &current.password_hash, hash, &scheme).await? {
            return Ok(Finished::Changed(Some(current)));
        }
        current.password_hash.clone_from(hash);
    }
    let before = failures(&current);
    let mut log = before.clone();
    log.succeeded(Network::of(caller.address), caller.now);
    if !store::user::record_login(&mut tx, &current, &log.encode(), caller.now).await? {
        current.password_hash.clone_from(&checked.password_hash);
        return Ok(Finished::Changed(Some(current)));
    }
    let session_id = SessionId::new(crypto::random::fill(), current.user.epoch);
    let mut session = token::new_session(app, session_id, id, caller);
    session.status = status_list::assign(app, &mut tx, session_id, id, token::keep_until(&session)).await?;
    store::session::insert(&mut tx, &session, token::keep_until(&session)).await?;
    let event = Event::new(EventKind::LoginSucceeded).user(id).session(session_id);
    audit::record(&mut tx, &By::user(caller, id), &event)?;
    tx.commit().await?;
    throttle::give_back(app, caller, AddressLimit::Login);
    throttle::give_back_stranger(app, caller, &before);
    app.counters.logins.fetch_add(1, Relaxed);
    tracing::info!(event = "logged_in", user.id = %id, session.id = %session_id, request.id = caller.request_id, "logged in");
    Ok(Finished::Given(token::mint_pair(app, &session, caller.now)?))
}
