//! The check of a token, from its bytes to its claims.

use std::fmt;
use std::sync::Arc;

use crate::builder::Builder;
use crate::cached::{Look, Ticket};
use crate::claims::{Claims, Profile};
use crate::clock::{Clock, Millis, millis};
use crate::jose::Unverified;
use crate::jwks::Keys;
use crate::key::sha256;
use crate::key_set::KeySet;
use crate::lists::{Lists, Said};
use crate::refusal::Refusal;
use crate::seen::{Seen, SeenTokens};

/// The longest token that is looked at, in bytes (TK-11).
pub const MAX_TOKEN: usize = 16 * 1024;

/// Fetches that one check may wait for: the key set, the key set again for an unknown key, a list, and one to spare for
/// what runs out in between.
const MAX_FETCHES: usize = 4;

/// What is asked of a token.
pub(crate) struct Policy {
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    /// Seconds.
    pub(crate) leeway: u64,
    pub(crate) profiles: Vec<Profile>,
    pub(crate) status_required: bool,
    pub(crate) accepts_api_keys: bool,
}

/// Checks access tokens. Make one and share it: it is cheap to clone, and clones share keys, lists and memory.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) policy: Policy,
    pub(crate) clock: Clock,
    pub(crate) keys: Arc<KeySet>,
    pub(crate) lists: Option<Lists>,
    pub(crate) seen: SeenTokens,
}

/// Where a check has come to.
enum Step {
    Done(Result<Claims, Refusal>),
    FetchKeys(Ticket),
    FetchList(String),
}

impl Verifier {
    /// Begins a verifier for the service whose key set is at `jwks_url`, such as
    /// `https://auth.example/.well-known/jwks.json`.
    pub fn builder(jwks_url: impl Into<String>) -> Builder {
        Builder::new(jwks_url.into())
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Checks a token: signature, kind, times, issuer, audience and status. Waits only when something must be fetched
    /// first: at the first use, after a long silence, for a key that is not known yet. Needs a tokio runtime with timers.
    ///
    /// # Errors
    /// Why the token is not taken; see [`Refusal::is_unavailable`].
    pub async fn check(&self, token: &str) -> Result<Claims, Refusal> {
        for _ in 0..MAX_FETCHES {
            let now = self.0.now();
            match self.0.step(token, now) {
                Step::Done(result) => return result,
                Step::FetchKeys(ticket) => self.0.keys.fetch(ticket).await,
                Step::FetchList(uri) => self.0.fetch_list(&uri, now).await,
            }
        }
        match self.0.step(token, self.0.now()) {
            Step::Done(result) => result,
            Step::FetchKeys(_) => Err(Refusal::KeysUnavailable),
            Step::FetchList(_) => Err(Refusal::StatusUnavailable),
        }
    }

    /// Checks a token with what is in memory. `None` when something must be fetched first: call [`Self::check`] then.
    ///
    /// Keys and lists are renewed in the background only when this is called within a tokio runtime.
    pub fn check_now(&self, token: &str) -> Option<Result<Claims, Refusal>> {
        match self.0.step(token, self.0.now()) {
            Step::Done(result) => Some(result),
            Step::FetchKeys(_) | Step::FetchList(_) => None,
        }
    }
}

impl Inner {
    fn now(&self) -> Millis {
        millis((self.clock)())
    }

    fn step(&self, token: &str, now: Millis) -> Step {
        if token.len() > MAX_TOKEN {
            return Step::Done(Err(Refusal::TooLong));
        }
        let (look, ticket) = self.keys.look(now);
        let keys = match look {
            Look::Serve { value, .. } => value,
            Look::Fetch => return Step::FetchKeys(ticket),
            Look::Unavailable => return Step::Done(Err(Refusal::KeysUnavailable)),
        };
        match self.signed_claims(token, &keys, now) {
            Ok(claims) => self.with_status(claims, now),
            Err(Refusal::UnknownKey) if self.keys.may_refetch(now) => Step::FetchKeys(ticket),
            Err(Refusal::UnknownKey) if self.keys.is_failing() => Step::Done(Err(Refusal::KeysUnavailable)),
            Err(refusal) => Step::Done(Err(refusal)),
        }
    }

    /// The claims of a token whose signature, claims and times are good, from memory where it was seen before.
    fn signed_claims(&self, token: &str, keys: &Keys, now: Millis) -> Result<Claims, Refusal> {
        let digest = sha256(token.as_bytes());
        if let Some(seen) = self.seen.get(&digest) {
            let same_key = keys.get(&seen.kid).is_some_and(|key| *key.identity() == seen.key);
            if same_key {
                return self.judge_times(seen.claims, now).inspect_err(|_| self.seen.remove(&digest));
            }
            self.seen.remove(&digest);
        }
        let (verified, key) = Unverified::parse(token, MAX_TOKEN)?.verify(keys)?;
        let claims = Claims::read(verified)?;
        self.policy.judge(&claims)?;
        let claims = self.judge_times(claims, now)?;
        self.seen.insert(digest, token.len(), Seen::new(claims.clone(), key));
        Ok(claims)
    }

    fn judge_times(&self, claims: Claims, now: Millis) -> Result<Claims, Refusal> {
        claims.judge_times(now / 1_000, self.policy.leeway).map(|()| claims)
    }

    /// Asks the status list, anew for every check.
    fn with_status(&self, claims: Claims, now: Millis) -> Step {
        let Some(lists) = &self.lists else { return Step::Done(Ok(claims)) };
        let Some(status) = claims.status() else {
            let missing = self.policy.status_required;
            return Step::Done(if missing { Err(Refusal::StatusMissing) } else { Ok(claims) });
        };
        match lists.look(&status.uri, status.index, now) {
            Said::Final(said) => Step::Done(said.map(|()| claims)),
            Said::Fetch => Step::FetchList(status.uri.clone()),
        }
    }

    async fn fetch_list(&self, uri: &str, now: Millis) {
        if let Some(lists) = &self.lists {
            lists.fetch(uri, now).await;
        }
    }
}

impl Policy {
    /// Judges what does not change with time.
    fn judge(&self, claims: &Claims) -> Result<(), Refusal> {
        if !self.profiles.contains(&claims.profile()) {
            return Err(Refusal::Kind);
        }
        if self.issuer.is_some() && self.issuer.as_deref() != claims.issuer() {
            return Err(Refusal::Issuer);
        }
        if claims.api_key().is_some() && !self.accepts_api_keys {
            return Err(Refusal::ApiKey);
        }
        // Who has no name of its own is not among those that are named (RFC 7519 section 4.1.3).
        let addressed = match &self.audience {
            Some(audience) => claims.audience().contains(audience),
            None => claims.audience().is_empty(),
        };
        if addressed { Ok(()) } else { Err(Refusal::Audience) }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}
