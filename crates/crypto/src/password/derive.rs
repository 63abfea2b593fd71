//! Computing a hash: from scheme, password and salt to the tag.

use std::num::NonZeroU32;

use argon2::Argon2;
use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

use super::arena::{Arena, OutOfMemory};
use super::scheme::{Digest, Scheme};
use crate::keyed;

/// Why no tag was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashFault {
    /// See [`OutOfMemory`].
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// The library refused parameters that were checked before: an error of ours.
    #[error("the parameters of a password hash do not fit together")]
    Parameters,
}

/// Fills `tag` with the hash of `password`, and counts it. The scheme must be affordable, and not
/// [`Scheme::Unusable`].
pub(crate) fn derive(
    scheme: Scheme,
    password: &[u8],
    salt: &[u8],
    tag: &mut [u8],
    arena: &mut Arena,
) -> Result<(), HashFault> {
    compute(scheme, password, salt, tag, arena)?;
    arena.count();
    Ok(())
}

fn compute(
    scheme: Scheme,
    password: &[u8],
    salt: &[u8],
    tag: &mut [u8],
    arena: &mut Arena,
) -> Result<(), HashFault> {
    match scheme {
        Scheme::Argon2 { algorithm, version, memory_kib, iterations, lanes } => {
            let params = argon2::Params::new(memory_kib, iterations, lanes, Some(tag.len()))
                .map_err(|_| HashFault::Parameters)?;
            let argon2 = Argon2::new(algorithm, version, params);
            arena
                .with(memory_kib, |blocks| {
                    argon2.hash_password_into_with_memory(password, salt, tag, blocks)
                })?
                .map_err(|_| HashFault::Parameters)
        }
        Scheme::Pbkdf2 { digest, iterations } => {
            let iterations = NonZeroU32::new(iterations).ok_or(HashFault::Parameters)?;
            let algorithm = match digest {
                Digest::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
                Digest::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
                Digest::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
            };
            pbkdf2::derive(algorithm, iterations, salt, password, tag);
            Ok(())
        }
        Scheme::Bcrypt { prehashed, cost } => {
            let salt = <[u8; 16]>::try_from(salt).map_err(|_| HashFault::Parameters)?;
            let key =
                if prehashed { hexadecimal_sha256(password) } else { Zeroizing::new(password.to_vec()) };
            let full = bcrypt(cost, salt, &key);
            tag.copy_from_slice(full.get(..tag.len()).ok_or(HashFault::Parameters)?);
            Ok(())
        }
        Scheme::Scrypt { n, r, p } => {
            let log_n = u8::try_from(n.ilog2()).map_err(|_| HashFault::Parameters)?;
            let params = scrypt::Params::new(log_n, r, p).map_err(|_| HashFault::Parameters)?;
            scrypt::scrypt(password, salt, &params, tag).map_err(|_| HashFault::Parameters)
        }
        Scheme::Unusable => Err(HashFault::Parameters),
    }
}

/// bcrypt as its authors have it: the password ends with a zero byte and counts to its 72nd byte only.
fn bcrypt(cost: u32, salt: [u8; 16], password: &[u8]) -> [u8; 24] {
    let mut key = Zeroizing::new([0; 72]);
    let used = password.len().min(72);
    key[..used].copy_from_slice(&password[..used]);
    bcrypt::bcrypt(cost, salt, &key[..(used + 1).min(72)])
}

/// The SHA-256 of the password as 64 lower-case hexadecimal digits, as Django's `bcrypt_sha256` does.
fn hexadecimal_sha256(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let digest = Zeroizing::new(keyed::sha256(password));
    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    Zeroizing::new(digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
}
