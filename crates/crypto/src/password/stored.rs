//! Reading stored hashes: our PHC strings, the forms of `django.contrib.auth.hashers` (Django 4.2 to 5.2), and those that other
//! programs write: PHC strings of PBKDF2 and scrypt, and bcrypt as it is (`$2b$`).

use argon2::Version;
use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, STANDARD, STANDARD_NO_PAD};

use super::scheme::{Digest, Scheme, decimal};

/// bcrypt's own alphabet.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD);

/// Longest stored text that is looked at, in bytes. Django's column holds 128 characters.
const MAX_STORED: usize = 1024;
/// Shortest tag that still says something about a password, in bytes.
const MIN_TAG: usize = 16;
/// Longest tag, in bytes; Django's longest has 64.
const MAX_TAG: usize = 128;
/// Shortest salt of Argon2 (RFC 9106 section 3.1), in bytes.
const MIN_ARGON2_SALT: usize = 8;

/// What a stored text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    /// A hash that we can check.
    Hash(Hash),
    /// Marked as no password at all (Django's `!...`), or empty: nobody can log in with one.
    Unusable,
    /// Unknown, broken or too costly.
    Broken,
}

/// A hash that we can check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hash {
    pub(crate) scheme: Scheme,
    pub(crate) salt: Vec<u8>,
    pub(crate) tag: Vec<u8>,
    /// Made by us: a PHC string without a foreign prefix.
    pub(crate) native: bool,
}

impl Stored {
    /// Reads a stored text. Never panics, and takes time linear in at most [`MAX_STORED`] bytes.
    pub(crate) fn parse(text: &str) -> Self {
        if text.is_empty() || text.starts_with('!') {
            return Self::Unusable;
        }
        if text.len() > MAX_STORED {
            return Self::Broken;
        }
        match Hash::parse(text) {
            Some(hash) if hash.scheme.is_affordable() => Self::Hash(hash),
            _ => Self::Broken,
        }
    }

    /// What checking a password against it costs.
    pub(crate) fn scheme(&self) -> Scheme {
        match self {
            Self::Hash(hash) => hash.scheme,
            Self::Unusable | Self::Broken => Scheme::Unusable,
        }
    }
}

