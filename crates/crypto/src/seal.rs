//! Keeping secrets in a database: AES-256-GCM (NIST SP 800-38D) under a key of its own (KY-03).
//!
//! A sealed secret is a version byte, the nonce and the ciphertext with its tag. What it belongs to goes into the
//! authenticated data, so that it cannot be moved to another row.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;

use crate::secret::Secret;

/// Separates this key from the others derived from the same secret.
const DOMAIN: &[u8] = b"bookstore-auth sealing key 1";
/// The form described above.
const VERSION: u8 = 1;

/// What was sealed cannot be opened: by another key, or it was changed or moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was sealed under another key, or changed since")]
pub struct CannotOpen;

/// A key that seals, derived from the key-encryption key by HKDF-SHA-256 (RFC 5869). Never printed.
#[derive(Clone)]
pub struct SealingKey(Arc<LessSafeKey>);

impl SealingKey {
    /// The sealing key of a key-encryption key.
    pub fn derive(key_encryption_key: &Secret) -> Self {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, DOMAIN).extract(key_encryption_key.as_bytes());
        let expanded =
            extracted.expand(&[b"seal"], &AES_256_GCM).expect("32 bytes are far below the limit of HKDF");
        Self(Arc::new(LessSafeKey::new(UnboundKey::from(expanded))))
    }

    #[cfg(test)]
    fn plain(key: &[u8; 32]) -> Self {
        Self(Arc::new(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"))))
    }

    /// Seals a secret with a random nonce, bound to `context`. Few secrets are ever sealed, so nonces do not meet.
    ///
    /// # Panics
    /// For more than 64 GiB.
    pub fn seal(&self, secret: &Secret, context: &[&str]) -> Vec<u8> {
        self.seal_with(crate::random::fill(), secret, context)
    }

    fn seal_with(&self, nonce: [u8; NONCE_LEN], secret: &Secret, context: &[&str]) -> Vec<u8> {
        let mut body = secret.as_bytes().to_vec();
        let aad = Aad::from(bound_to(context));
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body)
            .expect("a secret is far below the limit of AES-GCM");
        [&[VERSION][..], &nonce, &body].concat()
    }

    /// Opens what was sealed for the same `context`.
    ///
    /// # Errors
    /// [`CannotOpen`].
    pub fn open(&self, sealed: &[u8], context: &[&str]) -> Result<Secret, CannotOpen> {
        let Some((&VERSION, rest)) = sealed.split_first() else { return Err(CannotOpen) };
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(CannotOpen)?;
        let mut body = zeroize::Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place(nonce, Aad::from(bound_to(context)), &mut body);
        Ok(Secret::new(opened.map_err(|_| CannotOpen)?.to_vec()))
    }
}

/// The authenticated data: version and parts, each with its length before it, so that no two lists read the same.
fn bound_to(context: &[&str]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for part in context {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

/// The AES-256-GCM of the GCM specification's test case 14: for the self test.
pub(crate) fn known_answer() -> bool {
    const EXPECTED: [u8; 32] = [
        0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18, 0xd0,
        0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19,
    ];
    let Ok(key) = UnboundKey::new(&AES_256_GCM, &[0; 32]) else { return false };
    let key = LessSafeKey::new(key);
    let nonce = || Nonce::assume_unique_for_key([0; NONCE_LEN]);
    let mut sealed = vec![0; 16];
    let done = key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed).is_ok();
    let mut changed = EXPECTED;
    changed[31] ^= 1;
    done && sealed == EXPECTED && key.open_in_place(nonce(), Aad::empty(), &mut changed).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: [&str; 3] = ["kid", "EdDSA", "access"];

    fn secret() -> Secret {
        Secret::from("the private part of a key".to_owned())
    }

    // KY-03
    #[test]
    fn what_is_sealed_opens_only_unchanged_in_its_place_and_under_its_key() {
        let key = SealingKey::derive(&Secret::from("key-encryption key".to_owned()));
        let sealed = key.seal(&secret(), &CONTEXT);
        assert_eq!(key.open(&sealed, &CONTEXT), Ok(secret()));
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert_eq!(key.open(&changed, &CONTEXT), Err(CannotOpen), "{at} {bit}");
            }
            assert_eq!(key.open(&sealed[..at], &CONTEXT), Err(CannotOpen), "{at}");
        }
        for context in [
            ["kid", "EdDSA", "refresh"],
            ["kie", "EdDSA", "access"],
            ["kid", "ES256", "access"],
            ["ki", "dEdDSA", "access"],
        ] {
            assert_eq!(key.open(&sealed, &context), Err(CannotOpen), "{context:?}");
        }
        let other = SealingKey::derive(&Secret::from("key-encryption kez".to_owned()));
        assert_eq!(other.open(&sealed, &CONTEXT), Err(CannotOpen));
    }

    // KY-03: a fresh nonce each time.
    #[test]
    fn the_same_secret_never_looks_the_same() {
        let key = SealingKey::plain(&[7; 32]);
        assert_ne!(key.seal(&secret(), &CONTEXT), key.seal(&secret(), &CONTEXT));
        let plain = secret();
        let text = key.seal(&plain, &CONTEXT);
        assert!(!text.windows(8).any(|part| plain.as_bytes().windows(8).any(|clear| clear == part)));
    }

    #[test]
    fn a_stored_secret_opens_with_later_builds() {
        // Made by Python's `cryptography` from the description above.
        let key = SealingKey::derive(&Secret::from("key-encryption key".to_owned()));
        assert_eq!(key.open(&STORED, &CONTEXT), Ok(secret()));
    }

    const STORED: [u8; 54] = [
        0x01, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x09, 0x3d, 0xdd, 0x27,
        0x26, 0x9b, 0xd6, 0xcd, 0xfb, 0xa9, 0x0e, 0xea, 0x19, 0x2a, 0x91, 0xa5, 0x10, 0xf3, 0x05, 0x95, 0xfd,
        0xc7, 0x68, 0x6f, 0x2a, 0xf1, 0xf2, 0x38, 0x1a, 0x9f, 0x7a, 0xe8, 0xc3, 0x64, 0x88, 0x9b, 0x64, 0x69,
        0x62, 0x65, 0xb6,
    ];
}
