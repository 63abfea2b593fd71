//! The audit trail: what happened, who did it, and the bytes by which its rows are chained.
//!
//! A row is committed with the change it tells of and chained shortly after: it gets a position, a digest of its *personal*
//! part (which begins with a random salt), a *commitment* (the digest of that digest and of all that is not personal) and a
//! *hash* (under a key, of the hash before it, the position and the commitment). So a row's salt and personal data can be
//! erased: nobody can guess them back from their digest, and the chain still proves all the rest of the row. SHA-256 and HMAC
//! themselves are not here: this module says which bytes.

mod bytes;
mod event;
mod walk;

pub use bytes::{Fields, SALT_LENGTH, link_bytes, open_bytes, personal_bytes};
pub use event::{Actor, Event, EventKind, Outcome};
pub use walk::{Fault, Link, State, Tally, Walk};

/// SHA-256 (FIPS 180-4) or HMAC-SHA-256 (RFC 2104) of something.
pub type Hash = [u8; 32];

/// What stands before the first row.
pub const GENESIS: Hash = [0; 32];
