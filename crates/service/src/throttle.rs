//! Who may try: a rate per client address, and growing delays per account.
//!
//! Addresses share a fixed table of rates in memory, which replicas keep alike ([`sharing`]). Failures of accounts are rows,
//! counted before a password is hashed and surviving a restart; names that nobody has are treated alike, so that a throttled
//! answer tells nothing.

pub(crate) mod mailbox;
mod rates;
pub(crate) mod sharing;
pub(crate) mod storm;

pub(crate) use rates::AddressLimits;
pub(crate) use storm::StormWatch;

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::throttle::{FailureLog, Network, Rate};
use domain::time::Timestamp;
use domain::user::NameKey;
use store::user::Credentials;
use store::{Dialect, Tx, unknown_name};

use crate::error::{Error, Result};
use crate::{App, Caller, retry};

/// What a network may do, and a mailbox is sent, at a limited rate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AddressLimit {
    /// Failed logins; a success gives its share back.
    Login = 0,
    /// Registrations.
    Registration = 1,
    /// Failed logins to names whose owners have not logged in from there lately. Always counted; it limits only while a storm
    /// rages.
    Stranger = 2,
    /// Requests that send mail to somebody.
    Mail = 3,
    /// Uses of links in mails.
    Link = 4,
    /// Failed exchanges of API keys: a service that is set up wrongly must not lock the people of its network out of logins, nor they it.
    Token = 5,
    /// Mails with links to one mailbox ([`mailbox`]).
    LinkTo = 6,
    /// Notices to one mailbox.
    NoticeTo = 7,
}

impl AddressLimit {
    /// All of them. Each is stored by its number: never change one.
    const ALL: [Self; 8] = [
        Self::Login,
        Self::Registration,
        Self::Stranger,
        Self::Mail,
        Self::Link,
        Self::Token,
        Self::LinkTo,
        Self::NoticeTo,
    ];

    /// So many at once, and then one in each interval.
    const fn rate(self) -> Rate {
        match self {
            Self::Login => Rate::new(100, Duration::from_secs(6)),
            Self::Registration => Rate::new(100, Duration::from_secs(30)),
            Self::Stranger => Rate::new(5, Duration::from_secs(60)),
            Self::Mail => Rate::new(20, Duration::from_secs(60)),
            Self::Link | Self::Token => Rate::new(100, Duration::from_secs(6)),
            Self::LinkTo | Self::NoticeTo => Rate::new(5, Duration::from_secs(12 * 60)),
        }
    }
}

/// The client's network, as one number for tables and queues.
pub(crate) fn source(app: &App, caller: &Caller) -> u64 {
    app.index_key.number(Network::of(caller.address).to_string().as_bytes())
}

/// Lets a request in, or answers how long its network must wait.
pub(crate) fn admit(app: &App, caller: &Caller, limit: AddressLimit) -> Result<()> {
    if !app.settings.throttle {
        return Ok(());
    }
    let taken = app.addresses.take(limit, source(app, caller), caller.now);
    taken.map_err(|wait| refuse(app, caller.address, wait))
}

/// Gives back what [`admit`] took: the login was a good one.
pub(crate) fn give_back(app: &App, caller: &Caller, limit: AddressLimit) {
    if app.settings.throttle {
        app.addresses.give_back(limit, source(app, caller), caller.now);
    }
}

/// The same for a network that an account with this log did not know at the time.
pub(crate) fn give_back_stranger(app: &App, caller: &Caller, before: &FailureLog) {
    if !before.knows(Network::of(caller.address), caller.now) {
        give_back(app, caller, AddressLimit::Stranger);
    }
}

/// Counts an attempt from a network that the account does not know; while a storm rages such networks get little. It is the same
/// for names that nobody has: no network is known to them.
fn admit_stranger(app: &App, caller: &Caller) -> Result<()> {
    if app.storms.is_raging() {
        return admit(app, caller, AddressLimit::Stranger);
    }
    app.addresses.charge(AddressLimit::Stranger, source(app, caller), caller.now);
    Ok(())
}

fn refuse(app: &App, address: IpAddr, wait: Duration) -> Error {
    app.counters.throttled.fetch_add(1, Ordering::Relaxed);
    tracing::info!(event = "throttled", client.network = %Network::of(address), "too many attempts");
    Error::throttled(wait)
}

/// A failure log is written only where it still is what was read; so many attempts at once on one account lose at most
/// this often before they are told to come again.
const TURNS: usize = 8;

