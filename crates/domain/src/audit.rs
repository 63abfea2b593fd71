//! The audit trail: what happened, who did it, and the bytes by which its rows are chained.
//!
//! A row is committed with the change it tells of and chained shortly after: it gets a position, a *commitment* (SHA-256
//! of its bytes, which begin with a random salt) and a *hash* (SHA-256 of the hash before it, the position and the
//! commitment). Only commitments are chained, so that a row's salt and personal data can be erased: nobody can guess the
//! rest back from the commitment, and the chain still holds. SHA-256 itself is not here: this module says which bytes.

mod bytes;
mod event;
mod walk;

pub use bytes::{Fields, SALT_LENGTH, link_bytes, row_bytes};
pub use event::{Actor, Event, EventKind, Outcome};
pub use walk::{Fault, Link, Tally, Walk};

/// SHA-256 (FIPS 180-4) of something.
pub type Hash = [u8; 32];

/// What stands before the first row.
pub const GENESIS: Hash = [0; 32];
