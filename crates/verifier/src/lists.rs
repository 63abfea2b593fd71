//! The status lists that are kept, by their address.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use crate::cached::{Cached, Loaded, Look, Rules};
use crate::clock::{Clock, Millis, millis};
use crate::fetch::{FetchError, FetchRequest, fetch_bounded};
use crate::jwks::Keys;
use crate::key_set::{KeySet, Source};
use crate::refusal::Refusal;
use crate::status_list::{ListFault, MAX_LIST_TOKEN, StatusList, VALID};

/// The most lists that are kept; the service has one for about a million sessions. Only signed tokens name lists.
const MAX_LISTS: usize = 64;
/// The longest address, in bytes.
const MAX_URI: usize = 512;
/// The shortest time for which a list is fresh, whatever its `ttl`.
const MIN_FRESH: Millis = 1_000;

/// For how long lists hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListRules {
    pub(crate) fresh_max: Millis,
    /// Seconds.
    pub(crate) leeway: u64,
    pub(crate) rules: Rules,
}

pub(crate) struct Lists {
    prefix: String,
    source: Source,
    keys: Arc<KeySet>,
    rules: ListRules,
    lists: RwLock<HashMap<String, Arc<Cached<StatusList>>>>,
}

/// What a list says of a token.
pub(crate) enum Said {
    /// The last word.
    Final(Result<(), Refusal>),
    /// Fetch the list first.
    Fetch,
}

impl Lists {
    pub(crate) fn new(prefix: String, source: Source, keys: Arc<KeySet>, rules: ListRules) -> Self {
        Self { prefix, source, keys, rules, lists: RwLock::default() }
    }

    /// What the list at `uri` says of entry `index`; renews the list in the background when that is due.
    pub(crate) fn look(&self, uri: &str, index: u64, now: Millis) -> Said {
        if !is_below(uri, &self.prefix) {
            return Said::Final(Err(Refusal::StatusPlace));
        }
        let known = self.lists.read().get(uri).cloned();
        let Some(list) = known else { return Said::Fetch };
        let (look, ticket) = list.look(now);
        match look {
            Look::Fetch => Said::Fetch,
            Look::Unavailable => Said::Final(Err(Refusal::StatusUnavailable)),
            Look::Serve { value, renew } => {
                if renew {
                    list.fetch_in_background(
                        ticket,
                        &self.source.clock,
                        self.load(uri, Some(Arc::clone(&value))),
                    );
                }
                Said::Final(judge(&value, index))
            }
        }
    }

    /// Fetches the list at `uri`, which [`Self::look`] has allowed.
    pub(crate) async fn fetch(&self, uri: &str, now: Millis) {
        let list = self.entry(uri);
        let (look, ticket) = list.look(now);
        if let Look::Fetch = look {
            list.fetch(ticket, &self.source.clock, self.load(uri, list.usable(now))).await;
        }
    }

    /// The place of a list, made where there is none; the one that was fetched longest ago makes room.
    fn entry(&self, uri: &str) -> Arc<Cached<StatusList>> {
        let mut lists = self.lists.write();
        if let Some(list) = lists.get(uri) {
            return Arc::clone(list);
        }
        if lists.len() >= MAX_LISTS {
            let oldest = lists.iter().min_by_key(|(_, list)| list.last().0).map(|(uri, _)| uri.clone());
            oldest.map(|uri| lists.remove(&uri));
        }
        let list = Cached::new(self.rules.rules);
        lists.insert(uri.to_owned(), Arc::clone(&list));
        list
    }

    fn load(
        &self,
        uri: &str,
        held: Option<Arc<StatusList>>,
    ) -> impl Future<Output = Option<Loaded<StatusList>>> + Send + use<> {
        let (uri, source, keys, rules) =
            (uri.to_owned(), self.source.clone(), Arc::clone(&self.keys), self.rules);
        async move {
            // A replayed list must not bring back a token; one that we may no longer use cannot say what is newer.
            let newest = held.map_or(0, |held| held.issued_at);
            let loaded = load(&uri, &source, &keys, rules, newest).await;
            loaded.map_err(|error| (source.on_error)(&uri, &error)).ok()
        }
    }
}

