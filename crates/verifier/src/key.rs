//! One public key and, by its kind, its one algorithm.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Map, Value};

/// The fewest bits of an RSA modulus that is taken: strength of 128 bits (TK-08).
pub(crate) const MIN_RSA_BITS: usize = 3072;
/// The most; larger ones only cost time.
const MAX_RSA_BITS: usize = 8192;

/// A signature algorithm that we take, by its name in JOSE (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    EdDsa,
    Es256,
    Rs256,
}

impl Algorithm {
    /// The value of `alg`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// What a key is, whatever its id: SHA-256 over algorithm and public bytes.
pub(crate) type Identity = [u8; 32];

/// A prepared public key.
pub(crate) struct Key {
    kid: String,
    algorithm: Algorithm,
    public: ParsedPublicKey,
    identity: Identity,
}

impl Key {
    /// Reads a JSON Web Key (RFC 7517 section 4). `None` when it is not one that we would check signatures with: another
    /// kind or use, no id, too weak, not well formed, or with its private half in it.
    pub(crate) fn read(jwk: &Map<String, Value>) -> Option<Self> {
        Self::read_with(jwk, MIN_RSA_BITS)
    }

    /// [`Self::read`] with another bound for RSA.
    pub(crate) fn read_with(jwk: &Map<String, Value>, min_rsa_bits: usize) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if !is_for_signatures(jwk) || ["d", "p", "q", "k"].iter().any(|name| jwk.contains_key(*name)) {
            return None;
        }
        let kid = text("kid").filter(|kid| !kid.is_empty() && kid.len() <= crate::jose::MAX_KID)?;
        let (algorithm, public) = match (text("kty")?, text("crv")) {
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, ed25519(&bytes(jwk, "x")?)?),
            ("EC", Some("P-256")) => (Algorithm::Es256, p256(&bytes(jwk, "x")?, &bytes(jwk, "y")?)?),
            ("RSA", None) => (Algorithm::Rs256, rsa(&bytes(jwk, "n")?, &bytes(jwk, "e")?, min_rsa_bits)?),
            _ => return None,
        };
        if jwk.get("alg").is_some_and(|name| name != algorithm.name()) {
            return None;
        }
        let identity = identity(algorithm, &public);
        Some(Self { kid: kid.to_owned(), algorithm, public, identity })
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether this key made `signature` over `signed`.
    pub(crate) fn made(&self, signed: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(signed, signature).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.algorithm.name(), self.kid)
    }
}

/// `use` and `key_ops`, where present, allow checking signatures (RFC 7517 section 4.2, 4.3).
fn is_for_signatures(jwk: &Map<String, Value>) -> bool {
    let use_fits = jwk.get("use").is_none_or(|value| value == "sig");
    let operations_fit = jwk.get("key_ops").is_none_or(|value| {
        value.as_array().is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
    });
    use_fits && operations_fit
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    BASE64URL.decode(jwk.get(name)?.as_str()?).ok()
}

fn ed25519(x: &[u8]) -> Option<ParsedPublicKey> {
    if x.len() != 32 {
        return None;
    }
    ParsedPublicKey::new(&ED25519, x).ok()
}

fn p256(x: &[u8], y: &[u8]) -> Option<ParsedPublicKey> {
    if x.len() != 32 || y.len() != 32 {
        return None;
    }
    // An uncompressed point (SEC 1 section 2.3.4); whether it lies on the curve is checked by the parser.
    let point = [&[4], x, y].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()
}

fn rsa(n: &[u8], e: &[u8], min_bits: usize) -> Option<ParsedPublicKey> {
    // Leading zeros are not canonical (RFC 7518 section 6.3.1.1).
    let first = *n.first().filter(|first| **first != 0)?;
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    let fits = (min_bits..=MAX_RSA_BITS).contains(&bits) && e == [1, 0, 1];
    if !fits {
        return None;
    }
    RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()
}

fn identity(algorithm: Algorithm, public: &ParsedPublicKey) -> Identity {
    let text = [algorithm.name().as_bytes(), &[0], public.as_ref()].concat();
    sha256(&text)
}

/// SHA-256.
pub(crate) fn sha256(text: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, text).as_ref());
    out
}
