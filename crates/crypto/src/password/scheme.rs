//! What a hash costs: its algorithm and cost parameters, without salt and tag.

use std::fmt;

use argon2::{Algorithm, Version};

/// Ceilings for cost parameters that come from stored text (PW-09). They are some times above what any known program
/// uses by default, and keep one check below a few seconds and [`MAX_MEMORY_KIB`].
const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// Argon2: memory in KiB times passes. The default of new hashes is 38,912; Django's 204,800.
const MAX_ARGON2_WORK: u64 = 1 << 21;
/// Argon2: lanes. Django uses 8.
const MAX_LANES: u32 = 64;
/// PBKDF2: Django 5.2 uses 1,000,000 and adds about a fifth with every version.
const MAX_ITERATIONS: u32 = 3_000_000;
/// bcrypt: the cost is a power of two; 12 is usual, each more doubles it.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=16;
/// scrypt: N times r times p. Django uses 655,360.
const MAX_SCRYPT_WORK: u64 = 1 << 23;

/// An algorithm with its costs. Two hashes of one scheme take the same time to check.
///
/// Its text form ([`fmt::Display`], [`Scheme::parse`]) is `argon2id$m=19456,t=2,p=1`, `pbkdf2_sha256$870000`,
/// `bcrypt_sha256$12`, `scrypt$16384,8,5` or `unusable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// RFC 9106 and its forerunner version 16.
    Argon2 { algorithm: Algorithm, version: Version, memory_kib: u32, iterations: u32, lanes: u32 },
    /// RFC 8018.
    Pbkdf2 { digest: Digest, iterations: u32 },
    /// bcrypt of the password, or of its SHA-256 in hexadecimal.
    Bcrypt { prehashed: bool, cost: u32 },
    /// RFC 7914.
    Scrypt { n: u32, r: u32, p: u32 },
    /// No hash at all: checking computes a hash of ours, to take the time of one.
    Unusable,
}

/// The hash function inside PBKDF2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    /// Length of its output in bytes, which is the length of the tags that we take.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl Scheme {
    pub(crate) fn argon2id(memory_kib: u32, iterations: u32, lanes: u32) -> Self {
        Self::Argon2 {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            memory_kib,
            iterations,
            lanes,
        }
    }

    /// Whether we compute it: the parameters are valid and below the ceilings.
    pub(crate) fn is_affordable(self) -> bool {
        match self {
            Self::Argon2 { memory_kib, iterations, lanes, .. } => {
                (1..=MAX_LANES).contains(&lanes)
                    && (8 * lanes..=MAX_MEMORY_KIB).contains(&memory_kib)
                    && iterations >= 1
                    && u64::from(memory_kib) * u64::from(iterations) <= MAX_ARGON2_WORK
            }
            Self::Pbkdf2 { iterations, .. } => (1..=MAX_ITERATIONS).contains(&iterations),
            Self::Bcrypt { cost, .. } => BCRYPT_COSTS.contains(&cost),
            Self::Scrypt { n, r, p } => {
                // No overflow: at most 32 + 7 + 11 + 11 bits; the products come after the bounds of `r` and `p`.
                let small = (1..=1024).contains(&r) && (1..=1024).contains(&p);
                small
                    && n >= 2
                    && n.is_power_of_two()
                    && 128 * u64::from(r) * (u64::from(n) + u64::from(p)) <= u64::from(MAX_MEMORY_KIB) * 1024
                    && u64::from(n) * u64::from(r * p) <= MAX_SCRYPT_WORK
            }
            Self::Unusable => true,
        }
    }

    /// Whether a computation needs no more memory than an arena of `arena_kib` KiB, and a few kilobytes. scrypt's
    /// memory is never the arena's: the library allocates it.
    pub(crate) fn fits(self, arena_kib: u32) -> bool {
        match self {
            Self::Argon2 { memory_kib, .. } => memory_kib <= arena_kib,
            Self::Scrypt { .. } => false,
            Self::Pbkdf2 { .. } | Self::Bcrypt { .. } | Self::Unusable => true,
        }
    }

    /// Reads the text form. `None` for anything that [`fmt::Display`] does not write, and for too high costs.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let scheme = if text == "unusable" { Self::Unusable } else { Self::parse_parts(text)? };
        (scheme.is_affordable() && scheme.to_string() == text).then_some(scheme)
    }

    fn parse_parts(text: &str) -> Option<Self> {
        let (name, costs) = text.split_once('$')?;
        match name {
            "pbkdf2_sha1" => Some(Self::Pbkdf2 { digest: Digest::Sha1, iterations: decimal(costs)? }),
            "pbkdf2_sha256" => Some(Self::Pbkdf2 { digest: Digest::Sha256, iterations: decimal(costs)? }),
            "pbkdf2_sha512" => Some(Self::Pbkdf2 { digest: Digest::Sha512, iterations: decimal(costs)? }),
            "bcrypt" | "bcrypt_sha256" => {
                Some(Self::Bcrypt { prehashed: name == "bcrypt_sha256", cost: decimal(costs)? })
            }
            "scrypt" => {
                let mut costs = costs.splitn(3, ',').map(decimal);
                Some(Self::Scrypt { n: costs.next()??, r: costs.next()??, p: costs.next()?? })
            }
            _ => {
                let (version, costs) = match costs.strip_prefix("v=16,") {
                    Some(rest) => (Version::V0x10, rest),
                    None => (Version::V0x13, costs),
                };
                Self::parse_argon2(name, version, costs)
            }
        }
    }

    /// Reads `m=..,t=..,p=..`, in this order, as the reference implementation writes it. The costs are not judged.
    pub(crate) fn parse_argon2(name: &str, version: Version, costs: &str) -> Option<Self> {
        let algorithm = match name {
            "argon2id" => Algorithm::Argon2id,
            "argon2i" => Algorithm::Argon2i,
            "argon2d" => Algorithm::Argon2d,
            _ => return None,
        };
        let mut costs = costs.splitn(3, ',');
        let mut cost = |key: &str| decimal(costs.next()?.strip_prefix(key)?);
        let (memory_kib, iterations, lanes) = (cost("m=")?, cost("t=")?, cost("p=")?);
        Some(Self::Argon2 { algorithm, version, memory_kib, iterations, lanes })
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Argon2 { algorithm, version, memory_kib, iterations, lanes } => {
                let version = if version == Version::V0x10 { "v=16," } else { "" };
                write!(f, "{}${version}m={memory_kib},t={iterations},p={lanes}", algorithm.as_str())
            }
            Self::Pbkdf2 { digest: Digest::Sha1, iterations } => write!(f, "pbkdf2_sha1${iterations}"),
            Self::Pbkdf2 { digest: Digest::Sha256, iterations } => write!(f, "pbkdf2_sha256${iterations}"),
            Self::Pbkdf2 { digest: Digest::Sha512, iterations } => write!(f, "pbkdf2_sha512${iterations}"),
            Self::Bcrypt { prehashed: true, cost } => write!(f, "bcrypt_sha256${cost}"),
            Self::Bcrypt { prehashed: false, cost } => write!(f, "bcrypt${cost}"),
            Self::Scrypt { n, r, p } => write!(f, "scrypt${n},{r},{p}"),
            Self::Unusable => f.write_str("unusable"),
        }
    }
}

