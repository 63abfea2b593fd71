//! API keys: what a service holds instead of a password. A key is exchanged for short-lived tokens and is sent nowhere else.

use std::collections::BTreeSet;
use std::fmt;

use crate::admin::is_permission_name;
use crate::group::Permissions;
use crate::time::Timestamp;
use crate::user::UserId;

/// What every key begins with, so that people and scanners of leaked secrets recognise one.
const PREFIX: &str = "bsa_";
/// Digits of the id in hexadecimal.
const ID: usize = 16;
/// Digits of the secret: 256 bits.
const SECRET: usize = 64;

/// Names a key: 64 random bits as 16 lower-case hex digits. Not a secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ApiKeyId(String);

impl ApiKeyId {
    /// A new id.
    #[must_use]
    pub fn new(random: [u8; 8]) -> Self {
        Self(hex(&random))
    }

    /// Reads the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_hex(text, ID).then(|| Self(text.to_owned()))
    }

    /// From the database.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The whole key, as its holder has it: `bsa_<id>_<secret>`.
#[must_use]
pub fn text(id: &ApiKeyId, secret: [u8; 32]) -> String {
    format!("{PREFIX}{id}_{}", hex(&secret))
}

/// The id in a key. The secret is not looked at here; what is compared is a digest of the whole text.
#[must_use]
pub fn id_of(text: &str) -> Option<ApiKeyId> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    is_hex(secret, SECRET).then(|| ApiKeyId::parse(id)).flatten()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Permissions that a key or a token is limited to; in a token a list with spaces (RFC 6749 section 3.3).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scope(BTreeSet<String>);

/// A scope has at most so many permissions, so that tokens stay within a header.
const MAX_SCOPE: usize = 50;

impl Scope {
    /// Reads permissions between single spaces; none is a scope of nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let names: BTreeSet<String> = text.split(' ').map(str::to_owned).collect();
        let good = names.len() <= MAX_SCOPE && names.iter().all(|name| is_permission_name(name));
        good.then_some(Self(names))
    }

    /// The permissions, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether all of this is in `other`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// What of this somebody has who has these permissions: a key never says more than its owner may.
    #[must_use]
    pub fn held_by(&self, permissions: &Permissions) -> Self {
        Self(self.0.iter().filter(|name| permissions.allows(name)).cloned().collect())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, name) in self.names().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name in tokens (`client_id`) and lists.
    pub id: ApiKeyId,
    /// The account that it acts for.
    pub user: UserId,
    /// What people call it.
    pub name: String,
    /// What it is limited to.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it gives nothing.
    pub expires_at: Timestamp,
    /// When it was last exchanged, to the hour.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it gives tokens; the account must be enabled, too.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_says_what_it_is_and_which() {
        let id = ApiKeyId::new([0xab; 8]);
        let key = text(&id, [0xcd; 32]);
        assert!(key.starts_with("bsa_abababababababab_cdcd") && key.len() == 85, "{key}");
        assert_eq!(id_of(&key), Some(id));
        for bad in ["", "bsa_", "bsa_x_y", &key[1..], &key[..84], &key.to_uppercase(), &format!("{key} ")] {
            assert_eq!(id_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_scope_is_a_list_of_permissions() {
        assert_eq!(Scope::parse("shop.b shop.a shop.b").unwrap().to_string(), "shop.a shop.b");
        assert_eq!(Scope::parse("").unwrap(), Scope::default());
        for bad in [" ", "shop", "shop.a  shop.b", " shop.a", "shop.a\tshop.b", "shop.\"a\""] {
            assert_eq!(Scope::parse(bad), None, "{bad:?}");
        }
        let many: Vec<String> = (0..51).map(|n| format!("shop.p{n}")).collect();
        assert!(Scope::parse(&many.join(" ")).is_none() && Scope::parse(&many[..50].join(" ")).is_some());
    }

    proptest! {
        // AD-07
        #[test]
        fn a_scope_is_never_more_than_its_owner_may(
            own in proptest::collection::vec("[ab]\\.[cd]", 0..4),
            key in proptest::collection::vec("[ab]\\.[cd]", 0..4),
        ) {
            let key = Scope::parse(&key.join(" ")).unwrap();
            let held = key.held_by(&Permissions::named(own.clone()));
            prop_assert!(held.is_within(&key) && held.names().all(|name| own.iter().any(|one| one == name)));
        }
    }
}
