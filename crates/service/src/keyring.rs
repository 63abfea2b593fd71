//! The keys in memory: who signs now, whose signature counts, and what is published. Nothing here reads a database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use crypto::jws::{Algorithm, JwsFault, KeyRing, SigningKey, TokenKind, Unverified};
use crypto::seal::SealingKey;
use domain::signing_key::{Life, Purpose, signer};
use domain::time::Timestamp;
use store::signing_key::StoredKey;

/// The shared secret and the keys of our own.
pub(crate) struct Keys {
    shared: KeyRing,
    /// Whether the shared secret signs.
    shared_signs: bool,
    /// Until when its tokens are taken.
    shared_until: Timestamp,
    /// What opens stored keys, the one that seals first; without any there are no keys.
    opening: Vec<SealingKey>,
    ring: ArcSwap<Ring>,
}

/// The keys of our own as the database had them at some moment.
pub(crate) struct Ring {
    /// Names that moment.
    pub(crate) version: Option<String>,
    pub(crate) longest: Longest,
    by_id: HashMap<String, Held>,
    published: Arc<PublishedKeys>,
}

/// A key in memory.
#[derive(Clone)]
struct Held {
    key: Arc<SigningKey>,
    purpose: Purpose,
    life: Life,
}

/// The longest lifetimes that tokens were ever given here.
#[derive(Clone, Copy, Default)]
pub(crate) struct Longest {
    pub(crate) access: Duration,
    pub(crate) refresh: Duration,
}

/// The public keys as they are published (RFC 7517 section 5).
#[derive(Debug)]
pub struct PublishedKeys {
    /// The key set.
    pub json: String,
    /// Names this content: an entity tag with its quotes (RFC 9110 section 8.8.3).
    pub etag: String,
}

/// A token whose signature is right.
pub(crate) struct Opened {
    pub(crate) payload: Vec<u8>,
    pub(crate) by: SignedBy,
}

/// Whose signature it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignedBy {
    /// The shared secret's.
    Shared,
    /// A key's of our own.
    Own {
        /// What the key signs.
        purpose: Purpose,
        /// Whether the header says `at+jwt`.
        is_access_token: bool,
    },
}

impl Keys {
    pub(crate) fn new(
        shared: KeyRing,
        shared_signs: bool,
        shared_until: Timestamp,
        opening: Vec<SealingKey>,
        ring: Ring,
    ) -> Self {
        Self { shared, shared_signs, shared_until, opening, ring: ArcSwap::from_pointee(ring) }
    }

    /// Whether there are keys of our own beside the shared secret.
    pub(crate) fn has_own(&self) -> bool {
        !self.opening.is_empty()
    }

    /// What opens stored keys.
    pub(crate) fn opening(&self) -> &[SealingKey] {
        &self.opening
    }

    /// Whether the shared secret signs.
    pub(crate) fn shared_signs(&self) -> bool {
        self.shared_signs
    }

    /// Checks the signature of a token. The key is found by its id in memory; without one of ours it is the shared secret's or
    /// nobody's (TK-02).
    pub(crate) fn open(&self, token: &str, now: Timestamp) -> Result<Opened, JwsFault> {
        if self.opening.is_empty() {
            let payload = self.shared.verify(token)?;
            return Ok(Opened { payload, by: SignedBy::Shared });
        }
        let parsed = Unverified::parse(token)?;
        let ring = self.ring.load();
        if let Some(held) = parsed.key_id().and_then(|id| ring.by_id.get(id)) {
            if !held.life.checks(now, ring.longest.of(held.purpose)) {
                return Err(JwsFault::Signature);
            }
            let by = SignedBy::Own { purpose: held.purpose, is_access_token: parsed.is_access_token() };
            return Ok(Opened { payload: parsed.payload(&held.key)?, by });
        }
        if parsed.algorithm() != Algorithm::Hs256.name() || now >= self.shared_until {
            return Err(JwsFault::Signature);
        }
        Ok(Opened { payload: self.shared.verify(token)?, by: SignedBy::Shared })
    }

    /// Signs a token of this purpose. `None` when there is no key to sign with.
    pub(crate) fn sign(
        &self,
        purpose: Purpose,
        kind: TokenKind,
        payload: &[u8],
        now: Timestamp,
    ) -> Option<String> {
        if self.shared_signs {
            return Some(self.shared.sign(payload));
        }
        let ring = self.ring.load();
        ring.signer(purpose, now).map(|held| held.key.sign(kind, payload))
    }