/// A decimal number as programs write it: digits only, no leading zero, at most 32 bits.
pub(crate) fn decimal(text: &str) -> Option<u32> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::{Scheme, decimal};

    #[test]
    fn the_text_form_is_read_back() {
        for text in [
            "argon2id$m=19456,t=2,p=1",
            "argon2i$v=16,m=64,t=2,p=1",
            "argon2d$m=8,t=1,p=1",
            "pbkdf2_sha256$870000",
            "pbkdf2_sha1$1",
            "pbkdf2_sha512$210000",
            "bcrypt_sha256$12",
            "bcrypt$4",
            "scrypt$16384,8,5",
            "unusable",
        ] {
            assert_eq!(Scheme::parse(text).expect(text).to_string(), text);
        }
    }

    // PW-09
    #[test]
    fn costs_beyond_the_ceilings_are_refused() {
        for text in [
            "argon2id$m=4294967295,t=1,p=1",
            "argon2id$m=262145,t=1,p=1",
            "argon2id$m=8,t=4294967295,p=1",
            "argon2id$m=19456,t=2,p=4294967295",
            "argon2id$m=7,t=2,p=1",
            "argon2id$m=15,t=2,p=2",
            "argon2id$m=64,t=0,p=1",
            "argon2id$m=64,t=1,p=0",
            "pbkdf2_sha256$0",
            "pbkdf2_sha256$10000001",
            "pbkdf2_sha1$4294967296",
            "bcrypt$3",
            "bcrypt_sha256$17",
            "scrypt$16383,8,5",
            "scrypt$1,8,5",
            "scrypt$0,8,5",
            "scrypt$2147483648,1024,1024",
            "scrypt$16384,0,5",
            "scrypt$16384,8,0",
            "scrypt$262144,8,8",
        ] {
            assert_eq!(Scheme::parse(text), None, "{text}");
        }
    }

    #[test]
    fn another_spelling_is_refused() {
        for text in [
            "",
            "$",
            "argon2id",
            "argon2id$",
            "argon2id$m=64,t=2",
            "argon2id$m=64,p=1,t=2",
            "argon2id$m=64,t=2,p=1,x=1",
            "argon2id$v=19,m=64,t=2,p=1",
            "pbkdf2_sha256$+1",
            "pbkdf2_sha256$01",
            "pbkdf2_sha256$",
            "bcrypt$ 4",
            "scrypt$16384,8",
            "scrypt$16384,8,5,1",
            "md5$1",
            "Unusable",
        ] {
            assert_eq!(Scheme::parse(text), None, "{text}");
        }
        assert_eq!(decimal(""), None);
        assert_eq!(decimal("4294967295"), Some(u32::MAX));
    }
}
