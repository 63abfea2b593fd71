//! Worker threads for password hashing, so that a login storm starves nobody else (DS-01).
//!
//! A fixed number of operating-system threads of lower priority compute one hash at a time, each in an arena of its own
//! that it allocates at its first job and reuses. Memory is threads times the size of an arena whatever the load, plus
//! one single slot for hashes of other programs that need more: those run one at a time, and their memory is freed.
//!
//! Jobs wait in a bounded queue of two lanes. Whoever cannot wait there, or has waited too long, is answered
//! [`Busy`] without hashing, and a job whose caller has gone leaves the queue at once (IN-02).
//!
//! The methods need a tokio runtime with its timer, which belongs to the caller: nothing here reads a clock.

mod queue;
#[cfg(test)]
mod tests;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::password::{self, Arena, HashFault, Outcome, Params};
use worker::Shared;

/// Settings of a [`Hasher`].
#[derive(Debug, Clone)]
pub struct HasherConfig {
    /// Number of threads; 0 counts as 1. The number of processor cores is a good choice.
    pub threads: usize,
    /// How many jobs may wait, both lanes together; at least 2. Each lane has half of it.
    pub queue: usize,
    /// How long a job may wait before it is answered [`Busy`].
    pub max_wait: Duration,
    /// Cost of new hashes, and the size of the arenas.
    pub params: Params,
}

/// A share of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Checks of passwords, and dummies.
    Login,
    /// New hashes.
    Registration,
}

/// Why a job was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The lane is full.
    Full,
    /// This source has half of the lane already.
    Share,
    /// The job was not started within `max_wait`.
    Waited,
    /// The hasher is shut down.
    Stopped,
    /// The job panicked or found no memory: an error of ours, worth a log line.
    Failed,
}

/// The job was not done; the caller should answer 503 with Retry-After.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("password hashing is busy")]
pub struct Busy {
    /// When to come again; whole seconds, at least one.
    pub retry_after: Duration,
    /// Why.
    pub cause: Cause,
}

/// Answer of a check. `Debug` does not show the hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The password is right.
    pub valid: bool,
    /// A new hash with today's parameters, when the password is right and the stored hash is outdated or foreign
    /// (PW-07).
    pub upgraded: Option<String>,
    /// The stored text cannot be checked at all: worth an alarm (PW-09). `valid` is false then.
    pub broken: bool,
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdict")
            .field("valid", &self.valid)
            .field("upgraded", &self.upgraded.is_some())
            .field("broken", &self.broken)
            .finish()
    }
}

/// Counters since the start, and what is going on now. For metrics and tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HasherStats {
    /// Password computations done: a new hash, a check, a dummy and an upgrade count one each.
    pub computed: u64,
    /// Jobs refused at the door: lane full, share used up, or stopped.
    pub rejected: u64,
    /// Jobs that were not started within `max_wait`.
    pub expired: u64,
    /// Jobs whose caller left before they were started.
    pub skipped: u64,
    /// Jobs that panicked or found no memory.
    pub failed: u64,
    /// Checks and dummies that wait now.
    pub waiting_login: usize,
    /// New hashes that wait now.
    pub waiting_registration: usize,
    /// Jobs that run now.
    pub running: usize,
}

/// A handle on the threads. Cheap to clone; they end when the last handle is dropped.
#[derive(Clone)]
pub struct Hasher {
    handle: Arc<Handle>,
}

