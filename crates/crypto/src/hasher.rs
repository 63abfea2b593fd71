//! Worker threads for password hashing.
use crate::password::Params;
use std::time::Duration;
use zeroize::Zeroizing;

/// Settings.
#[derive(Debug, Clone)]
pub struct HasherConfig {
    /// Number of threads, at least 1.
    pub threads: usize,
    /// Jobs that may wait, both lanes together.
    pub queue: usize,
    /// Longest wait.
    pub max_wait: Duration,
    /// Cost of new hashes.
    pub params: Params,
}
/// Share of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Checks.
    Login,
    /// New hashes.
    Registration,
}
/// Why a job was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The lane is full.
    Full,
    /// This source has its share of the lane already.
    Share,
    /// Waited for `max_wait` without being started.
    Waited,
    /// The hasher is shut down.
    Stopped,
    /// The job failed (a panic or no memory): an error of ours, to be logged.
    Failed,
}
/// The job was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("password hashing is busy")]
pub struct Busy {
    /// When to come again.
    pub retry_after: Duration,
    /// Why.
    pub cause: Cause,
}
/// Answer of a check.
#[derive(Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The password is right.
    pub valid: bool,
    /// A new hash.
    pub upgraded: Option<String>,
    /// The stored text is no hash we can read: worth an alarm.
    pub broken: bool,
}
/// Counters since the start, and what waits now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HasherStats {
    /// Password computations done: new hashes, checks, dummies and upgrades count one each.
    pub computed: u64,
    /// Jobs refused because the lane or the share was full, or the hasher stopped.
    pub rejected: u64,
    /// Jobs that waited longer than `max_wait`.
    pub expired: u64,
    /// Jobs whose receiver left before they were started.
    pub skipped: u64,
    /// Jobs that panicked or found no memory.
    pub failed: u64,
    /// Checks and dummies waiting now.
    pub waiting_login: usize,
    /// New hashes waiting now.
    pub waiting_registration: usize,
    /// Jobs running now.
    pub running: usize,
}
/// Handle.
#[derive(Clone)]
pub struct Hasher;
impl Hasher {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(config: HasherConfig) -> std::io::Result<Self> {
        let _ = config;
        todo!()
    }
    /// Makes a new hash.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(&self, lane: Lane, source: u64, password: Zeroizing<Vec<u8>>) -> Result<String, Busy> {
        let _ = (lane, source, password);
        todo!()
    }
    /// Checks.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(
        &self,
        source: u64,
        password: Zeroizing<Vec<u8>>,
        stored: String,
    ) -> Result<Verdict, Busy> {
        let _ = (source, password, stored);
        todo!()
    }
    /// Costs the same.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn dummy(&self, source: u64, password: Zeroizing<Vec<u8>>, scheme: &str) -> Result<(), Busy> {
        let _ = (source, password, scheme);
        todo!()
    }
    /// Counters.
    pub fn stats(&self) -> HasherStats {
        todo!()
    }
    /// Stops.
    pub fn shutdown(&self) {
        todo!()
    }
}
