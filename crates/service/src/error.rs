use std::borrow::Cow;
use std::error::Error as StdError;
use std::time::Duration;

use domain::field::FieldErrors;
use domain::token::TokenFault;

/// The result of a use case.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a use case did not do what it was asked: what may be shown, and apart from it what may only be logged.
#[derive(Debug)]
pub struct Error {
    /// What sort of failure it is; the HTTP layer maps it to a status.
    pub kind: Kind,
    /// A word for programs; empty when the answer carries none.
    pub code: &'static str,
    /// A sentence that is safe to show.
    pub detail: Cow<'static, str>,
    /// The private cause: logged once, never shown.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The sorts of failure.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fields of the request are faulty.
    Invalid(FieldErrors),
    /// The credentials are not good.
    Unauthenticated,
    /// The token that was presented is not good.
    TokenInvalid,
    /// The token in the Authorization header is not good; the fault is the one of its check.
    BearerInvalid(Cow<'static, str>),
    /// Whoever asks is known, and may not do that.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// It clashes with what there is.
    Conflict,
    /// Too many attempts.
    Throttled {
        /// When it is worth another try.
        retry_after: Duration,
    },
    /// The service cannot answer now.
    Unavailable {
        /// When it is worth another try.
        retry_after: Duration,
    },
    /// A fault of ours.
    Internal,
}

/// The code that SimpleJWT gives to every token it refuses.
pub(crate) const TOKEN_NOT_VALID: &str = "token_not_valid";

impl Error {
    fn new(kind: Kind, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, code, detail: detail.into(), source: None }
    }

    /// Faulty fields.
    #[must_use]
    pub fn invalid(errors: FieldErrors) -> Self {
        Self::new(Kind::Invalid(errors), "invalid", "Invalid input.")
    }

    /// One answer for unknown names, wrong passwords and disabled accounts (LG-01).
    #[must_use]
    pub fn no_active_account() -> Self {
        Self::new(Kind::Unauthenticated, "", "No active account found with the given credentials")
    }

    /// A refresh token of a disabled account.
    #[must_use]
    pub fn no_active_account_for_token() -> Self {
        Self::new(Kind::Unauthenticated, "", "No active account found for the given token.")
    }

    /// A token that is not good, in the words of the check that it failed.
    #[must_use]
    pub fn token(fault: TokenFault) -> Self {
        Self::new(Kind::TokenInvalid, TOKEN_NOT_VALID, fault.message())
    }

    /// The same for the token of an Authorization header.
    #[must_use]
    pub fn bearer(fault: TokenFault) -> Self {
        let detail = "Given token not valid for any token type";
        Self::new(Kind::BearerInvalid(fault.message()), TOKEN_NOT_VALID, detail)
    }

    /// Whoever asks may not do that; the words are Django REST framework's.
    #[must_use]
    pub fn forbidden() -> Self {
        let detail = "You do not have permission to perform this action.";
        Self::new(Kind::Forbidden, "permission_denied", detail)
    }

    /// It concerns rights that whoever asks does not have.
    #[must_use]
    pub fn beyond() -> Self {
        Self::new(Kind::Forbidden, "beyond_own_rights", "That takes rights which you do not have.")
    }

    /// It takes a login that is not long ago.
    #[must_use]
    pub fn login_not_fresh() -> Self {
        Self::new(Kind::Forbidden, "login_not_fresh", "Log in again to do this.")
    }

    /// The current password that was to be given again is not the account's.
    #[must_use]
    pub fn wrong_password() -> Self {
        Self::new(Kind::Forbidden, "wrong_password", "The current password is not right.")
    }

    /// It needs mail, and this installation sends none.
    #[must_use]
    pub fn mail_off() -> Self {
        Self::new(Kind::Conflict, "mail_off", "This service sends no mail; ask those who run it.")
    }

    /// Another request has changed the account in between.
    #[must_use]
    pub fn changed_meanwhile() -> Self {
        Self::conflict("The account was changed meanwhile; try again.")
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, "not_found", detail)
    }

    /// It clashes with what there is.
    #[must_use]
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Conflict, "conflict", detail)
    }

    /// Too many attempts.
    #[must_use]
    pub fn throttled(retry_after: Duration) -> Self {
        Self::new(Kind::Throttled { retry_after }, "", "Request was throttled.")
    }

    /// The service cannot answer now.
    #[must_use]
    pub fn unavailable(retry_after: Duration, detail: &'static str) -> Self {
        Self::new(Kind::Unavailable { retry_after }, "unavailable", detail)
    }

    /// A fault of ours.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..Self::new(Kind::Internal, "error", "A server error occurred.") }
    }

    /// Whether another transaction was in the way, so that the same again may succeed.
    pub(crate) fn is_contention(&self) -> bool {
        let source = self.source.as_deref().and_then(|source| source.downcast_ref());
        matches!(source, Some(store::Error::Contention))
    }

    /// Whether the service could not tell, as opposed to saying no.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self.kind, Kind::Unavailable { .. })
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<store::Error> for Error {
    fn from(source: store::Error) -> Self {
        // A server that cannot be relied on is as good as none; the log says how to mend it.
        let retry_after = match &source {
            store::Error::Refused(_) => Duration::from_secs(5),
            transient if transient.is_transient() => Duration::from_secs(1),
            _ => return Self::internal(source),
        };
        Self {
            source: Some(source.into()),
            ..Self::unavailable(retry_after, "The database is not available.")
        }
    }
}

impl From<crypto::hasher::Busy> for Error {
    fn from(busy: crypto::hasher::Busy) -> Self {
        Self::unavailable(busy.retry_after, "Too many passwords are being checked.")
    }
}
