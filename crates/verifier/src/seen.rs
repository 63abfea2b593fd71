//! Tokens that were checked before: the same bytes need no second signature check while their key is still in the set.
//!
//! Only tokens with a good signature and good claims get in, so nobody without a token can fill the memory. The name of
//! an entry is the SHA-256 of the token: nobody can make two tokens share one. An entry says which key checked the
//! token; the caller compares it with the set of now, and judges the times and the status anew.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::claims::Claims;
use crate::key::{Identity, Key};

/// SHA-256 of a token.
pub(crate) type Digest = [u8; 32];

/// Locks, so that cores do not wait for each other.
const SHARDS: usize = 16;
/// Memory that an entry takes beside what its token makes necessary, in bytes: an estimate.
const ENTRY: usize = 1_024;

/// A token that was found good.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) claims: Claims,
    pub(crate) kid: String,
    pub(crate) key: Identity,
}

impl Seen {
    pub(crate) fn new(claims: Claims, key: &Key) -> Self {
        Self { claims, kid: key.kid().to_owned(), key: *key.identity() }
    }
}

/// A memory of bounded count and size. What has not been asked for the longest is forgotten first, by halves.
pub(crate) struct SeenTokens {
    shards: Vec<Mutex<Shard>>,
    /// Bounds of one half of one shard.
    max_entries: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct Shard {
    young: Half,
    old: Half,
}

#[derive(Default)]
struct Half {
    entries: HashMap<Digest, (Seen, usize)>,
    bytes: usize,
}

impl SeenTokens {
    /// Room for about `entries` tokens in about `bytes` of memory; none when either is zero.
    pub(crate) fn new(entries: usize, bytes: usize) -> Self {
        let shards = if entries >= SHARDS * 64 { SHARDS } else { 1 };
        let divisor = shards * 2;
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            max_entries: entries / divisor,
            max_bytes: bytes / divisor,
        }
    }

    /// What is remembered of a token.
    pub(crate) fn get(&self, token: &Digest) -> Option<Seen> {
        let mut shard = self.shard(token).lock();
        if let Some((seen, _)) = shard.young.entries.get(token) {
            return Some(seen.clone());
        }
        let (seen, bytes) = shard.old.remove(token)?;
        let found = seen.clone();
        self.put(&mut shard, *token, seen, bytes);
        Some(found)
    }

    /// Remembers a token of this length.
    pub(crate) fn insert(&self, token: Digest, length: usize, seen: Seen) {
        // The claims are kept read as well as in their text.
        let bytes = ENTRY + 4 * length;
        if self.max_entries > 0 && bytes <= self.max_bytes {
            let mut shard = self.shard(&token).lock();
            shard.old.remove(&token);
            self.put(&mut shard, token, seen, bytes);
        }
    }

    /// Forgets a token.
    pub(crate) fn remove(&self, token: &Digest) {
        let mut shard = self.shard(token).lock();
        shard.young.remove(token);
        shard.old.remove(token);
    }

    fn put(&self, shard: &mut Shard, token: Digest, seen: Seen, bytes: usize) {
        let full =
            shard.young.entries.len() >= self.max_entries || shard.young.bytes + bytes > self.max_bytes;
        if full {
            shard.old = std::mem::take(&mut shard.young);
        }
        if let Some((_, replaced)) = shard.young.entries.insert(token, (seen, bytes)) {
            shard.young.bytes -= replaced;
        }
        shard.young.bytes += bytes;
    }

    fn shard(&self, token: &Digest) -> &Mutex<Shard> {
        &self.shards[usize::from(token[0]) % self.shards.len()]
    }

    /// Entries and estimated bytes.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        let halves = |shard: &Shard| {
            (shard.young.entries.len() + shard.old.entries.len(), shard.young.bytes + shard.old.bytes)
        };
        let sizes = self.shards.iter().map(|shard| halves(&shard.lock()));
        sizes.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}

impl Half {
    fn remove(&mut self, token: &Digest) -> Option<(Seen, usize)> {
        let removed = self.entries.remove(token)?;
        self.bytes -= removed.1;
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, Seen, SeenTokens};
    use crate::claims::Claims;
    use crate::jose::Verified;
    use crate::key::sha256;

    fn seen() -> Seen {
        let payload = serde_json::json!({
            "token_type": "access", "exp": 2, "iat": 1, "jti": "j", "user_id": 1, "sid": "0".repeat(32),
        });
        let serde_json::Value::Object(payload) = payload else { unreachable!("an object was written") };
        let claims = Claims::read(Verified { typ: Some("JWT".into()), payload }).expect("good claims");
        Seen { claims, kid: "k".into(), key: [0; 32] }
    }

    fn digest(number: usize) -> Digest {
        sha256(&number.to_le_bytes())
    }

    #[test]
    fn count_and_size_are_bounded_and_the_latest_are_kept() {
        for (entries, bytes, length) in [
            (100, usize::MAX, 500),
            (4_096, usize::MAX, 500),
            (usize::MAX, 1 << 20, 500),
            (4_096, 1 << 20, 4_000),
        ] {
            let tokens = SeenTokens::new(entries, bytes);
            let one = seen();
            for number in 0..10_000 {
                tokens.insert(digest(number), length, one.clone());
                assert!(tokens.get(&digest(number)).is_some());
                assert!(tokens.get(&digest(number)).is_some(), "a second time");
            }
            let (count, size) = tokens.size();
            assert!(count <= entries && size <= bytes, "{count} of {entries}, {size} of {bytes}");
            assert!(count > 0);
            assert!(tokens.get(&digest(0)).is_none());
        }
    }

    #[test]
    fn what_is_asked_for_stays_and_what_is_removed_is_gone() {
        let tokens = SeenTokens::new(100, 1 << 20);
        let one = seen();
        for number in 0..1_000 {
            tokens.insert(digest(number), 500, one.clone());
            assert!(tokens.get(&digest(0)).is_some(), "{number}");
        }
        tokens.insert(digest(0), 500, one);
        tokens.remove(&digest(0));
        assert!(tokens.get(&digest(0)).is_none());
        for number in 0..1_000 {
            tokens.remove(&digest(number));
        }
        assert_eq!(tokens.size(), (0, 0));
    }

    #[test]
    fn no_room_means_no_memory() {
        for tokens in [SeenTokens::new(0, 1 << 20), SeenTokens::new(100, 0)] {
            tokens.insert(digest(1), 500, seen());
            assert!(tokens.get(&digest(1)).is_none());
        }
    }
}
