//! How long things are kept, and how much.

use std::time::Duration;

/// Bounds in time and memory. Change single ones: `Limits { seen_tokens: 0, ..Limits::default() }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The key set is fresh for at least this long, whatever `Cache-Control` says. Default: 10 s.
    pub keys_fresh_min: Duration,
    /// And at most this long: a key that was dropped is refused after it. Default: 10 min.
    pub keys_fresh_max: Duration,
    /// When fetching fails, the last good key set is used until it is this old. Default: 1 h.
    pub keys_stale_max: Duration,
    /// A key id that is not known causes a fetch only this long after the last one. Default: 10 s.
    pub refetch_gap: Duration,
    /// After a failed fetch the next one waits for this long. Default: 1 s.
    pub retry: Duration,
    /// A status list is fresh for at most this long, whatever its `ttl`: an ended session is refused after it.
    /// Default: 60 s.
    pub status_fresh_max: Duration,
    /// When fetching fails, the last good status list is used until it is this old, but never beyond its `exp`.
    /// Default: 5 min.
    pub status_stale_max: Duration,
    /// This many checked tokens are remembered. Default: 16,384; 0 remembers none.
    pub seen_tokens: usize,
    /// They take about this much memory in bytes. Default: 64 MiB.
    pub seen_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            keys_fresh_min: Duration::from_secs(10),
            keys_fresh_max: Duration::from_secs(600),
            keys_stale_max: Duration::from_secs(3600),
            refetch_gap: Duration::from_secs(10),
            retry: Duration::from_secs(1),
            status_fresh_max: Duration::from_secs(60),
            status_stale_max: Duration::from_secs(300),
            seen_tokens: 16_384,
            seen_bytes: 64 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// Whether the bounds fit together: each fetch is worth something, and nothing is fresh beyond its use.
    pub(crate) fn are_sound(&self) -> bool {
        let second = Duration::from_secs(1);
        self.keys_fresh_min >= second
            && self.keys_fresh_min <= self.keys_fresh_max
            && self.keys_fresh_max <= self.keys_stale_max
            && self.refetch_gap >= second
            && self.retry >= second
            && self.status_fresh_max >= second
            && self.status_fresh_max <= self.status_stale_max
    }
}
