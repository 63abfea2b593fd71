//! A token taken apart, so that the key can be chosen by its id before anything in it is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

use super::header::{self, Header};
use super::key::SigningKey;
use super::public::PublicKey;
use super::{JwsFault, MAX_TOKEN};

/// Longest key id that is looked for, in bytes; ours have 43 (TK-02).
const MAX_ID: usize = 128;

/// A well-formed token whose signature nobody has looked at. [`Unverified::payload`] gives what it says.
pub struct Unverified<'a> {
    header: Header,
    payload: &'a [u8],
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart, as strictly as [`super::KeyRing::verify`].
    ///
    /// # Errors
    /// The first of the checks that failed.
    pub fn parse(token: &'a str) -> Result<Self, JwsFault> {
        let token = token.as_bytes();
        if token.len() > MAX_TOKEN {
            return Err(JwsFault::TooLong);
        }
        let dot = |byte: &u8| *byte == b'.';
        let end_of_header = token.iter().position(dot).ok_or(JwsFault::Malformed)?;
        let end_of_signed = token.iter().rposition(dot).filter(|end| *end > end_of_header);
        let end_of_signed = end_of_signed.ok_or(JwsFault::Malformed)?;
        // A further dot stands in the payload then, and base64url knows no dot.
        let payload = &token[end_of_header + 1..end_of_signed];
        if payload.contains(&b'.') {
            return Err(JwsFault::Malformed);
        }
        let header = header::read(&token[..end_of_header])?;
        let signature = BASE64URL.decode(&token[end_of_signed + 1..]).map_err(|_| JwsFault::Malformed)?;
        Ok(Self { header, payload, signed: &token[..end_of_signed], signature })
    }

    /// The key id that the token names, unless it is longer than any of ours: only for a look into a map in memory.
    pub fn key_id(&self) -> Option<&str> {
        self.header.key_id.as_deref().filter(|id| id.len() <= MAX_ID)
    }

    /// The algorithm that the token names.
    pub fn algorithm(&self) -> &str {
        &self.header.algorithm
    }

    /// What the token says it is, to the letter.
    pub fn kind(&self) -> Option<&str> {
        self.header.kind.as_deref()
    }

    /// What the token says, whoever has written it.
    ///
    /// # Errors
    /// [`JwsFault::Malformed`].
    pub fn unchecked_payload(&self) -> Result<Vec<u8>, JwsFault> {
        BASE64URL.decode(self.payload).map_err(|_| JwsFault::Malformed)
    }

    /// Whether it says that it is an access token of RFC 9068 (section 4): media types know no case.
    pub fn is_access_token(&self) -> bool {
        self.header.kind.as_deref().is_some_and(|kind| {
            let name = kind.len().checked_sub("at+jwt".len()).and_then(|start| kind.split_at_checked(start));
            name.is_some_and(|(prefix, name)| {
                name.eq_ignore_ascii_case("at+jwt")
                    && (prefix.is_empty() || prefix.eq_ignore_ascii_case("application/"))
            })
        })
    }

    /// The payload, if this key made the signature. The key decides the algorithm; the header must name it (RFC 8725
    /// section 3.1, TK-01).
    ///
    /// # Errors
    /// [`JwsFault::Algorithm`], [`JwsFault::Signature`], [`JwsFault::Malformed`].
    pub fn payload(&self, key: &SigningKey) -> Result<Vec<u8>, JwsFault> {
        if self.header.algorithm != key.algorithm().name() {
            return Err(JwsFault::Algorithm);
        }
        self.decoded(key.made(self.signed, &self.signature))
    }

    /// The same with a public key alone.
    ///
    /// # Errors
    /// As [`Unverified::payload`].
    pub fn payload_by_public(&self, key: &PublicKey) -> Result<Vec<u8>, JwsFault> {
        if self.header.algorithm != key.algorithm().name() {
            return Err(JwsFault::Algorithm);
        }
        self.decoded(key.made(self.signed, &self.signature))
    }

    fn decoded(&self, is_good: bool) -> Result<Vec<u8>, JwsFault> {
        if !is_good {
            return Err(JwsFault::Signature);
        }
        self.unchecked_payload()
    }
}
