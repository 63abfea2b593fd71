//! How a verifier is set up.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::cached::Rules;
use crate::claims::Profile;
use crate::clock::{Clock, millis, system_clock};
use crate::fetch::{Fetch, FetchError, FetchFuture, FetchRequest};
use crate::key_set::{KeyRules, KeySet, OnFetchError, Source};
use crate::limits::Limits;
use crate::lists::{ListRules, Lists};
use crate::seen::SeenTokens;
use crate::verifier::{Inner, Policy, Verifier};

/// The most that clocks may be thought to differ (TK-06).
const MAX_LEEWAY: Duration = Duration::from_secs(60);

/// What is wrong with a configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The address of the key set is not `http://` or `https://`.
    #[error("the address of the key set is not an http:// or https:// address")]
    KeySetAddress,
    /// The place of the status lists is not such an address, or does not end in `/`.
    #[error("the place of the status lists is not an http:// or https:// address that ends in a slash")]
    StatusPlace,
    /// The leeway is above 60 s.
    #[error("the leeway is above 60 seconds")]
    Leeway,
    /// No profile is accepted.
    #[error("no profile is accepted")]
    NoProfile,
    /// RFC 9068 (section 4) needs an issuer and an audience.
    #[error("tokens of RFC 9068 need an issuer and an audience to compare with")]
    Rfc9068,
    /// The limits contradict each other.
    #[error("a limit is zero, or something would be fresh for longer than it may be used")]
    Limits,
    /// A status is required and at the same time ignored.
    #[error("a status is both required and ignored")]
    Status,
    /// No fetch function: without the feature `fetch` one must be given.
    #[error("there is no fetch function")]
    NoFetch,
    /// TLS cannot be set up: there are no usable root certificates.
    #[error("TLS cannot be set up")]
    Tls(#[source] FetchError),
}

/// Where status lists may lie.
enum StatusPlace {
    /// `/status-lists/` at the origin of the key set.
    BesideKeys,
    Below(String),
    Ignored,
}

/// A verifier in the making. See [`Verifier::builder`].
pub struct Builder {
    jwks_url: String,
    issuer: Option<String>,
    audience: Option<String>,
    leeway: Duration,
    profiles: Vec<Profile>,
    status_place: StatusPlace,
    status_required: bool,
    accepts_api_keys: bool,
    limits: Limits,
    fetch: Option<Fetch>,
    clock: Clock,
    on_error: OnFetchError,
}

impl Builder {
    pub(crate) fn new(jwks_url: String) -> Self {
        Self {
            jwks_url,
            issuer: None,
            audience: None,
            leeway: Duration::ZERO,
            profiles: vec![Profile::SimpleJwt],
            status_place: StatusPlace::BesideKeys,
            status_required: false,
            accepts_api_keys: false,
            limits: Limits::default(),
            fetch: None,
            clock: system_clock(),
            on_error: Arc::new(|_, _| {}),
        }
    }

    /// `iss` must be exactly this. Default: `iss` is not looked at.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// `aud` must be exactly this or hold it. Default: tokens with an audience are refused (RFC 7519 section 4.1.3).
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// By how much the clocks of the service and of this machine may differ: at most 60 s, and whole seconds. Default: 0.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// The accepted forms of tokens. Default: [`Profile::SimpleJwt`] only.
    #[must_use]
    pub fn profiles(mut self, profiles: &[Profile]) -> Self {
        self.profiles = profiles.to_vec();
        self
    }

    /// Where status lists lie: their addresses begin with `prefix`, which ends in `/`, and no other is ever fetched.
    /// Default: `/status-lists/` at the origin of the key set.
    #[must_use]
    pub fn status_lists(mut self, prefix: impl Into<String>) -> Self {
        self.status_place = StatusPlace::Below(prefix.into());
        self
    }

    /// Asks no status list: a token is then good until it expires, whatever became of its session.
    #[must_use]
    pub fn ignore_status(mut self) -> Self {
        self.status_place = StatusPlace::Ignored;
        self
    }

    /// Whether a token without the claim `status` is refused. Default: no.
    #[must_use]
    pub fn require_status(mut self, required: bool) -> Self {
        self.status_required = required;
        self
    }

    /// Takes tokens that were given for an API key, too. They name the account of the key as its own login would, and are limited to
    /// a scope: whoever takes them asks [`Claims::allows`](crate::Claims::allows) for every permission. Default: they are refused.
    #[must_use]
    pub fn accept_api_keys(mut self) -> Self {
        self.accepts_api_keys = true;
        self
    }

