//! Why a token is not taken.

use thiserror::Error;

/// Why a token is not taken. For logs and tests: whoever sent the token gets the same answer for all of them
/// (RFC 9068 section 4, RFC 6750 section 3.1), except that what could not be decided is no fault of the token
/// ([`Refusal::is_unavailable`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Longer than [`crate::MAX_TOKEN`] bytes.
    #[error("the token is too long")]
    TooLong,
    /// Not three segments of unpadded, canonical base64url (RFC 7515 section 7.1), or not a JSON object inside.
    #[error("the token is not a compact JWS over a JSON object")]
    Malformed,
    /// The header names no key, repeats a member, or holds one that we refuse (RFC 8725 section 3.10).
    #[error("the header of the token is not acceptable")]
    Header,
    /// The key set has no key of this id.
    #[error("the key of the token is not known")]
    UnknownKey,
    /// `alg` is not the algorithm of the key (RFC 8725 section 3.1).
    #[error("the algorithm of the token is not the one of its key")]
    Algorithm,
    /// The key did not make this signature.
    #[error("the signature of the token is wrong")]
    Signature,
    /// Not an access token of an accepted profile: `typ` or `token_type` says so.
    #[error("the token is of another kind")]
    Kind,
    /// This claim is missing, or of the wrong type or range.
    #[error("the claim '{0}' is missing or not acceptable")]
    Claim(&'static str),
    /// `exp` has come (RFC 7519 section 4.1.4).
    #[error("the token is expired")]
    Expired,
    /// `iat` or `nbf` lies in the future (RFC 7519 section 4.1.5).
    #[error("the token is not valid yet")]
    NotYet,
    /// `iss` is not the configured issuer.
    #[error("the token is from another issuer")]
    Issuer,
    /// `aud` does not hold the configured audience.
    #[error("the token is for another audience")]
    Audience,
    /// The token was given for an API key, and such tokens are not accepted.
    #[error("the token was given for an API key")]
    ApiKey,
    /// The token names no status list, and one is required.
    #[error("the token names no status list")]
    StatusMissing,
    /// The token's status list lies outside the configured place.
    #[error("the status list of the token is not in the allowed place")]
    StatusPlace,
    /// The status list has no entry of this index (draft-ietf-oauth-status-list section 8.3).
    #[error("the status list has no such entry")]
    StatusIndex,
    /// The status list says that the token is no longer valid.
    #[error("the token has been revoked")]
    Revoked,
    /// There is no key set that is fresh enough, and none could be fetched.
    #[error("the key set cannot be had")]
    KeysUnavailable,
    /// There is no status list that is fresh enough, and none could be fetched.
    #[error("the status list cannot be had")]
    StatusUnavailable,
}

impl Refusal {
    /// Whether the token could not be judged, so that the right answer is 503 and not 401.
    pub fn is_unavailable(self) -> bool {
        matches!(self, Self::KeysUnavailable | Self::StatusUnavailable)
    }
}
