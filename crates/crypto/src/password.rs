//! Stored password hashes: reading, checking and making them, and deciding which ones are to be replaced.
//!
//! Ours are Argon2id PHC strings with a random 16-byte salt and a 32-byte tag (PW-06). Django's formats
//! (`pbkdf2_sha256`, `pbkdf2_sha1`, `argon2`, `bcrypt_sha256`, `bcrypt`, `scrypt`) and those of others (PHC strings of PBKDF2 and
//! scrypt, plain bcrypt) are checked and replaced at the next successful login. Whatever else a column holds never verifies, never panics and costs what one of our hashes costs.
//!
//! The functions here compute on the calling thread. A server calls [`crate::hasher`], which does so on its own threads.
//! Passwords come as the bytes to be hashed: normalising and trimming is decided by those who know where a hash is from.

mod arena;
mod derive;
mod params;
mod scheme;
mod stored;

use crate::{keyed, random};
pub use arena::{Arena, OutOfMemory};
pub use derive::HashFault;
use derive::derive;
pub use params::{BadParams, Params};
use scheme::Scheme;
use stored::{Hash, Stored};

/// Length of our salts, in bytes.
const SALT: usize = 16;
/// Length of our tags, in bytes.
const TAG: usize = 32;

/// What a stored text is, for an import and for reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A hash that we made.
    Native,
    /// A hash of another program's that we can check and shall replace.
    Foreign,
    /// Explicitly no password (`!...` or empty).
    Unusable,
    /// Unknown, damaged or too costly: nobody can log in with it.
    Broken,
}

/// Answer of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The password is right and the hash is as we make it today.
    Right,
    /// The password is right; the stored hash should be replaced by a new one.
    Outdated,
    /// The password is wrong, or there is none.
    Wrong,
    /// The stored text cannot be checked at all; worth an alarm.
    Broken,
}

/// What kind of text is stored.
pub fn kind_of(stored: &str) -> Kind {
    match Stored::parse(stored) {
        Stored::Hash(Hash { native: true, .. }) => Kind::Native,
        Stored::Hash(_) => Kind::Foreign,
        Stored::Unusable => Kind::Unusable,
        Stored::Broken => Kind::Broken,
    }
}

/// The cost class of a stored hash: what [`dummy`] needs to take as long as a check against it (LG-02).
///
/// Examples: `argon2id$m=19456,t=2,p=1` (ours and Django's alike), `pbkdf2_sha256$870000`, `bcrypt_sha256$12`,
/// `scrypt$16384,8,5`; `unusable` for everything that cannot be checked.
pub fn scheme_of(stored: &str) -> String {
    Stored::parse(stored).scheme().to_string()
}

/// A new hash of `password` with a random salt.
///
/// # Errors
/// [`HashFault`] when there is no memory for it.
pub fn hash(password: &[u8], params: Params, arena: &mut Arena) -> Result<String, HashFault> {
    let salt = random::fill::<SALT>();
    let mut tag = [0; TAG];
    derive(params.scheme(), password, &salt, &mut tag, arena)?;
    Ok(stored::encode(params.scheme(), &salt, &tag))
}

/// Checks `password` against a stored hash. Where nothing can be checked it computes one hash with `today`'s costs
/// all the same, so that the answer takes as long as that of a wrong password (LG-02).
///
/// # Errors
/// [`HashFault`] when there is no memory for it. The answer is unknown then.
pub fn verify(password: &[u8], stored: &str, today: Params, arena: &mut Arena) -> Result<Outcome, HashFault> {
    let hash = match Stored::parse(stored) {
        Stored::Hash(hash) => hash,
        unreadable => {
            compute_for_nothing(today.scheme(), password, arena)?;
            let broken = unreadable == Stored::Broken;
            return Ok(if broken { Outcome::Broken } else { Outcome::Wrong });
        }
    };
    let mut tag = vec![0; hash.tag.len()];
    derive(hash.scheme, password, &hash.salt, &mut tag, arena)?;
    if !keyed::equal(&tag, &hash.tag) {
        return Ok(Outcome::Wrong);
    }
    Ok(if is_outdated(&hash, today) { Outcome::Outdated } else { Outcome::Right })
}

/// Computes what checking a hash of this scheme computes, for nothing. `scheme` is from [`scheme_of`]; anything else
/// costs one of today's hashes.
///
/// # Errors
/// [`HashFault`] when there is no memory for it.
pub fn dummy(password: &[u8], scheme: &str, today: Params, arena: &mut Arena) -> Result<(), HashFault> {
    compute_for_nothing(dummy_scheme(scheme, today), password, arena)
}

/// Whether checking against `stored` takes memory beyond an arena of today's size.
pub(crate) fn is_oversized(stored: &str, today: Params) -> bool {
    !Stored::parse(stored).scheme().fits(today.memory_kib())
}

/// Whether a dummy of this scheme takes memory beyond an arena of today's size.
pub(crate) fn is_dummy_oversized(scheme: &str, today: Params) -> bool {
    !dummy_scheme(scheme, today).fits(today.memory_kib())
}

fn dummy_scheme(scheme: &str, today: Params) -> Scheme {
    match Scheme::parse(scheme) {
        None | Some(Scheme::Unusable) => today.scheme(),
        Some(scheme) => scheme,
    }
}

fn compute_for_nothing(scheme: Scheme, password: &[u8], arena: &mut Arena) -> Result<(), HashFault> {
    let mut tag = match scheme {
        Scheme::Pbkdf2 { digest, .. } => vec![0; digest.len()],
        Scheme::Bcrypt { .. } => vec![0; 23],
        Scheme::Scrypt { .. } => vec![0; 64],
        Scheme::Argon2 { .. } | Scheme::Unusable => vec![0; TAG],
    };
    derive(scheme, password, &[0; SALT], &mut tag, arena)
}

/// Whether a hash is to be replaced at a login (PW-07): it is not ours, or was made with other parameters. Any
/// difference counts, also a higher cost: an operator who lowers the cost wants it lower for all, and hashes above the
/// size of an arena would queue for one slot for ever. `Params` cannot be below the floor.
fn is_outdated(hash: &Hash, today: Params) -> bool {
    !hash.native || hash.scheme != today.scheme() || hash.salt.len() < SALT || hash.tag.len() != TAG
}