    /// How long things are kept, and how much.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Fetches with this function instead of the HTTP client of the feature `fetch`.
    #[must_use]
    pub fn fetch(mut self, fetch: impl Fn(FetchRequest) -> FetchFuture + Send + Sync + 'static) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Takes the time (since 1970-01-01 UTC) from this function instead of the system's clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Calls this with the address and the reason whenever a fetch fails: log it there.
    #[must_use]
    pub fn on_fetch_error(mut self, tell: impl Fn(&str, &FetchError) + Send + Sync + 'static) -> Self {
        self.on_error = Arc::new(tell);
        self
    }

    /// Makes the verifier. Nothing is fetched yet.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn build(self) -> Result<Verifier, BuildError> {
        let prefix = self.checked_prefix()?;
        self.check_policy()?;
        let Limits { retry, refetch_gap, keys_stale_max, status_stale_max, .. } = self.limits;
        let fetch = choose_fetch(self.fetch, &self.jwks_url, prefix.as_deref())?;
        let source = Source { fetch, clock: Arc::clone(&self.clock), on_error: self.on_error };
        let key_rules = KeyRules {
            fresh_min: millis(self.limits.keys_fresh_min),
            fresh_max: millis(self.limits.keys_fresh_max),
            refetch_gap: millis(refetch_gap),
            rules: Rules { retry: millis(retry), max_stale: millis(keys_stale_max) },
        };
        let list_rules = ListRules {
            fresh_max: millis(self.limits.status_fresh_max),
            leeway: self.leeway.as_secs(),
            rules: Rules { retry: millis(retry), max_stale: millis(status_stale_max) },
        };
        let keys = Arc::new(KeySet::new(self.jwks_url, source.clone(), key_rules));
        let policy = Policy {
            issuer: self.issuer,
            audience: self.audience,
            leeway: self.leeway.as_secs(),
            profiles: self.profiles,
            status_required: self.status_required,
            accepts_api_keys: self.accepts_api_keys,
        };
        Ok(Verifier::new(Inner {
            policy,
            clock: self.clock,
            lists: prefix.map(|prefix| Lists::new(prefix, source, Arc::clone(&keys), list_rules)),
            keys,
            seen: SeenTokens::new(self.limits.seen_tokens, self.limits.seen_bytes),
        }))
    }

    fn check_policy(&self) -> Result<(), BuildError> {
        if self.leeway > MAX_LEEWAY {
            return Err(BuildError::Leeway);
        }
        if self.profiles.is_empty() {
            return Err(BuildError::NoProfile);
        }
        let named = self.issuer.is_some() && self.audience.is_some();
        if self.profiles.contains(&Profile::Rfc9068) && !named {
            return Err(BuildError::Rfc9068);
        }
        if self.limits.are_sound() { Ok(()) } else { Err(BuildError::Limits) }
    }

    /// The place of status lists; none when they are ignored.
    fn checked_prefix(&self) -> Result<Option<String>, BuildError> {
        let origin = origin(&self.jwks_url).ok_or(BuildError::KeySetAddress)?;
        match &self.status_place {
            StatusPlace::Ignored if self.status_required => Err(BuildError::Status),
            StatusPlace::Ignored => Ok(None),
            StatusPlace::BesideKeys => Ok(Some(format!("{origin}/status-lists/"))),
            StatusPlace::Below(prefix) if origin_of_place(prefix) => Ok(Some(prefix.clone())),
            StatusPlace::Below(_) => Err(BuildError::StatusPlace),
        }
    }
}

fn origin_of_place(prefix: &str) -> bool {
    prefix.ends_with('/') && origin(prefix).is_some_and(|origin| prefix.len() > origin.len())
}

/// `https://host:port` of an address with a path.
fn origin(url: &str) -> Option<&str> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let length = host.find('/').filter(|length| *length > 0)?;
    let plain = host.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'@' | b'#' | b'\\'));
    plain.then(|| &url[..url.len() - host.len() + length])
}

#[cfg(feature = "fetch")]
fn choose_fetch(given: Option<Fetch>, jwks_url: &str, prefix: Option<&str>) -> Result<Fetch, BuildError> {
    let with_tls = [Some(jwks_url), prefix].iter().flatten().any(|url| url.starts_with("https://"));
    match given {
        Some(fetch) => Ok(fetch),
        None => crate::fetch::client::http_fetch(with_tls).map_err(BuildError::Tls),
    }
}

#[cfg(not(feature = "fetch"))]
fn choose_fetch(given: Option<Fetch>, _: &str, _: Option<&str>) -> Result<Fetch, BuildError> {
    given.ok_or(BuildError::NoFetch)
}
