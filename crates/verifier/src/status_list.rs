//! One status list (draft-ietf-oauth-status-list-19): a signed token that holds a compressed array of small numbers.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use flate2::bufread::ZlibDecoder;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::claims::{number, text};
use crate::jose::Unverified;
use crate::jwks::Keys;
use crate::refusal::Refusal;

/// The longest status list token that is read, in bytes.
pub(crate) const MAX_LIST_TOKEN: usize = 4 * 1024 * 1024;
/// The longest list, in bytes after decompression: 64 million entries of one bit.
const MAX_LIST: usize = 8 * 1024 * 1024;

/// What entries may say (section 7.1); all others refuse the token as well.
pub(crate) const VALID: u8 = 0;

/// Why a status list is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum ListFault {
    #[error("the status list token is refused: {0}")]
    Token(#[from] Refusal),
    #[error("the token is not a status list")]
    Kind,
    #[error("the status list is for another address")]
    Subject,
    #[error("the status list is expired or not valid yet")]
    Time,
    #[error("the entries of the status list cannot be read")]
    Entries,
}

/// The entries of a list.
#[derive(Debug)]
pub(crate) struct Entries {
    bits: u8,
    bytes: Vec<u8>,
}

/// A list whose signature was checked.
#[derive(Debug)]
pub(crate) struct StatusList {
    pub(crate) entries: Entries,
    /// `iat`, in seconds since 1970.
    pub(crate) issued_at: u64,
    /// `exp`, in seconds since 1970.
    pub(crate) expires_at: Option<u64>,
    /// `ttl`, in seconds.
    pub(crate) ttl: Option<u64>,
}

impl Entries {
    /// Reads `{"bits": .., "lst": ..}` (section 4.2).
    pub(crate) fn read(list: &Map<String, Value>) -> Option<Self> {
        let bits = list.get("bits")?.as_u64()?;
        if !matches!(bits, 1 | 2 | 4 | 8) {
            return None;
        }
        let compressed = BASE64URL.decode(list.get("lst")?.as_str()?).ok()?;
        Some(Self { bits: u8::try_from(bits).ok()?, bytes: inflate(&compressed, MAX_LIST)? })
    }

    /// The entry of this index; the lowest bits of a byte come first (section 4.1). `None` beyond the end.
    pub(crate) fn get(&self, index: u64) -> Option<u8> {
        let per_byte = u64::from(8 / self.bits);
        let byte = self.bytes.get(usize::try_from(index / per_byte).ok()?)?;
        let shift = (index % per_byte) as u8 * self.bits;
        let mask = u8::MAX >> (8 - self.bits);
        Some((byte >> shift) & mask)
    }
}

/// Decompresses zlib data (RFC 1950) that is one whole stream and at most `limit` bytes.
fn inflate(compressed: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut decoder = ZlibDecoder::new(compressed);
    let mut bytes = Vec::new();
    decoder.by_ref().take(limit as u64 + 1).read_to_end(&mut bytes).ok()?;
    let whole = bytes.len() <= limit && decoder.total_in() == compressed.len() as u64;
    if whole {
        bytes.shrink_to_fit();
        Some(bytes)
    } else {
        None
    }
}

impl StatusList {
    /// Checks a status list token (section 8.3) that was fetched from `uri`; `now` and `leeway` in seconds.
    pub(crate) fn read(
        token: &str,
        uri: &str,
        keys: &Keys,
        now: u64,
        leeway: u64,
    ) -> Result<Self, ListFault> {
        let (token, _) = Unverified::parse(token, MAX_LIST_TOKEN)?.verify(keys)?;
        if !matches!(token.typ.as_deref(), Some("statuslist+jwt" | "application/statuslist+jwt")) {
            return Err(ListFault::Kind);
        }
        let claims = token.payload;
        if text(&claims, "sub")? != uri {
            return Err(ListFault::Subject);
        }
        let issued_at = number(&claims, "iat", u64::MAX)?;
        let expires_at = optional_number(&claims, "exp")?;
        let ttl = optional_number(&claims, "ttl")?;
        let is_over = expires_at.is_some_and(|end| now >= end);
        if is_over || issued_at > now.saturating_add(leeway) {
            return Err(ListFault::Time);
        }
        let list = claims.get("status_list").and_then(Value::as_object).ok_or(ListFault::Kind)?;
        let entries = Entries::read(list).ok_or(ListFault::Entries)?;
        Ok(Self { entries, issued_at, expires_at, ttl })
    }
}

fn optional_number(claims: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, Refusal> {
    if claims.contains_key(name) { number(claims, name, u64::MAX).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests;
