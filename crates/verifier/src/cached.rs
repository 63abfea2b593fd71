//! A fetched value that is kept while it is fresh, fetched by one at a time, and kept for a bounded while when fetching
//! fails.
//!
//! Fresh: served, and near its end renewed in the background. No longer fresh: fetched before it is served. When that
//! fails: the last good value serves on, with attempts in the background, until it is `max_stale` old or has expired by
//! itself. Then nothing is served: it fails closed.

use std::future::Future;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::clock::{Clock, Millis, since};

/// For how long things hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// After a failed fetch the next one waits for this long.
    pub(crate) retry: Millis,
    /// A value that was fetched this long ago is not served, whatever happens.
    pub(crate) max_stale: Millis,
}

/// What a fetch brings.
pub(crate) struct Loaded<T> {
    pub(crate) value: T,
    /// Fresh for this long from now on.
    pub(crate) fresh_for: Millis,
    /// Not served from this time on.
    pub(crate) until: Option<Millis>,
}

/// What there is to serve.
pub(crate) enum Look<T> {
    /// This; when `renew`, a fetch in the background is due.
    Serve { value: Arc<T>, renew: bool },
    /// Nothing before a fetch, which may be made.
    Fetch,
    /// Nothing: the last fetch failed, and it is too early for another.
    Unavailable,
}

/// Which fetches had ended when a decision to fetch was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

pub(crate) struct Cached<T> {
    rules: Rules,
    state: RwLock<State<T>>,
    flight: Arc<Mutex<()>>,
}

struct State<T> {
    held: Option<Held<T>>,
    ended: u64,
    last_end: Option<Millis>,
    failed: bool,
}

struct Held<T> {
    value: Arc<T>,
    fetched_at: Millis,
    fresh_for: Millis,
    until: Option<Millis>,
}

impl<T: Send + Sync + 'static> Cached<T> {
    pub(crate) fn new(rules: Rules) -> Arc<Self> {
        let state = State { held: None, ended: 0, last_end: None, failed: false };
        Arc::new(Self { rules, state: RwLock::new(state), flight: Arc::default() })
    }

    /// What there is at `now`, with the ticket for a fetch.
    pub(crate) fn look(&self, now: Millis) -> (Look<T>, Ticket) {
        let state = self.state.read();
        (state.look(now, self.rules), Ticket(state.ended))
    }

    /// The last good value, while it may be used at all.
    pub(crate) fn usable(&self, now: Millis) -> Option<Arc<T>> {
        let state = self.state.read();
        let held = state.held.as_ref().filter(|held| held.is_usable(now, self.rules.max_stale));
        held.map(|held| Arc::clone(&held.value))
    }

    /// When the last fetch ended, and whether it failed.
    pub(crate) fn last(&self) -> (Option<Millis>, bool) {
        let state = self.state.read();
        (state.last_end, state.failed)
    }

    /// Fetches, unless another fetch has ended since the ticket was given; waits for one that is under way. The fetch
    /// goes on when the caller goes away.
    pub(crate) async fn fetch<F>(self: &Arc<Self>, ticket: Ticket, clock: &Clock, load: F)
    where
        F: Future<Output = Option<Loaded<T>>> + Send + 'static,
    {
        let flight = Arc::clone(&self.flight).lock_owned().await;
        if self.state.read().ended == ticket.0 {
            // A join fails when the runtime shuts down: then there is nobody to tell.
            let _ = tokio::spawn(Arc::clone(self).fly(flight, Arc::clone(clock), load)).await;
        }
    }

    /// Fetches in the background, unless a fetch is under way or there is no runtime.
    pub(crate) fn fetch_in_background<F>(self: &Arc<Self>, ticket: Ticket, clock: &Clock, load: F)
    where
        F: Future<Output = Option<Loaded<T>>> + Send + 'static,
    {
        let Ok(flight) = Arc::clone(&self.flight).try_lock_owned() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.state.read().ended == ticket.0 {
            runtime.spawn(Arc::clone(self).fly(flight, Arc::clone(clock), load));
        }
    }

    async fn fly<F>(self: Arc<Self>, flight: OwnedMutexGuard<()>, clock: Clock, load: F)
    where
        F: Future<Output = Option<Loaded<T>>> + Send + 'static,
    {
        // In a task of its own, so that a fetch function that panics counts as one that failed.
        let loaded = tokio::spawn(load).await.ok().flatten();
        self.state.write().record(crate::clock::millis(clock()), loaded);
        drop(flight);
    }
}

