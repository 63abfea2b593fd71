//! The failures of one account, by network.

use std::time::Duration;

use super::{Count, KNOWN_FOR, MOST_CONSECUTIVE, Network, PER_ACCOUNT, PER_NETWORK};
use crate::time::Timestamp;

/// So many networks are remembered; a new one takes the place of the one heard of longest ago, of a known one only
/// when all are known.
const MAX_NETWORKS: usize = 8;

/// The failed logins of one account, or of one slot of unknown names: per network, and in all.
///
/// At most 8 networks, at most 253 bytes; an empty log has no bytes, so an account without a history costs nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FailureLog {
    total: Count,
    pub(super) consecutive: Consecutive,
    networks: Vec<Entry>,
}

/// Failures since the last success, or since the password was set; no time takes them away.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Consecutive {
    pub(super) from_strangers: u32,
    pub(super) from_known: u32,
}

impl Consecutive {
    fn of(&mut self, is_known: bool) -> &mut u32 {
        if is_known { &mut self.from_known } else { &mut self.from_strangers }
    }
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Entry {
    network: Network,
    count: Count,
    /// The last login from here.
    succeeded_at: Option<Timestamp>,
}

impl Entry {
    fn is_known(&self, now: Timestamp) -> bool {
        self.succeeded_at.is_some_and(|at| now.since(at) < KNOWN_FOR)
    }

    /// The last time it was heard of, for choosing whom to forget.
    fn heard_of(&self) -> Option<Timestamp> {
        self.count.last.max(self.succeeded_at)
    }
}

impl FailureLog {
    /// Reserves an attempt: it counts as failed until [`FailureLog::succeeded`] or [`FailureLog::cancelled`].
    ///
    /// # Errors
    /// How long to wait, when it comes too early; nothing is changed then.
    pub fn reserve(&mut self, network: Network, now: Timestamp) -> Result<(), Duration> {
        let wait = self.wait(network, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        let consecutive = self.consecutive.of(self.knows(network, now));
        *consecutive = consecutive.saturating_add(1);
        self.total.add(now);
        self.entry(network, now).count.add(now);
        Ok(())
    }

    /// The reserved attempt had the right password: this network's failures were its owner's, and it is known from
    /// now on. Failures from elsewhere stay, and so does a stop that does not hold here.
    pub fn succeeded(&mut self, network: Network, now: Timestamp) {
        let is_known = self.knows(network, now);
        *self.consecutive.of(is_known) = 0;
        let elsewhere = self.consecutive.of(!is_known);
        if *elsewhere < MOST_CONSECUTIVE {
            *elsewhere = 0;
        }
        let entry = self.entry(network, now);
        let own = std::mem::take(&mut entry.count);
        entry.succeeded_at = Some(now);
        self.total.failures = self.total.failures.saturating_sub(own.failures);
        self.total.forget(now);
    }

    /// The attempt reserved at `now` was not made (no capacity): takes the reservation back.
    pub fn cancelled(&mut self, network: Network, now: Timestamp) {
        let consecutive = self.consecutive.of(self.knows(network, now));
        *consecutive = consecutive.saturating_sub(1);
        let Some(entry) = self.networks.iter_mut().find(|entry| entry.network == network) else { return };
        entry.count.take_back(PER_NETWORK, now);
        self.total.take_back(PER_ACCOUNT, now);
        self.total.forget(now);
    }

    /// Whether the owner has logged in from this network lately.
    pub fn knows(&self, network: Network, now: Timestamp) -> bool {
        self.networks.iter().any(|entry| entry.network == network && entry.is_known(now))
    }

    /// Whether the password may not be tried from here any more, until it is set anew.
    pub fn is_stopped(&self, network: Network, now: Timestamp) -> bool {
        self.failures_like(network, now) >= MOST_CONSECUTIVE
    }

    /// Whether the next failure from here is the last one that may be.
    pub fn is_about_to_stop(&self, network: Network, now: Timestamp) -> bool {
        self.failures_like(network, now) == MOST_CONSECUTIVE - 1
    }

    fn failures_like(&self, network: Network, now: Timestamp) -> u32 {
        let Consecutive { from_strangers, from_known } = self.consecutive;
        if self.knows(network, now) { from_known } else { from_strangers }
    }

    /// Whether it holds nothing that matters any more.
    pub fn is_empty(&self, now: Timestamp) -> bool {
        self.consecutive == Consecutive::default()
            && self.total.is_forgotten(now)
            && self.networks.iter().all(|entry| self.is_spent(entry, now))
    }

    fn is_spent(&self, entry: &Entry, now: Timestamp) -> bool {
        entry.count.is_forgotten(now) && !entry.is_known(now)
    }

    fn wait(&self, network: Network, now: Timestamp) -> Duration {
        let entry = self.networks.iter().find(|entry| entry.network == network);
        let own = entry.map_or(Duration::ZERO, |entry| entry.count.wait(PER_NETWORK, now));
        if entry.is_some_and(|entry| entry.is_known(now)) {
            return own;
        }
        own.max(self.total.wait(PER_ACCOUNT, now))
    }

    /// This network's entry, made by forgetting another if need be.
    fn entry(&mut self, network: Network, now: Timestamp) -> &mut Entry {
        let place = self.networks.iter().position(|entry| entry.network == network).unwrap_or_else(|| {
            let fresh = Entry { network, count: Count::default(), succeeded_at: None };
            if self.networks.len() < MAX_NETWORKS {
                self.networks.push(fresh);
                return self.networks.len() - 1;
            }
            let oldest = self.least_needed(now);
            self.networks[oldest] = fresh;
            oldest
        });
        &mut self.networks[place]
    }

    fn least_needed(&self, now: Timestamp) -> usize {
        let need = |entry: &Entry| (entry.is_known(now), entry.heard_of());
        (0..self.networks.len()).min_by_key(|n| need(&self.networks[*n])).unwrap_or(0)
    }
}

/// The stored form: a version byte, the total, the consecutive failures of strangers and of known networks, then the networks. The
/// first version did not have consecutive failures. Numbers are big endian; a time of `i64::MIN` is none.
impl FailureLog {
    const VERSION: u8 = 2;

