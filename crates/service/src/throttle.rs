//! Who may try: a rate per client address, and growing delays per account.
//!
//! Addresses share a fixed table of rates in memory. Failures of accounts are rows, counted before a password is
//! hashed and surviving a restart; names that nobody has are treated alike, so that a throttled answer tells nothing.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::throttle::{FailureLog, Network};
use domain::time::Timestamp;
use domain::user::NameKey;
use store::user::Credentials;
use store::{Dialect, Tx, unknown_name};

use crate::error::{Error, Result};
use crate::{App, Caller, retry};

/// What an address may do at a limited rate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AddressLimit {
    /// Failed logins; a success gives its share back.
    Login,
    /// Registrations.
    Registration,
    /// Requests that send mail to somebody.
    Mail,
    /// Uses of links in mails.
    Link,
}

impl AddressLimit {
    /// So many at once, and then one in each interval.
    const fn rate(self) -> (u32, Duration) {
        match self {
            Self::Login => (100, Duration::from_secs(6)),
            Self::Registration => (100, Duration::from_secs(30)),
            Self::Mail => (20, Duration::from_secs(60)),
            Self::Link => (100, Duration::from_secs(6)),
        }
    }
}

/// Slots of each kind of limit. An address is given one by keyed hash, so memory is fixed, and nobody outside can choose
/// an address that shares a slot with somebody else's.
const SLOTS: usize = 1 << 15;

/// Rates per network (an IPv4 address or an IPv6 /64), by the generic cell rate algorithm: a slot holds the time at which
/// its budget is whole again, in microseconds.
pub(crate) struct AddressLimits {
    login: Box<[AtomicI64]>,
    registration: Box<[AtomicI64]>,
    mail: Box<[AtomicI64]>,
    link: Box<[AtomicI64]>,
}

impl Default for AddressLimits {
    fn default() -> Self {
        let table = || std::iter::repeat_with(|| AtomicI64::new(0)).take(SLOTS).collect();
        Self { login: table(), registration: table(), mail: table(), link: table() }
    }
}

impl AddressLimits {
    fn slot(&self, limit: AddressLimit, number: u64) -> &AtomicI64 {
        let table = match limit {
            AddressLimit::Login => &self.login,
            AddressLimit::Registration => &self.registration,
            AddressLimit::Mail => &self.mail,
            AddressLimit::Link => &self.link,
        };
        &table[(number % SLOTS as u64) as usize]
    }

    /// Takes one from the budget, or says how long to wait.
    fn take(&self, limit: AddressLimit, number: u64, now: Timestamp) -> std::result::Result<(), Duration> {
        let (burst, interval) = limit.rate();
        let interval = interval.as_micros() as i64;
        let tolerance = interval * i64::from(burst - 1);
        let slot = self.slot(limit, number);
        let mut whole_at = slot.load(Ordering::Relaxed);
        loop {
            let wait = whole_at.saturating_sub(now.micros()).saturating_sub(tolerance);
            if wait > 0 {
                return Err(Duration::from_micros(wait as u64));
            }
            let next = whole_at.max(now.micros()) + interval;
            match slot.compare_exchange_weak(whole_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(current) => whole_at = current,
            }
        }
    }

    /// Gives one back, as far as it still counts: what has decayed since it was taken is not given twice.
    fn give_back(&self, limit: AddressLimit, number: u64, now: Timestamp) {
        let interval = limit.rate().1.as_micros() as i64;
        let slot = self.slot(limit, number);
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |whole_at| {
            (whole_at > now.micros()).then(|| (whole_at - interval).max(now.micros()))
        });
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
        log.reserve(Network::of(caller.address), caller.now)
            .map_err(|wait| refuse(app, caller.address, wait))?;
        if write_log(app, &mut tx, found.as_ref(), key, old.as_deref(), &log).await? {
            tx.commit().await?;
            return Ok(found);
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
    for _ in 0..TURNS {
        let mut tx = app.db.begin().await?;
        let found = locked(&mut tx, name, key).await?;
        let Some(old) = read_log(app, &mut tx, found.as_ref(), key).await? else { return Ok(()) };
        let mut log = FailureLog::decode(&old);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_burst_and_then_a_rate() {
        // LG-08, DS-04
        let limits = AddressLimits::default();
        let now = Timestamp::from_seconds(1_000);
        let (burst, interval) = AddressLimit::Registration.rate();
        for _ in 0..burst {
            assert_eq!(limits.take(AddressLimit::Registration, 7, now), Ok(()));
        }
        assert_eq!(limits.take(AddressLimit::Registration, 7, now), Err(interval));
        assert_eq!(limits.take(AddressLimit::Registration, 8, now), Ok(()), "others are not touched");
        assert_eq!(limits.take(AddressLimit::Login, 7, now), Ok(()), "nor is another kind of attempt");
        assert_eq!(limits.take(AddressLimit::Registration, 7, now + interval), Ok(()));
        assert!(limits.take(AddressLimit::Registration, 7, now + interval).is_err());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let limits = AddressLimits::default();
        let now = Timestamp::from_seconds(1_000);
        for _ in 0..AddressLimit::Login.rate().0 * 3 {
            assert_eq!(limits.take(AddressLimit::Login, 1, now), Ok(()));
            limits.give_back(AddressLimit::Login, 1, now);
        }
    }
}
