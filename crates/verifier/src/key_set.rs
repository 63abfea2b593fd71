//! The service's key set, fetched and kept.
//!
//! An unknown key id asks for a fetch, for the keys may have been rotated, but never sooner than `refetch_gap` after the
//! last one ended: a flood of made-up ids costs one fetch per gap (TK-02).

use std::sync::Arc;
use std::time::Duration;

use crate::cached::{Cached, Loaded, Look, Rules, Ticket};
use crate::clock::{Clock, Millis, millis, since};
use crate::fetch::{Fetch, FetchError, FetchRequest, fetch_bounded, max_age};
use crate::jwks::Keys;

/// The longest key set that is read, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// Told of every fetch that fails: the address and the reason.
pub(crate) type OnFetchError = Arc<dyn Fn(&str, &FetchError) + Send + Sync>;

/// What fetching needs.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) fetch: Fetch,
    pub(crate) clock: Clock,
    pub(crate) on_error: OnFetchError,
}

/// For how long keys hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyRules {
    pub(crate) fresh_min: Millis,
    pub(crate) fresh_max: Millis,
    pub(crate) refetch_gap: Millis,
    pub(crate) rules: Rules,
}

pub(crate) struct KeySet {
    url: String,
    source: Source,
    rules: KeyRules,
    cached: Arc<Cached<Keys>>,
}

impl KeySet {
    pub(crate) fn new(url: String, source: Source, rules: KeyRules) -> Self {
        Self { url, source, cached: Cached::new(rules.rules), rules }
    }

    /// What there is; renews it in the background when that is due.
    pub(crate) fn look(&self, now: Millis) -> (Look<Keys>, Ticket) {
        let (look, ticket) = self.cached.look(now);
        if let Look::Serve { renew: true, .. } = look {
            self.cached.fetch_in_background(ticket, &self.source.clock, self.load());
        }
        (look, ticket)
    }

    /// Whether a key id that is not in the set may cause a fetch now.
    pub(crate) fn may_refetch(&self, now: Millis) -> bool {
        self.cached.last().0.is_none_or(|end| since(end, now) >= self.rules.refetch_gap)
    }

    /// Whether the last fetch failed, so that a key that is not in the set may yet be a good one.
    pub(crate) fn is_failing(&self) -> bool {
        self.cached.last().1
    }

    pub(crate) async fn fetch(&self, ticket: Ticket) {
        self.cached.fetch(ticket, &self.source.clock, self.load()).await;
    }

    fn load(&self) -> impl Future<Output = Option<Loaded<Keys>>> + Send + use<> {
        let (url, source, rules) = (self.url.clone(), self.source.clone(), self.rules);
        async move {
            let loaded = load(&url, &source.fetch, rules).await;
            loaded.map_err(|error| (source.on_error)(&url, &error)).ok()
        }
    }
}

async fn load(url: &str, fetch: &Fetch, rules: KeyRules) -> Result<Loaded<Keys>, FetchError> {
    let request = FetchRequest { url: url.to_owned(), accept: "application/json", max_body: MAX_BODY };
    let fetched = fetch_bounded(fetch, request).await?;
    let value = Keys::read(&fetched.body)?;
    let age = fetched.cache_control.as_deref().and_then(max_age).map_or(DEFAULT_FRESH, millis);
    Ok(Loaded { value, fresh_for: age.clamp(rules.fresh_min, rules.fresh_max), until: None })
}

/// For how long a key set is fresh when the answer does not say.
const DEFAULT_FRESH: Millis = Duration::from_secs(300).as_millis() as Millis;
