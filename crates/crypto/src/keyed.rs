//! Digests: keyed ones for index columns and choices that outsiders must not predict, plain SHA-256, and comparison
//! in constant time.

use std::fmt;

use aws_lc_rs::{constant_time, digest, hkdf, hmac};

/// Separates our derived keys from those of any other program that uses the same secret.
const DOMAIN: &[u8] = b"bookstore-auth derived key 1";

/// A key for HMAC-SHA-256, derived from the secret by HKDF (RFC 5869) and a label.
///
/// Keys of different labels are independent, and none says anything about the secret, so a digest may be stored.
#[derive(Clone)]
pub struct IndexKey(hmac::Key);

impl IndexKey {
    /// The key of `secret` for the purpose `label`. The same arguments always give the same key.
    pub fn derive(secret: &[u8], label: &str) -> Self {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, DOMAIN).extract(secret);
        let info = [label.as_bytes()];
        let expanded =
            extracted.expand(&info, hmac::HMAC_SHA256).expect("32 bytes are far below the limit of HKDF");
        Self(expanded.into())
    }

    /// A key of its own for another purpose, which says nothing about this one (NIST SP 800-108r1, HMAC as the function).
    #[must_use]
    pub fn child(&self, label: &str) -> Self {
        let derived = self.digest(&[DOMAIN, b" child ", label.as_bytes()].concat());
        Self(hmac::Key::new(hmac::HMAC_SHA256, &derived))
    }

    /// The HMAC-SHA-256 of `data`.
    pub fn digest(&self, data: &[u8]) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(hmac::sign(&self.0, data).as_ref());
        out
    }

    /// The first eight bytes of the digest as a number: for picking one of a few, or a slot of a table.
    pub fn number(&self, data: &[u8]) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.digest(data);
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexKey(..)")
    }
}

/// SHA-256 (FIPS 180-4) of `data`. Only for what is not a password.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    out
}

/// Whether `a` and `b` are equal, in a time that depends on their lengths alone.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}
