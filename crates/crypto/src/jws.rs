//! Compact JWS (RFC 7515) with a fixed set of keys: the token check of the product.
//!
//! [`KeyRing`] is the shared secret (HS256, no key ids). [`SigningKey`] is a key of our own, for EdDSA, ES256, RS256 or
//! HS256; a token for it is taken apart by [`Unverified`], the caller finds the key by its id in memory, and the key checks.
//!
//! A key has one algorithm, and the header must name exactly that (RFC 8725 section 3.1); nothing in a token ever
//! supplies a key. The parser takes one spelling of a token only (TK-11), the signature is compared in constant time,
//! and the payload is not looked at before the signature is known to be right. Keys are prepared once. A check costs
//! one HMAC per key and one allocation: the payload it returns.
//!
//! The module `header` says which headers are taken. Our own header is recognised by comparing its encoded bytes.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

mod header;
mod key;
mod public;
mod unverified;

pub use key::{Algorithm, KeyFault, SigningKey, TokenKind, generate};
pub use public::{PublicKey, thumbprint};
pub use unverified::Unverified;

/// Longest token that is looked at, in bytes (TK-11).
pub const MAX_TOKEN: usize = 16 * 1024;

/// `{"alg":"HS256","typ":"JWT"}` in base64url: the header that we mint, as SimpleJWT (PyJWT) does.
const HS256_HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// Length of an HMAC-SHA-256 tag.
const TAG: usize = 32;
/// Length of such a tag in unpadded base64url.
const ENCODED_TAG: usize = 43;

/// Why a token is refused. For logs and tests: callers answer all of them alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsFault {
    /// Longer than [`MAX_TOKEN`] bytes.
    #[error("the token is too long")]
    TooLong,
    /// Not three segments of unpadded, canonical base64url.
    #[error("the token is not three segments of canonical base64url")]
    Malformed,
    /// The header is not a JSON object that we can agree to.
    #[error("the header of the token is not acceptable")]
    Header,
    /// The header names an algorithm that is not the one of our keys.
    #[error("the algorithm of the token is not ours")]
    Algorithm,
    /// No key of ours made this signature.
    #[error("the signature of the token is wrong")]
    Signature,
}

/// A key and, by its variant, its one algorithm.
#[derive(Clone)]
enum Key {
    /// HMAC with SHA-256 (RFC 7518 section 3.2).
    Hs256(hmac::Key),
}

/// The keys that sign and check tokens. Cheap to share by reference; never printed.
#[derive(Clone)]
pub struct KeyRing {
    signing: Key,
    /// Keys of yesterday, which still check what they signed (SECRET_KEY_FALLBACKS).
    fallbacks: Vec<Key>,
}

impl KeyRing {
    /// Keys for HS256: `signing` signs; it and `fallbacks` check. The bytes are taken as they are.
    ///
    /// Empty fallbacks are left out: with an empty key everybody can sign.
    ///
    /// # Panics
    /// When `signing` is empty. The length of secrets is for the configuration to judge (KY-02); this is the last guard.
    pub fn hs256(signing: &[u8], fallbacks: &[&[u8]]) -> Self {
        assert!(!signing.is_empty(), "the signing secret must not be empty");
        let fallbacks = fallbacks.iter().copied().filter(|key| !key.is_empty());
        Self { signing: Key::new_hs256(signing), fallbacks: fallbacks.map(Key::new_hs256).collect() }
    }

    /// Signs `payload` under the header `{"alg":"HS256","typ":"JWT"}` and returns the compact form.
    pub fn sign(&self, payload: &[u8]) -> String {
        let Key::Hs256(key) = &self.signing;
        let encoded_payload = payload.len().div_ceil(3) * 4;
        let mut token = String::with_capacity(HS256_HEADER.len() + encoded_payload + ENCODED_TAG + 2);
        token.push_str(HS256_HEADER);
        token.push('.');
        BASE64URL.encode_string(payload, &mut token);
        let tag = hmac::sign(key, token.as_bytes());
        token.push('.');
        BASE64URL.encode_string(tag, &mut token);
        token
    }

    /// Checks a token and returns its payload, which is any bytes: reading claims is the caller's.
    ///
    /// # Errors
    /// The first of the checks that failed, in the order of [`JwsFault`].
    pub fn verify(&self, token: &str) -> Result<Vec<u8>, JwsFault> {
        let parts = Parts::split(token)?;
        if parts.header != HS256_HEADER.as_bytes() {
            header::check(parts.header, "HS256")?;
        }
        let tag = decode_tag(parts.signature)?;
        if !self.keys().any(|key| key.made(parts.signed, &tag)) {
            return Err(JwsFault::Signature);
        }
        BASE64URL.decode(parts.payload).map_err(|_| JwsFault::Malformed)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.signing).chain(&self.fallbacks)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing(HS256, {} fallbacks)", self.fallbacks.len())
    }
}

impl Key {
    fn new_hs256(bytes: &[u8]) -> Self {
        Self::Hs256(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Whether this key made `tag` over `signed`; compared in constant time by aws-lc-rs.
    fn made(&self, signed: &[u8], tag: &[u8; TAG]) -> bool {
        let Self::Hs256(key) = self;
        hmac::verify(key, signed, tag).is_ok()
    }
}

/// The segments of a token, still encoded.
struct Parts<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
    /// `header.payload`, what the signature is about.
    signed: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Splits at the first dot and before the signature, whose length is known. A further dot, wherever it is, then
    /// stands inside a segment, and base64url knows no dot: so there are three segments, or decoding fails.
    fn split(token: &'a str) -> Result<Self, JwsFault> {
        let token = token.as_bytes();
        if token.len() > MAX_TOKEN {
            return Err(JwsFault::TooLong);
        }
        let end_of_signed = token.len().checked_sub(ENCODED_TAG + 1).ok_or(JwsFault::Malformed)?;
        let (signed, rest) = token.split_at(end_of_signed);
        let Some((b'.', signature)) = rest.split_first() else { return Err(JwsFault::Malformed) };
        let end_of_header =
            if signed.get(HS256_HEADER.len()) == Some(&b'.') && signed.starts_with(HS256_HEADER.as_bytes()) {
                HS256_HEADER.len()
            } else {
                signed.iter().position(|byte| *byte == b'.').ok_or(JwsFault::Malformed)?
            };
        let (header, rest) = signed.split_at(end_of_header);
        Ok(Self { header, payload: &rest[1..], signature, signed })
    }
}

fn decode_tag(encoded: &[u8]) -> Result<[u8; TAG], JwsFault> {
    let mut tag = [0; TAG];
    match BASE64URL.decode_slice(encoded, &mut tag) {
        Ok(TAG) => Ok(tag),
        _ => Err(JwsFault::Malformed),
    }
}
