//! The claims of a token in SimpleJWT's profile, strictly read.
//!
//! Whether the signature is right is the business of `crypto`; this reads a payload whose signature was checked. It is
//! on the path of every request of every service: one pass over the text, and only the `jti` is copied.

use std::borrow::Cow;

use thiserror::Error;

use crate::session::SessionId;
use crate::time::Timestamp;
use crate::user::UserId;

mod other;
mod read;
mod write;

/// Clocks of two machines may differ by this many seconds: so far in the future `iat` and `nbf` may lie (TK-06).
/// `exp` has no leeway.
pub const CLOCK_SKEW: i64 = 5;

/// The last second of the year 9999: later times are a mistake or an attack (TK-05).
const LAST_SECOND: i64 = 253_402_300_799;
/// The longest `jti`, in bytes; ours have 32.
const MAX_JTI: usize = 255;

/// What a token is for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum TokenType {
    /// Proof of login for every service.
    Access,
    /// Buys the next pair, here only.
    Refresh,
}

impl TokenType {
    /// The value of the claim `token_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// The claims we issue and read; others are ignored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claims {
    /// `token_type`.
    pub token_type: TokenType,
    /// `exp`: not accepted from this second on.
    pub expires_at: i64,
    /// `iat`, seconds.
    pub issued_at: i64,
    /// `nbf`, seconds; we issue none.
    pub not_before: Option<i64>,
    /// `jti`, not empty, at most 255 bytes.
    pub jti: String,
    /// `user_id`, positive.
    pub user_id: UserId,
    /// `sid`; tokens of the replaced service have none.
    pub session: Option<SessionId>,
    /// `iss`. A value that is no string counts as none, so it never equals a configured issuer.
    pub issuer: Option<String>,
    /// `aud`, one or several. A value that is neither string nor list of strings counts as none.
    pub audience: Vec<String>,
    /// `status`: where it stands whether the session has ended. We write it; those who check our tokens offline read it.
    pub status: Option<StatusReference>,
    /// `sub` and `client_id`, which the profile of RFC 9068 (section 2.2) has.
    pub standard: Standard,
}

/// A place in a status list (draft-ietf-oauth-status-list section 6.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusReference {
    /// `idx`.
    pub place: u32,
    /// `uri`: of the list.
    pub uri: String,
}

/// The claims of RFC 9068 that SimpleJWT does not have. A value that is no string counts as none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standard {
    /// `sub`: the user id as a text.
    pub subject: Option<String>,
    /// `client_id`.
    pub client: Option<String>,
    /// `scope`: permissions with spaces between them (RFC 8693 section 4.2).
    pub scope: Option<String>,
    /// `roles` (RFC 9068 section 2.2.3.1). A value that is neither string nor list of strings counts as none.
    pub roles: Vec<String>,
}

impl Standard {
    /// The claims of a token of this user for this client.
    pub fn of(user: UserId, client: &str) -> Self {
        Self { subject: Some(user.to_string()), client: Some(client.to_owned()), ..Self::default() }
    }

    /// Whether both are there and `sub` is the user (TK-04).
    pub fn is_complete_for(&self, user: UserId) -> bool {
        self.subject.as_deref() == Some(user.to_string().as_str())
            && self.client.as_deref().is_some_and(|client| !client.is_empty())
    }
}

/// Why a token is refused. The words are SimpleJWT's, which clients read.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Error)]
pub enum TokenFault {
    /// Not a token of ours, not well formed, or not valid yet.
    #[error("Token is invalid")]
    Invalid,
    /// `exp` has come.
    #[error("Token is expired")]
    Expired,
    /// Another kind of token than asked for, or of a kind that we do not know.
    #[error("Token has wrong type")]
    WrongType,
    /// No `jti`.
    #[error("Token has no id")]
    NoId,
    /// No `token_type`.
    #[error("Token has no type")]
    NoType,
    /// This claim is missing.
    #[error("Token has no '{0}' claim")]
    NoClaim(&'static str),
    /// No `user_id`.
    #[error("Token contained no recognizable user identification")]
    NoUser,
}

impl TokenFault {
    /// The words for the answer's `detail`.
    pub fn message(self) -> Cow<'static, str> {
        match self {
            Self::Invalid => Cow::Borrowed("Token is invalid"),
            Self::Expired => Cow::Borrowed("Token is expired"),
            other => Cow::Owned(other.to_string()),
        }
    }
}

impl Claims {
    /// Reads a payload: all that does not depend on the time.
    ///
    /// Strict (TK-04, TK-05, TK-11, IN-03): every claim of ours is there, of its JSON type and in range; no member
    /// occurs twice at any depth; at most 32 levels deep; numbers are finite; nothing follows the object.
    ///
    /// # Errors
    /// The first fault in the order of the replaced service.
    pub fn parse(payload: &[u8]) -> Result<Self, TokenFault> {
        read::members(payload)?.into_claims()
    }

    /// Reads a payload and checks its times: the order of faults is the replaced service's (an expired token without
    /// `jti` is expired).
    ///
    /// # Errors
    /// The first fault.
    pub fn read(payload: &[u8], now: Timestamp) -> Result<Self, TokenFault> {
        let members = read::members(payload)?;
        check_times(members.issued_at, members.not_before, members.expires_at, now)?;
        members.into_claims()
    }

    /// Checks the times: `exp` has not come, `iat` and `nbf` have (within [`CLOCK_SKEW`]).
    ///
    /// # Errors
    /// `Invalid` before `Expired`, as PyJWT.
    pub fn check_times(&self, now: Timestamp) -> Result<(), TokenFault> {
        check_times(Some(self.issued_at), self.not_before, Some(self.expires_at), now)
    }

    /// The payload: compact JSON, members in SimpleJWT's order, then `sid`, `iss`, `aud`, `sub`, `client_id` where present.
    pub fn to_json(&self) -> Vec<u8> {
        write::payload(self)
    }
}

fn check_times(
    iat: Option<i64>,
    nbf: Option<i64>,
    exp: Option<i64>,
    now: Timestamp,
) -> Result<(), TokenFault> {
    let latest = now.seconds().saturating_add(CLOCK_SKEW);
    if iat.max(nbf).is_some_and(|start| start > latest) {
        return Err(TokenFault::Invalid);
    }
    if exp.is_some_and(|end| end <= now.seconds()) {
        return Err(TokenFault::Expired);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