fn judge(list: &StatusList, index: u64) -> Result<(), Refusal> {
    match list.entries.get(index) {
        Some(VALID) => Ok(()),
        Some(_) => Err(Refusal::Revoked),
        None => Err(Refusal::StatusIndex),
    }
}

/// Whether an address lies below the configured place and nowhere else, whatever an HTTP client makes of it (SSRF).
fn is_below(uri: &str, prefix: &str) -> bool {
    let Some(rest) = uri.strip_prefix(prefix) else { return false };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/');
    uri.len() <= MAX_URI
        && !rest.is_empty()
        && rest.bytes().all(plain)
        && !rest.split('/').any(|part| part.is_empty() || part == "." || part == "..")
}

async fn load(
    uri: &str,
    source: &Source,
    keys: &KeySet,
    rules: ListRules,
    newest: u64,
) -> Result<Loaded<StatusList>, FetchError> {
    let request =
        FetchRequest { url: uri.to_owned(), accept: "application/statuslist+jwt", max_body: MAX_LIST_TOKEN };
    let fetched = fetch_bounded(&source.fetch, request).await?;
    let token = std::str::from_utf8(&fetched.body)?.trim_ascii_end();
    let list = verify(token, uri, &source.clock, keys, rules.leeway).await?;
    if list.issued_at < newest {
        return Err("the status list is older than the one we have".into());
    }
    let ttl = list.ttl.map_or(rules.fresh_max, |ttl| millis(Duration::from_secs(ttl)));
    let fresh_for = ttl.clamp(MIN_FRESH, rules.fresh_max);
    let until = list.expires_at.map(|end| millis(Duration::from_secs(end)));
    Ok(Loaded { value: list, fresh_for, until })
}

/// Checks a list with the key set; a key that is not there may cause one fetch of the set.
async fn verify(
    token: &str,
    uri: &str,
    clock: &Clock,
    keys: &KeySet,
    leeway: u64,
) -> Result<StatusList, FetchError> {
    let mut last: FetchError = "the key set cannot be had".into();
    for _ in 0..2 {
        let now = millis(clock());
        let (look, ticket) = keys.look(now);
        if let Look::Serve { value, .. } = look {
            last = match read(token, uri, &value, now, leeway) {
                Err(ListFault::Token(Refusal::UnknownKey)) if keys.may_refetch(now) => {
                    ListFault::Token(Refusal::UnknownKey).into()
                }
                other => return Ok(other?),
            };
        } else if let Look::Unavailable = look {
            break;
        }
        keys.fetch(ticket).await;
    }
    Err(last)
}

fn read(token: &str, uri: &str, keys: &Keys, now: Millis, leeway: u64) -> Result<StatusList, ListFault> {
    StatusList::read(token, uri, keys, now / 1_000, leeway)
}

#[cfg(test)]
mod tests {
    use super::is_below;

    // SE-10
    #[test]
    fn only_plain_addresses_below_the_configured_place_are_fetched() {
        let prefix = "https://auth.example/status-lists/";
        assert!(is_below("https://auth.example/status-lists/1", prefix));
        assert!(is_below("https://auth.example/status-lists/a/b-2.jwt", prefix));
        for uri in [
            "",
            "https://auth.example/status-lists",
            "https://auth.example/status-lists/",
            "https://auth.example.evil/status-lists/1",
            "https://auth.example@evil/status-lists/1",
            "http://auth.example/status-lists/1",
            "HTTPS://auth.example/status-lists/1",
            "https://auth.example/status-lists/../admin",
            "https://auth.example/status-lists/./1",
            "https://auth.example/status-lists//evil/1",
            "https://auth.example/status-lists/%2e%2e/admin",
            "https://auth.example/status-lists/1?x=1",
            "https://auth.example/status-lists/1#x",
            "https://auth.example/status-lists/\\evil",
            "https://auth.example/status-lists/1\r\nHost: evil",
            "https://auth.example/status-lists/é",
            " https://auth.example/status-lists/1",
        ] {
            assert!(!is_below(uri, prefix), "{uri}");
        }
        assert!(!is_below(&format!("{prefix}{}", "a".repeat(600)), prefix));
    }
}