/// Stops the threads when the last [`Hasher`] goes. The threads themselves hold [`Shared`] only.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Hasher {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(config: HasherConfig) -> std::io::Result<Self> {
        let threads = config.threads.max(1);
        let shared = Arc::new(Shared::new(config));
        let handle = Arc::new(Handle(Arc::clone(&shared)));
        for number in 1..=threads {
            worker::spawn(number, Arc::clone(&shared))?;
        }
        Ok(Self { handle })
    }

    /// A new hash of `password`, with a random salt.
    ///
    /// `source` is a key of the client, for example a digest of its network; see [`Cause::Share`].
    ///
    /// # Errors
    /// [`Busy`] when it was not computed.
    pub async fn hash(&self, lane: Lane, source: u64, password: Zeroizing<Vec<u8>>) -> Result<String, Busy> {
        let today = self.params();
        self.submit(lane, source, false, move |arena| password::hash(&password, today, arena)).await
    }

    /// Checks `password` against a stored hash, and with `upgrade` makes a new one when that is outdated. A stored text that cannot be
    /// checked costs what one of our hashes costs.
    ///
    /// # Errors
    /// [`Busy`] when it was not computed: the answer is unknown.
    pub async fn verify(
        &self,
        source: u64,
        password: Zeroizing<Vec<u8>>,
        stored: String,
        upgrade: bool,
    ) -> Result<Verdict, Busy> {
        let today = self.params();
        let oversized = password::is_oversized(&stored, today);
        self.submit(Lane::Login, source, oversized, move |arena| {
            let outcome = password::verify(&password, &stored, today, arena)?;
            // A failing upgrade must not fail the login; the next one tries again.
            let upgraded = match outcome {
                Outcome::Outdated if upgrade => password::hash(&password, today, arena).ok(),
                _ => None,
            };
            let valid = matches!(outcome, Outcome::Right | Outcome::Outdated);
            Ok(Verdict { valid, upgraded, broken: outcome == Outcome::Broken })
        })
        .await
    }

    /// Takes the time and the place of checking against a hash of `scheme`, which comes from
    /// [`password::scheme_of`]: for names that do not exist (LG-02). There is no answer: it is always no.
    ///
    /// # Errors
    /// [`Busy`] as a check would be.
    pub async fn dummy(&self, source: u64, password: Zeroizing<Vec<u8>>, scheme: &str) -> Result<(), Busy> {
        let today = self.params();
        let oversized = password::is_dummy_oversized(scheme, today);
        let scheme = scheme.to_owned();
        self.submit(Lane::Login, source, oversized, move |arena| {
            password::dummy(&password, &scheme, today, arena)
        })
        .await
    }

    /// The parameters of new hashes.
    pub fn params(&self) -> Params {
        self.shared().config.params
    }

    /// Counters.
    pub fn stats(&self) -> HasherStats {
        self.shared().stats()
    }

    /// Ends the threads after their current jobs. Waiting and later jobs are answered [`Busy`]. Does not wait.
    pub fn shutdown(&self) {
        self.shared().stop();
    }

    fn shared(&self) -> &Shared {
        &self.handle.0
    }

    /// Queues `work`, waits for its answer and counts what it computed.
    async fn submit<T: Send + 'static>(
        &self,
        lane: Lane,
        source: u64,
        oversized: bool,
        work: impl FnOnce(&mut Arena) -> Result<T, HashFault> + Send + 'static,
    ) -> Result<T, Busy> {
        let shared = self.shared();
        let (sender, mut answer) = oneshot::channel();
        let job = Box::new(move |arena: &mut Arena, shared: &Shared| {
            let before = arena.computed();
            let result = work(arena);
            shared.computed.fetch_add(arena.computed() - before, Relaxed);
            match result {
                // The caller may have gone meanwhile.
                Ok(value) => drop(sender.send(value)),
                // Without an answer the caller sees that the sender is gone.
                Err(_) => shared.count_failure(),
            }
        });
        let ticket = shared.push(lane, source, oversized, job).map_err(|cause| self.busy(cause))?;
        let mut place = Place { shared, lane, ticket, taken: true };
        let answer = match tokio::time::timeout(shared.config.max_wait, &mut answer).await {
            Ok(answer) => answer,
            Err(_) if place.leave() => {
                shared.expired.fetch_add(1, Relaxed);
                return Err(self.busy(Cause::Waited));
            }
            // It has been started: what is computed anyway may as well be answered.
            Err(_) => answer.await,
        };
        place.taken = false;
        let cause = if shared.is_stopped() { Cause::Stopped } else { Cause::Failed };
        answer.map_err(|_| self.busy(cause))
    }

    fn busy(&self, cause: Cause) -> Busy {
        let seconds = self.shared().config.max_wait.as_secs_f64().ceil().max(1.0);
        Busy { retry_after: Duration::from_secs_f64(seconds), cause }
    }
}

/// A place in the queue. Its drop, when the caller is cancelled, takes the job out again.
struct Place<'a> {
    shared: &'a Shared,
    lane: Lane,
    ticket: u64,
    /// Whether the job may still be in the queue.
    taken: bool,
}

impl Place<'_> {
    /// Takes the job out of the queue; `false` when it was started before.
    fn leave(&mut self) -> bool {
        std::mem::take(&mut self.taken) && self.shared.withdraw(self.lane, self.ticket)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.leave() {
            self.shared.skipped.fetch_add(1, Relaxed);
        }
    }
}