impl<T> State<T> {
    fn look(&self, now: Millis, rules: Rules) -> Look<T> {
        let may_fetch = !self.failed || self.last_end.is_none_or(|end| since(end, now) >= rules.retry);
        let usable = self.held.as_ref().filter(|held| held.is_usable(now, rules.max_stale));
        let Some(held) = usable else {
            return if may_fetch { Look::Fetch } else { Look::Unavailable };
        };
        let age = since(held.fetched_at, now);
        if age < held.fresh_for {
            let renew = may_fetch && age >= held.fresh_for / 5 * 4;
            return Look::Serve { value: Arc::clone(&held.value), renew };
        }
        if self.failed {
            return Look::Serve { value: Arc::clone(&held.value), renew: may_fetch };
        }
        Look::Fetch
    }

    fn record(&mut self, now: Millis, loaded: Option<Loaded<T>>) {
        self.ended += 1;
        self.last_end = Some(now);
        self.failed = loaded.is_none();
        if let Some(Loaded { value, fresh_for, until }) = loaded {
            self.held = Some(Held { value: Arc::new(value), fetched_at: now, fresh_for, until });
        }
    }
}

impl<T> Held<T> {
    fn is_usable(&self, now: Millis, max_stale: Millis) -> bool {
        since(self.fetched_at, now) < max_stale && self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::{Loaded, Look, Rules, State};

    const RULES: Rules = Rules { retry: 1_000, max_stale: 100_000 };

    fn said(state: &State<&'static str>, now: u64) -> &'static str {
        match state.look(now, RULES) {
            Look::Serve { renew: false, .. } => "serve",
            Look::Serve { renew: true, .. } => "serve and renew",
            Look::Fetch => "fetch",
            Look::Unavailable => "unavailable",
        }
    }

    fn loaded(until: Option<u64>) -> Option<Loaded<&'static str>> {
        Some(Loaded { value: "v", fresh_for: 10_000, until })
    }

    fn empty() -> State<&'static str> {
        State { held: None, ended: 0, last_end: None, failed: false }
    }

    #[test]
    fn a_value_is_served_while_fresh_and_fetched_before_it_is_served_later() {
        let mut state = empty();
        assert_eq!(said(&state, 1_000_000), "fetch");
        state.record(1_000_000, loaded(None));
        assert_eq!(said(&state, 1_000_000), "serve");
        assert_eq!(said(&state, 1_007_999), "serve");
        assert_eq!(said(&state, 1_008_000), "serve and renew");
        assert_eq!(said(&state, 1_009_999), "serve and renew");
        assert_eq!(said(&state, 1_010_000), "fetch");
    }

    #[test]
    fn failures_are_spaced_and_the_last_good_value_serves_for_a_bounded_while() {
        let mut state = empty();
        state.record(1_000_000, None);
        assert_eq!(said(&state, 1_000_999), "unavailable");
        assert_eq!(said(&state, 1_001_000), "fetch");
        state.record(1_001_000, loaded(None));
        state.record(1_011_000, None);
        assert_eq!(said(&state, 1_011_999), "serve");
        assert_eq!(said(&state, 1_012_000), "serve and renew");
        assert_eq!(said(&state, 1_100_999), "serve and renew");
        assert_eq!(said(&state, 1_101_000), "fetch");
        state.record(1_101_000, None);
        assert_eq!(said(&state, 1_101_001), "unavailable");
    }

    #[test]
    fn a_value_that_has_expired_is_not_served_however_fresh() {
        let mut state = empty();
        state.record(1_000_000, loaded(Some(1_005_000)));
        assert_eq!(said(&state, 1_004_999), "serve");
        assert_eq!(said(&state, 1_005_000), "fetch");
    }

    #[test]
    fn a_clock_that_is_set_back_never_makes_a_value_last_longer_than_its_bound() {
        let mut state = empty();
        state.record(1_000_000, loaded(None));
        assert_eq!(said(&state, 999_000), "serve");
        assert_eq!(said(&state, 900_000), "fetch");
        state.record(900_000, None);
        assert_eq!(said(&state, 900_001), "unavailable");
    }
}
