//! Who has an account: ids, names, addresses.

use std::fmt;

use crate::time::Timestamp;

mod email;
mod idna2003;
mod name;

pub use email::{EmailAddress, EmailKey};
pub use name::{NameKey, Username, canonical_name};

/// Registration names an account that exists already, in any spelling with the same [`NameKey`].
pub const NAME_TAKEN: &str = "A user with that username already exists.";

/// Python's `str.strip()`: also U+001C..1F, U+0085, no-break space, U+2028 and so on.
pub fn trim(text: &str) -> &str {
    crate::text::trim(text)
}

/// An account's number: assigned in order from 1, never issued twice (also not after a deletion).
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UserId(i64);

impl UserId {
    /// The account with this number.
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// Its number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An account, without its password hash.
#[derive(Clone, Debug)]
pub struct User {
    /// Its number.
    pub id: UserId,
    /// The name it logs in with.
    pub username: Username,
    /// Where mail goes; may be blank.
    pub email: EmailAddress,
    /// Given name; kept from an import.
    pub first_name: String,
    /// Family name; kept from an import.
    pub last_name: String,
    /// May use the administration.
    pub is_staff: bool,
    /// Has every permission.
    pub is_superuser: bool,
    /// Sessions opened in an earlier epoch have ended (see [`crate::session::SessionId`]).
    pub epoch: u32,
    /// Registration.
    pub created_at: Timestamp,
    /// The last login that succeeded.
    pub last_login_at: Option<Timestamp>,
    /// Since when nobody can log in; `None`: active.
    pub disabled_at: Option<Timestamp>,
    /// Since when the address is proved to be the owner's, if it is.
    pub email_verified_at: Option<Timestamp>,
    /// The address that the account is to have once it is proved.
    pub pending_email: Option<EmailAddress>,
    /// When the account is deleted, if its owner has closed it.
    pub delete_at: Option<Timestamp>,
    /// Tokens without `sid` (of the old service) issued before this are refused; seconds since 1970.
    pub not_before: Option<i64>,
}

impl User {
    /// Whether the account may log in and its tokens count.
    pub fn is_active(&self) -> bool {
        self.disabled_at.is_none()
    }
}