    pub(crate) fn ring(&self) -> Arc<Ring> {
        self.ring.load_full()
    }

    pub(crate) fn replace(&self, ring: Ring) {
        self.ring.store(Arc::new(ring));
    }

    pub(crate) fn published(&self) -> Arc<PublishedKeys> {
        Arc::clone(&self.ring.load().published)
    }
}

impl Longest {
    /// That of the tokens of a purpose.
    pub(crate) fn of(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::Access => self.access,
            Purpose::Refresh => self.refresh,
        }
    }
}

impl Ring {
    /// Opens stored keys; those that `before` holds already are taken from there. Answers also the ids of keys that cannot be
    /// opened. What a key is follows from its sealed part alone: whoever can write to the database cannot add a key (KY-03).
    pub(crate) fn build(
        version: Option<String>,
        longest: Longest,
        stored: &[StoredKey],
        opening: &[SealingKey],
        before: Option<&Self>,
    ) -> (Self, Vec<String>) {
        let (mut by_id, mut closed) = (HashMap::new(), Vec::new());
        for row in stored.iter().filter(|row| row.life.dropped_at.is_none()) {
            let known =
                before.and_then(|ring| ring.by_id.get(&row.id)).filter(|held| held.purpose == row.purpose);
            let key = known.map(|held| Arc::clone(&held.key)).or_else(|| open(opening, row).map(Arc::new));
            match key {
                Some(key) => {
                    _ = by_id.insert(row.id.clone(), Held { key, purpose: row.purpose, life: row.life })
                }
                None => closed.push(row.id.clone()),
            }
        }
        let published = Arc::new(publish(&by_id));
        (Self { version, longest, by_id, published }, closed)
    }

    /// Without keys.
    pub(crate) fn empty(longest: Longest) -> Self {
        let by_id = HashMap::new();
        Self { version: None, longest, published: Arc::new(publish(&by_id)), by_id }
    }

    fn signer(&self, purpose: Purpose, now: Timestamp) -> Option<&Held> {
        let of_purpose: Vec<&Held> = self.by_id.values().filter(|held| held.purpose == purpose).collect();
        signer(&of_purpose, |held| held.life, now).copied()
    }
}

/// What a sealed key is bound to: its row.
fn context<'a>(id: &'a str, algorithm: &'a str, purpose: Purpose) -> [&'a str; 3] {
    [id, algorithm, purpose.as_str()]
}

/// Seals a new key for its row.
pub(crate) fn seal(
    sealing: &SealingKey,
    key: &SigningKey,
    secret: &crypto::secret::Secret,
    purpose: Purpose,
) -> Vec<u8> {
    sealing.seal(secret, &context(key.id(), key.algorithm().name(), purpose))
}

/// The same secret sealed under the first of these, if only a later one opens it.
pub(crate) fn resealed(opening: &[SealingKey], row: &StoredKey) -> Option<Vec<u8>> {
    let context = context(&row.id, &row.algorithm, row.purpose);
    let (first, earlier) = opening.split_first()?;
    if first.open(&row.sealed, &context).is_ok() {
        return None;
    }
    let secret = earlier.iter().find_map(|sealing| sealing.open(&row.sealed, &context).ok())?;
    Some(first.seal(&secret, &context))
}

fn open(opening: &[SealingKey], row: &StoredKey) -> Option<SigningKey> {
    let algorithm = Algorithm::of(&row.algorithm)?;
    let context = context(&row.id, &row.algorithm, row.purpose);
    let secret = opening.iter().find_map(|sealing| sealing.open(&row.sealed, &context).ok())?;
    let key = SigningKey::from_secret(algorithm, &secret).ok()?;
    // The public key of an access key is for everybody; that of a refresh key must not exist (TK-03).
    let fits = algorithm.is_public() == (row.purpose == Purpose::Access);
    (key.id() == row.id && fits).then_some(key)
}

fn publish(by_id: &HashMap<String, Held>) -> PublishedKeys {
    let mut keys: Vec<(Timestamp, &str, String)> = by_id
        .iter()
        .filter(|(_, held)| held.purpose == Purpose::Access)
        .filter_map(|(id, held)| Some((held.life.active_from, id.as_str(), held.key.public()?.to_jwk())))
        .collect();
    keys.sort();
    let members: Vec<String> = keys.into_iter().map(|(_, _, jwk)| jwk).collect();
    let json = format!(r#"{{"keys":[{}]}}"#, members.join(","));
    let digest = crypto::keyed::sha256(json.as_bytes());
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    PublishedKeys { json, etag: format!("\"{hex}\"") }
}