impl Hash {
    fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('$')?;
        match name {
            "" => Self::parse_modular(rest),
            "argon2" => Self::parse_argon2(rest, false),
            "pbkdf2_sha256" => Self::parse_pbkdf2(Digest::Sha256, rest),
            "pbkdf2_sha1" => Self::parse_pbkdf2(Digest::Sha1, rest),
            "bcrypt_sha256" => Self::parse_bcrypt(true, rest),
            "bcrypt" => Self::parse_bcrypt(false, rest),
            "scrypt" => Self::parse_scrypt(rest),
            _ => None,
        }
    }

    /// What follows the first `$` of the forms that begin with one.
    fn parse_modular(rest: &str) -> Option<Self> {
        let (name, parameters) = rest.split_once('$')?;
        match name {
            "pbkdf2" | "pbkdf2-sha1" => Self::parse_pbkdf2_phc(Digest::Sha1, parameters),
            "pbkdf2-sha256" => Self::parse_pbkdf2_phc(Digest::Sha256, parameters),
            "pbkdf2-sha512" => Self::parse_pbkdf2_phc(Digest::Sha512, parameters),
            "scrypt" => Self::parse_scrypt_phc(parameters),
            "2a" | "2b" | "2y" => Self::parse_bcrypt_after(false, parameters),
            _ => Self::parse_argon2(rest, true),
        }
    }

    /// `i=600000,l=32$salt$tag` as the PHC string format has it, or `600000$salt$tag` as passlib writes it.
    fn parse_pbkdf2_phc(digest: Digest, rest: &str) -> Option<Self> {
        let (costs, rest) = rest.split_once('$')?;
        let (salt, tag) = rest.split_once('$')?;
        let iterations = match costs.strip_prefix("i=") {
            Some(costs) => match costs.split_once(",l=") {
                Some((iterations, length)) if decimal(length)? as usize == digest.len() => iterations,
                Some(_) => return None,
                None => costs,
            },
            None => costs,
        };
        let scheme = Scheme::Pbkdf2 { digest, iterations: decimal(iterations)? };
        let (salt, tag) = (phc_base64(salt)?, phc_base64(tag)?);
        let sound = !salt.is_empty() && tag.len() == digest.len();
        sound.then_some(Self { scheme, salt, tag, native: false })
    }

    /// `ln=16,r=8,p=1$salt$tag`; `ln` is the logarithm of N.
    fn parse_scrypt_phc(rest: &str) -> Option<Self> {
        let (costs, rest) = rest.split_once('$')?;
        let (salt, tag) = rest.split_once('$')?;
        let mut costs = costs.splitn(3, ',');
        let mut cost = |key: &str| decimal(costs.next()?.strip_prefix(key)?);
        let (log_n, r, p) = (cost("ln=")?, cost("r=")?, cost("p=")?);
        let scheme = Scheme::Scrypt { n: 1u32.checked_shl(log_n)?, r, p };
        let (salt, tag) = (phc_base64(salt)?, phc_base64(tag)?);
        let sound = !salt.is_empty() && (MIN_TAG..=MAX_TAG).contains(&tag.len());
        sound.then_some(Self { scheme, salt, tag, native: false })
    }

    /// `argon2id$v=19$m=..,t=..,p=..$salt$tag`; without `v` it is version 16, as the reference implementation has it.
    fn parse_argon2(rest: &str, native: bool) -> Option<Self> {
        let (name, rest) = rest.split_once('$')?;
        let (version, rest) = match rest.strip_prefix("v=") {
            None => (Version::V0x10, rest),
            Some(rest) => match rest.split_once('$')? {
                ("19", rest) => (Version::V0x13, rest),
                ("16", rest) => (Version::V0x10, rest),
                _ => return None,
            },
        };
        let (costs, rest) = rest.split_once('$')?;
        let (salt, tag) = rest.split_once('$')?;
        let scheme = Scheme::parse_argon2(name, version, costs)?;
        let (salt, tag) = (STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(tag).ok()?);
        let sound = salt.len() >= MIN_ARGON2_SALT && (MIN_TAG..=MAX_TAG).contains(&tag.len());
        sound.then_some(Self { scheme, salt, tag, native })
    }

    /// `iterations$salt$tag`; the salt is text and used as it stands.
    fn parse_pbkdf2(digest: Digest, rest: &str) -> Option<Self> {
        let (iterations, rest) = rest.split_once('$')?;
        let (salt, tag) = rest.split_once('$')?;
        let tag = STANDARD.decode(tag).ok()?;
        let sound = !salt.is_empty() && tag.len() == digest.len();
        let scheme = Scheme::Pbkdf2 { digest, iterations: decimal(iterations)? };
        sound.then(|| Self { scheme, salt: salt.into(), tag, native: false })
    }

    /// `$2b$12$` and 53 characters: 16 bytes of salt, 23 bytes of tag.
    fn parse_bcrypt(prehashed: bool, rest: &str) -> Option<Self> {
        // `2x` marks hashes of a faulty program, which are computed otherwise.
        let rest = ["$2b$", "$2a$", "$2y$"].iter().find_map(|version| rest.strip_prefix(version))?;
        Self::parse_bcrypt_after(prehashed, rest)
    }

    /// `12$` and 53 characters.
    fn parse_bcrypt_after(prehashed: bool, rest: &str) -> Option<Self> {
        let (cost, encoded) = rest.split_once('$')?;
        if cost.len() != 2 || encoded.len() != 53 {
            return None;
        }
        let cost = decimal(cost.strip_prefix('0').unwrap_or(cost))?;
        let (salt, tag) = encoded.split_at_checked(22)?;
        let (salt, tag) = (BCRYPT_BASE64.decode(salt).ok()?, BCRYPT_BASE64.decode(tag).ok()?);
        Some(Self { scheme: Scheme::Bcrypt { prehashed, cost }, salt, tag, native: false })
    }

    /// `N$salt$r$p$tag`; the salt is text and used as it stands.
    fn parse_scrypt(rest: &str) -> Option<Self> {
        let mut parts = rest.splitn(5, '$');
        let mut part = || parts.next();
        let (n, salt, r, p, tag) = (part()?, part()?, part()?, part()?, part()?);
        let scheme = Scheme::Scrypt { n: decimal(n)?, r: decimal(r)?, p: decimal(p)? };
        let tag = STANDARD.decode(tag).ok()?;
        let sound = !salt.is_empty() && tag.len() == 64;
        sound.then(|| Self { scheme, salt: salt.into(), tag, native: false })
    }
}

/// Base64 of the PHC string format: no padding; passlib has `.` in the place of `+`.
fn phc_base64(text: &str) -> Option<Vec<u8>> {
    if text.contains('.') && text.contains('+') {
        return None;
    }
    STANDARD_NO_PAD.decode(text.replace('.', "+")).ok()
}

/// Our own form, a PHC string: `$argon2id$v=19$m=..,t=..,p=..$salt$tag`.
pub(crate) fn encode(scheme: Scheme, salt: &[u8], tag: &[u8]) -> String {
    let scheme = scheme.to_string().replacen('$', "$v=19$", 1);
    format!("${scheme}${}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(tag))
}