/// Counts an attempt at this name as failed before the password is looked at, and answers the account it means, if any.
pub(crate) async fn reserve(
    app: &App,
    caller: &Caller,
    name: &str,
    key: &NameKey,
) -> Result<Option<Credentials>> {
    if !app.settings.throttle {
        let mut tx = app.db.read().await?;
        return Ok(store::user::find_credentials(&mut tx, name, key).await?);
    }
    let mut turn = 0;
    loop {
        let done = try_to_reserve(app, caller, name, key).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_reserve(
    app: &App,
    caller: &Caller,
    name: &str,
    key: &NameKey,
) -> Result<Option<Credentials>> {
    for _ in 0..TURNS {
        let mut tx = app.db.begin().await?;
        let found = locked(&mut tx, name, key).await?;
        let old = read_log(app, &mut tx, found.as_ref(), key).await?;
        let mut log = old.as_deref().map_or_else(FailureLog::default, FailureLog::decode);
        let network = Network::of(caller.address);
        let is_stranger = !log.knows(network, caller.now);
        log.reserve(network, caller.now).map_err(|wait| refuse(app, caller.address, wait))?;
        if is_stranger {
            admit_stranger(app, caller)?;
        }
        if write_log(app, &mut tx, found.as_ref(), key, old.as_deref(), &log).await? {
            tx.commit().await?;
            return Ok(found);
        }
        if is_stranger {
            give_back(app, caller, AddressLimit::Stranger);
        }
    }
    Err(Error::unavailable(Duration::from_secs(1), "Too many attempts at once on one account."))
}

/// Takes a reservation back: the password was never looked at.
pub(crate) async fn cancel(app: &App, caller: &Caller, name: &str, key: &NameKey) -> Result<()> {
    settle(app, caller, name, key, FailureLog::cancelled).await
}

/// The reserved attempt had the right password.
pub(crate) async fn succeeded(app: &App, caller: &Caller, name: &str, key: &NameKey) -> Result<()> {
    settle(app, caller, name, key, FailureLog::succeeded).await
}

/// Notes how a reserved attempt ended, and gives the network its share back.
async fn settle(
    app: &App,
    caller: &Caller,
    name: &str,
    key: &NameKey,
    ended: fn(&mut FailureLog, Network, Timestamp),
) -> Result<()> {
    give_back(app, caller, AddressLimit::Login);
    if !app.settings.throttle {
        return Ok(());
    }
    for turn in 0..TURNS {
        let mut tx = app.db.begin().await?;
        let found = locked(&mut tx, name, key).await?;
        let Some(old) = read_log(app, &mut tx, found.as_ref(), key).await? else { return Ok(()) };
        let mut log = FailureLog::decode(&old);
        if turn == 0 {
            give_back_stranger(app, caller, &log);
        }
        ended(&mut log, Network::of(caller.address), caller.now);
        if write_log(app, &mut tx, found.as_ref(), key, Some(&old), &log).await? {
            tx.commit().await?;
            return Ok(());
        }
    }
    Ok(())
}

/// The account that a name means, as nobody changes it meanwhile: many attempts on one account queue for it instead of
/// overtaking each other until they give up.
async fn locked(tx: &mut Tx, name: &str, key: &NameKey) -> Result<Option<Credentials>> {
    let found = store::user::find_credentials(tx, name, key).await?;
    match found {
        Some(account) if tx.dialect() == Dialect::Postgres => {
            Ok(store::imported_user::lock_credentials(tx, account.user.id).await?)
        }
        found => Ok(found),
    }
}

async fn read_log(
    app: &App,
    tx: &mut Tx,
    found: Option<&Credentials>,
    key: &NameKey,
) -> Result<Option<Vec<u8>>> {
    match found {
        Some(account) => Ok(account.login_failures.clone()),
        None => Ok(unknown_name::lock(tx, unknown_slot(app, key)).await?),
    }
}

async fn write_log(
    app: &App,
    tx: &mut Tx,
    found: Option<&Credentials>,
    key: &NameKey,
    old: Option<&[u8]>,
    log: &FailureLog,
) -> Result<bool> {
    let new = log.encode();
    Ok(match found {
        Some(account) => store::user::save_failures(tx, account.user.id, old, &new).await?,
        None => unknown_name::save(tx, unknown_slot(app, key), old, &new).await?,
    })
}

/// Names that nobody has share so many rows, chosen by keyed hash.
const UNKNOWN_SLOTS: u64 = 1 << 16;

fn unknown_slot(app: &App, key: &NameKey) -> i64 {
    (app.index_key.number(key.as_str().as_bytes()) % UNKNOWN_SLOTS) as i64
}
