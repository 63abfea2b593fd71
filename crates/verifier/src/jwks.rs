//! A key set (RFC 7517 section 5), as the service publishes it under `/.well-known/jwks.json`.

use std::collections::HashMap;

use serde_json::Value;

use crate::json;
use crate::key::Key;

/// The most keys that are read; a service in the middle of a rotation has three.
pub(crate) const MAX_KEYS: usize = 32;

/// The keys that tokens are checked with, by their id.
#[derive(Debug, Default)]
pub(crate) struct Keys(HashMap<String, Key>);

impl Keys {
    /// Reads a key set. Keys that we would not use are left out (RFC 7517 section 5), so the set may be empty.
    ///
    /// # Errors
    /// What is wrong, when it is no key set, has too many keys, or the same id twice.
    pub(crate) fn read(text: &[u8]) -> Result<Self, &'static str> {
        let object = json::object(text).ok_or("the key set is not a JSON object")?;
        let Some(Value::Array(list)) = object.get("keys") else {
            return Err("the key set has no list of keys");
        };
        if list.len() > MAX_KEYS {
            return Err("the key set has too many keys");
        }
        let mut keys = HashMap::new();
        let mut ids: Vec<&str> = Vec::new();
        for jwk in list {
            let Value::Object(jwk) = jwk else { return Err("a key is not a JSON object") };
            let Some(kid) = jwk.get("kid").and_then(Value::as_str) else { continue };
            if ids.contains(&kid) {
                return Err("the key set has an id twice");
            }
            ids.push(kid);
            if let Some(key) = Key::read(jwk) {
                keys.insert(key.kid().to_owned(), key);
            }
        }
        Ok(Self(keys))
    }

    /// The key of this id.
    pub(crate) fn get(&self, kid: &str) -> Option<&Key> {
        self.0.get(kid)
    }

    /// A set of one key.
    #[cfg(test)]
    pub(crate) fn only(key: Key) -> Self {
        Self(HashMap::from([(key.kid().to_owned(), key)]))
    }
}
