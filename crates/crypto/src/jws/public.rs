//! Public keys: how they check, and how they are written for others (RFC 7517, RFC 7638).

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

use super::key::{Algorithm, KeyFault};

/// Fewest and most bits of an RSA modulus (TK-08).
const RSA_BITS: std::ops::RangeInclusive<usize> = 3072..=8192;
/// 65537, the one public exponent that is taken.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// A key that checks signatures, parsed once.
pub struct PublicKey {
    algorithm: Algorithm,
    parsed: ParsedPublicKey,
    /// The required members of its JWK in the order of RFC 7638 section 3.
    members: String,
}

impl PublicKey {
    /// An Ed25519 key (RFC 8032) of 32 bytes.
    ///
    /// # Errors
    /// [`KeyFault::Unsound`].
    pub fn ed25519(x: &[u8]) -> Result<Self, KeyFault> {
        let parsed = ParsedPublicKey::new(&ED25519, x).map_err(|_| KeyFault::Unsound)?;
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, BASE64URL.encode(x));
        Ok(Self { algorithm: Algorithm::EdDsa, parsed, members })
    }

    /// A P-256 key by its coordinates of 32 bytes each (RFC 7518 section 6.2.1).
    ///
    /// # Errors
    /// [`KeyFault::Unsound`], also for a point that is not on the curve.
    pub fn p256(x: &[u8], y: &[u8]) -> Result<Self, KeyFault> {
        if x.len() != 32 || y.len() != 32 {
            return Err(KeyFault::Unsound);
        }
        Self::p256_point(&[&[4], x, y].concat())
    }

    /// A P-256 key by its uncompressed point (SEC 1 section 2.3.3).
    pub(super) fn p256_point(point: &[u8]) -> Result<Self, KeyFault> {
        let [4, coordinates @ ..] = point else { return Err(KeyFault::Unsound) };
        let (x, y) = coordinates.split_at_checked(32).ok_or(KeyFault::Unsound)?;
        let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| KeyFault::Unsound)?;
        let (x, y) = (BASE64URL.encode(x), BASE64URL.encode(y));
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Ok(Self { algorithm: Algorithm::Es256, parsed, members })
    }

    /// An RSA key by modulus and exponent, big endian without leading zeros (RFC 7518 section 6.3.1).
    ///
    /// # Errors
    /// [`KeyFault::Size`] for a modulus of fewer than 3072 or more than 8192 bits, counted exactly, and for another
    /// exponent than 65537; [`KeyFault::Unsound`].
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyFault> {
        let first = *n.first().filter(|first| **first != 0).ok_or(KeyFault::Unsound)?;
        let bits = n.len() * 8 - first.leading_zeros() as usize;
        if !RSA_BITS.contains(&bits) || e != EXPONENT {
            return Err(KeyFault::Size);
        }
        let parsed = RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| KeyFault::Unsound)?;
        let members =
            format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, BASE64URL.encode(e), BASE64URL.encode(n));
        Ok(Self { algorithm: Algorithm::Rs256, parsed, members })
    }

    /// The key that [`PublicKey::members`] has written.
    ///
    /// # Errors
    /// [`KeyFault::Unsound`], [`KeyFault::Size`].
    pub fn from_members(json: &str) -> Result<Self, KeyFault> {
        let jwk: serde_json::Value = serde_json::from_str(json).map_err(|_| KeyFault::Unsound)?;
        let bytes = |name: &str| {
            let text = jwk.get(name).and_then(serde_json::Value::as_str).ok_or(KeyFault::Unsound)?;
            BASE64URL.decode(text).map_err(|_| KeyFault::Unsound)
        };
        match jwk.get("kty").and_then(serde_json::Value::as_str) {
            Some("OKP") => Self::ed25519(&bytes("x")?),
            Some("EC") => Self::p256(&bytes("x")?, &bytes("y")?),
            Some("RSA") => Self::rsa(&bytes("n")?, &bytes("e")?),
            _ => Err(KeyFault::Unsound),
        }
    }

    /// Its one algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The thumbprint of RFC 7638 with SHA-256: 43 characters of base64url.
    pub fn thumbprint(&self) -> String {
        thumbprint(&self.members)
    }

    /// The required members of its JWK, as the thumbprint takes them: enough to tell one key from another.
    pub fn members(&self) -> &str {
        &self.members
    }

    /// Its JWK with `use`, `alg` and `kid` (RFC 7517 section 4); public members only (TK-09).
    pub fn to_jwk(&self) -> String {
        let members = self.members.trim_end_matches('}');
        let (alg, kid) = (self.algorithm.name(), self.thumbprint());
        format!(r#"{members},"use":"sig","alg":"{alg}","kid":"{kid}"}}"#)
    }

    /// Whether the holder of the private key made `signature` over `signed`.
    pub fn made(&self, signed: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(signed, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_jwk())
    }
}

/// The thumbprint with SHA-256 of the required members of a JWK, in the order and form of RFC 7638 section 3.
pub fn thumbprint(members: &str) -> String {
    BASE64URL.encode(crate::keyed::sha256(members.as_bytes()))
}

/// Modulus and exponent of an RSAPublicKey in DER (RFC 8017 appendix A.1.1).
pub(super) fn rsa_components(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, []) = element(der, 0x30)? else { return None };
    let (n, rest) = element(sequence, 0x02)?;
    let (e, []) = element(rest, 0x02)? else { return None };
    // A number whose first bit is set has a zero byte before it.
    let positive = |number: &'_ [u8]| number.iter().position(|byte| *byte != 0);
    Some((&n[positive(n)?..], &e[positive(e)?..]))
}

/// The content of the element at the start, if it has this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first().filter(|_| *found == tag)?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}