    /// For the database.
    pub fn encode(&self) -> Vec<u8> {
        if *self == Self::default() {
            return Vec::new();
        }
        let mut bytes = vec![Self::VERSION];
        encode_count(&mut bytes, self.total);
        bytes.extend_from_slice(&self.consecutive.from_strangers.to_be_bytes());
        bytes.extend_from_slice(&self.consecutive.from_known.to_be_bytes());
        for entry in &self.networks {
            let address = entry.network.as_bytes();
            bytes.push(address.len() as u8);
            bytes.extend_from_slice(address);
            encode_count(&mut bytes, entry.count);
            encode_time(&mut bytes, entry.succeeded_at);
        }
        bytes
    }

    /// From the database. What it does not understand counts as no history: the rows are ours alone, so that is a
    /// fault of ours, and the account's owner shall not pay for it; the throttle by client address still holds.
    pub fn decode(bytes: &[u8]) -> Self {
        Reader(bytes).log().unwrap_or_default()
    }
}

fn encode_count(bytes: &mut Vec<u8>, count: Count) {
    bytes.extend_from_slice(&count.failures.to_be_bytes());
    encode_time(bytes, count.last);
}

fn encode_time(bytes: &mut Vec<u8>, time: Option<Timestamp>) {
    bytes.extend_from_slice(&time.map_or(i64::MIN, Timestamp::micros).to_be_bytes());
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn log(&mut self) -> Option<FailureLog> {
        let [version] = self.take::<1>()?;
        let total = self.count()?;
        let consecutive = match version {
            FailureLog::VERSION => Consecutive { from_strangers: self.number()?, from_known: self.number()? },
            1 => Consecutive::default(),
            _ => return None,
        };
        let mut networks: Vec<Entry> = Vec::new();
        while !self.0.is_empty() {
            let entry = self.entry()?;
            if networks.len() == MAX_NETWORKS || networks.iter().any(|known| known.network == entry.network) {
                return None;
            }
            networks.push(entry);
        }
        Some(FailureLog { total, consecutive, networks })
    }

    fn entry(&mut self) -> Option<Entry> {
        let network = match self.take::<1>()? {
            [4] => Network::V4(self.take()?),
            [8] => Network::V6(self.take()?),
            _ => return None,
        };
        Some(Entry { network, count: self.count()?, succeeded_at: self.time()? })
    }

    fn count(&mut self) -> Option<Count> {
        Some(Count { failures: self.number()?, last: self.time()? })
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn time(&mut self) -> Option<Option<Timestamp>> {
        let micros = i64::from_be_bytes(self.take()?);
        Some((micros != i64::MIN).then_some(Timestamp::from_micros(micros)))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }
}
