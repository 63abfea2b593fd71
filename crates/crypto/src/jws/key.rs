//! Keys of our own: made here, with an id that follows from the key, for one algorithm each.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

use super::public::{PublicKey, rsa_components};
use crate::keyed::IndexKey;
use crate::secret::Secret;

/// A signature algorithm, by its name in JOSE (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256: who can check can also sign.
    Hs256,
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 and at least 3072 bits (TK-08).
    Rs256,
}

impl Algorithm {
    /// Every algorithm there is.
    pub const ALL: [Self; 4] = [Self::Hs256, Self::EdDsa, Self::Es256, Self::Rs256];

    /// The value of the header's `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of exactly this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Whether others can check signatures without being able to make them.
    pub const fn is_public(self) -> bool {
        !matches!(self, Self::Hs256)
    }
}

/// What a token says it is: the header's `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// `JWT`, as SimpleJWT writes.
    Jwt,
    /// `at+jwt`, an access token of RFC 9068 section 2.1.
    AccessToken,
    /// `statuslist+jwt`, a status list token (draft-ietf-oauth-status-list section 5.1).
    StatusList,
    /// `audit-checkpoint+jwt`, a statement about our audit trail: nobody's token.
    AuditCheckpoint,
}

impl TokenKind {
    /// The value of `typ`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jwt => "JWT",
            Self::AccessToken => "at+jwt",
            Self::StatusList => "statuslist+jwt",
            Self::AuditCheckpoint => "audit-checkpoint+jwt",
        }
    }
}

/// Why a key is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The bytes are no key of this algorithm, or one that contradicts itself.
    #[error("the key is not a sound key of its algorithm")]
    Unsound,
    /// An RSA key of fewer than 3072 or more than 8192 bits, or with another exponent than 65537.
    #[error("the RSA key is not of 3072 to 8192 bits with the exponent 65537")]
    Size,
    /// The generator or the library failed.
    #[error("a key could not be made")]
    Generation,
}

/// A key that signs and checks, prepared once. Never printed.
pub struct SigningKey {
    pair: Pair,
    id: String,
    /// Our headers in base64url, one for each [`TokenKind`] in its order.
    headers: [String; 4],
}

enum Pair {
    Mac(Box<hmac::Key>),
    EdDsa(Ed25519KeyPair, PublicKey),
    Es256(EcdsaKeyPair, PublicKey),
    Rs256(Box<RsaKeyPair>, PublicKey),
}

/// A new key and its secret part, which [`SigningKey::from_secret`] reads: PKCS #8 (RFC 5958), or the bytes of an HMAC key.
///
/// RSA takes up to a second or so: not for a thread that serves a network.
///
/// # Errors
/// [`KeyFault::Generation`].
pub fn generate(algorithm: Algorithm) -> Result<(SigningKey, Secret), KeyFault> {
    let failed = |_| KeyFault::Generation;
    let secret = match algorithm {
        Algorithm::Hs256 => crate::random::fill::<32>().to_vec(),
        Algorithm::EdDsa => {
            let pair = Ed25519KeyPair::generate().map_err(failed)?;
            pair.to_pkcs8().map_err(failed)?.as_ref().to_vec()
        }
        Algorithm::Es256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
            pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec()
        }
        Algorithm::Rs256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa3072).map_err(failed)?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
            der.as_ref().to_vec()
        }
    };
    let secret = Secret::new(secret);
    Ok((SigningKey::from_secret(algorithm, &secret)?, secret))
}

impl SigningKey {
    /// The key of a secret part. Its id follows from it: the thumbprint of the public part (RFC 7638), or for HMAC, where
    /// a thumbprint would be a digest of the secret, a keyed digest.
    ///
    /// # Errors
    /// [`KeyFault::Unsound`], [`KeyFault::Size`].
    pub fn from_secret(algorithm: Algorithm, secret: &Secret) -> Result<Self, KeyFault> {
        let bytes = secret.as_bytes();
        let pair = match algorithm {
            Algorithm::Hs256 if bytes.len() < 32 => return Err(KeyFault::Size),
            Algorithm::Hs256 => Pair::Mac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, bytes))),
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(bytes).map_err(|_| KeyFault::Unsound)?;
                let public = PublicKey::ed25519(pair.public_key().as_ref())?;
                Pair::EdDsa(pair, public)
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes)
                    .map_err(|_| KeyFault::Unsound)?;
                let public = PublicKey::p256_point(pair.public_key().as_ref())?;
                Pair::Es256(pair, public)
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(bytes).map_err(|_| KeyFault::Unsound)?;
                let (n, e) = rsa_components(pair.public_key().as_ref()).ok_or(KeyFault::Unsound)?;
                let public = PublicKey::rsa(n, e)?;
                Pair::Rs256(Box::new(pair), public)
            }
        };
        let id = match pair.public() {
            Some(public) => public.thumbprint(),
            None => BASE64URL.encode(IndexKey::derive(bytes, "id of a key").digest(b"")),
        };
        let kinds =
            [TokenKind::Jwt, TokenKind::AccessToken, TokenKind::StatusList, TokenKind::AuditCheckpoint];
        let headers = kinds.map(|kind| header(algorithm, kind, &id));
        Ok(Self { pair, id, headers })
    }

    /// Its one algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.pair.public().map_or(Algorithm::Hs256, PublicKey::algorithm)
    }

    /// Its id: 43 characters of base64url.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What others check its signatures with; `None` for HMAC.
    pub fn public(&self) -> Option<&PublicKey> {
        self.pair.public()
    }

    /// Signs `payload` under the header `alg`, `typ`, `kid` and returns the compact form.
    ///
    /// # Panics
    /// When aws-lc-rs cannot sign, which it documents for no sound key: the process has no memory or no randomness.
    pub fn sign(&self, kind: TokenKind, payload: &[u8]) -> String {
        let header = &self.headers[kind as usize];
        let mut token = String::with_capacity(header.len() + payload.len().div_ceil(3) * 4 + 600);
        token.push_str(header);
        token.push('.');
        BASE64URL.encode_string(payload, &mut token);
        let signature = self.pair.sign(token.as_bytes());
        token.push('.');
        BASE64URL.encode_string(signature, &mut token);
        token
    }

    /// Whether this key made `signature` over `signed`.
    pub(super) fn made(&self, signed: &[u8], signature: &[u8]) -> bool {
        match &self.pair {
            Pair::Mac(key) => hmac::verify(key, signed, signature).is_ok(),
            Pair::EdDsa(_, public) | Pair::Es256(_, public) | Pair::Rs256(_, public) => {
                public.made(signed, signature)
            }
        }
    }
}

impl Pair {
    fn public(&self) -> Option<&PublicKey> {
        match self {
            Self::Mac(_) => None,
            Self::EdDsa(_, public) | Self::Es256(_, public) | Self::Rs256(_, public) => Some(public),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        const SOUND: &str = "a sound key signs";
        let random = SystemRandom::new();
        match self {
            Self::Mac(key) => hmac::sign(key, message).as_ref().to_vec(),
            Self::EdDsa(pair, _) => pair.sign(message).as_ref().to_vec(),
            Self::Es256(pair, _) => pair.sign(&random, message).expect(SOUND).as_ref().to_vec(),
            Self::Rs256(pair, _) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect(SOUND);
                signature
            }
        }
    }
}

fn header(algorithm: Algorithm, kind: TokenKind, id: &str) -> String {
    let (alg, typ) = (algorithm.name(), kind.name());
    BASE64URL.encode(format!(r#"{{"alg":"{alg}","typ":"{typ}","kid":"{id}"}}"#))
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.algorithm().name(), self.id)
    }
}
