//! Growing delays after failed logins, rates of networks, and storms (LG-03..LG-08): pure rules; where the counts are kept is the service's business.
//!
//! An attempt is reserved before the password is looked at and counts as failed until told otherwise, so attempts made
//! at the same moment cannot pass together, and a crash forgets nothing (LG-04, LG-05).

use std::time::Duration;

use crate::time::Timestamp;

mod log;
mod network;
mod rate;
mod storm;

pub use log::FailureLog;
pub use network::Network;
pub use rate::Rate;
pub use storm::{COUNTED_FOR, Logins, Storm};

/// Failures after which delays begin: `free` cost nothing, then `FIRST_DELAY`, doubling up to `longest`.
#[derive(Copy, Clone, Debug)]
struct Growth {
    free: u32,
    longest: Duration,
}

/// The first delay.
const FIRST_DELAY: Duration = Duration::from_secs(30);
/// For the attempts of one network on one account.
const PER_NETWORK: Growth = Growth { free: 5, longest: Duration::from_secs(60 * 60) };
/// For the attempts of all networks together on one account, against guessing from many places. It stays short, and
/// networks from which the owner logged in do not feel it, so that nobody locks an owner out.
const PER_ACCOUNT: Growth = Growth { free: 50, longest: Duration::from_secs(15 * 60) };
/// Failures are forgotten after this time without another.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// After so many consecutive failures a password may have to be replaced (NIST SP 800-63B-4, 3.2.2). Those from networks that the
/// owner has logged in from and those from elsewhere are counted apart, so that nobody elsewhere locks an owner out at home.
const MOST_CONSECUTIVE: u32 = 100;
/// A network counts as the owner's for so long after a login from it.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl Growth {
    /// How long after the last of `failures` the next attempt may come.
    fn delay(self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(self.free) else { return Duration::ZERO };
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        FIRST_DELAY.saturating_mul(factor).min(self.longest)
    }
}

/// A count of consecutive failures.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
struct Count {
    failures: u32,
    last: Option<Timestamp>,
}

impl Count {
    /// Whether it has been forgotten. A clock that went back by more than the longest delay was wrong before, and
    /// nobody shall wait for it to come true.
    fn is_forgotten(self, now: Timestamp) -> bool {
        self.failures == 0
            || self.last.is_none_or(|last| {
                now.since(last) >= FORGOTTEN_AFTER || last.since(now) > PER_NETWORK.longest
            })
    }

    fn forget(&mut self, now: Timestamp) {
        if self.is_forgotten(now) {
            *self = Self::default();
        }
    }

    /// How long the next attempt has to wait.
    fn wait(self, growth: Growth, now: Timestamp) -> Duration {
        match self.last {
            Some(last) if !self.is_forgotten(now) => match growth.delay(self.failures) {
                // Requests do not come in the order of their times; where no delay is due, none is made of that.
                Duration::ZERO => Duration::ZERO,
                delay => (last + delay).since(now),
            },
            _ => Duration::ZERO,
        }
    }

    fn add(&mut self, now: Timestamp) {
        self.forget(now);
        self.failures = self.failures.saturating_add(1);
        self.last = self.last.max(Some(now));
    }

    /// Takes back the attempt reserved at `at`. If it was the last, the next may come at once: it was allowed then.
    fn take_back(&mut self, growth: Growth, at: Timestamp) {
        self.failures = self.failures.saturating_sub(1);
        if self.last == Some(at) {
            self.last = Some(at - growth.delay(self.failures));
        }
    }
}

#[cfg(test)]
mod tests;
