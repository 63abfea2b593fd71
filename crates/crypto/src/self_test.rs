//! Known answers, computed once at start-up: a processor, a build or a library that computes wrongly must not serve.

use crate::jws::KeyRing;
use crate::keyed::{self, IndexKey};
use crate::password::{self, Arena, Outcome, Params};

/// A computation gave another result than its standard says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("self test failed: {0} computes wrong results on this machine")]
pub struct SelfTestFailed(&'static str);

/// RFC 7515 appendix A.1: a token signed with HS256, by its key.
const HS256_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
     eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
     dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const HS256_KEY: [u8; 64] = [
    3, 35, 53, 75, 43, 15, 165, 188, 131, 126, 6, 101, 119, 123, 166, 143, 90, 179, 40, 230, 240, 84, 201,
    40, 169, 15, 132, 178, 210, 80, 46, 191, 211, 251, 90, 146, 210, 6, 71, 239, 150, 138, 180, 195, 119, 98,
    61, 34, 61, 46, 33, 114, 5, 46, 79, 8, 192, 205, 154, 245, 103, 208, 128, 163,
];

/// SHA-256 of "abc" (FIPS 180-4 example).
const SHA256_ABC: [u8; 32] = [
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0,
    0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
];

/// Made by the reference implementation of Argon2. Small, so that it takes no time.
const ARGON2ID: &str =
    "$argon2id$v=19$m=32,t=3,p=4$MDEyMzQ1Njc4OWFiY2RlZg$6t9WV4MJTNkwlVfysdYcB8tu2aP+78EAnDBR8r8GwqQ";

/// Computes one known answer for each algorithm that the service depends on. Takes well under a millisecond: the random
/// generator, which has no known answer and needs some 20 ms to seed itself, is left out.
///
/// # Errors
/// Names the first algorithm whose result is wrong. The service must not start then.
pub fn self_test() -> Result<(), SelfTestFailed> {
    check(keyed::sha256(b"abc") == SHA256_ABC, "SHA-256")?;
    check(!keyed::equal(b"same", b"sane") && keyed::equal(b"same", b"same"), "comparison")?;
    check(index_key_is_stable(), "HKDF")?;
    check(tokens_are_checked(), "HS256")?;
    check(passwords_are_checked(), "Argon2id")
}

fn check(right: bool, what: &'static str) -> Result<(), SelfTestFailed> {
    if right { Ok(()) } else { Err(SelfTestFailed(what)) }
}

/// Rows in the database are found by these digests: another build must derive the same key. The number was computed
/// with Python's `hmac` and `hashlib`.
fn index_key_is_stable() -> bool {
    IndexKey::derive(b"secret", "label").number(b"data") == 0x19ab_3325_d746_ac63
}

fn tokens_are_checked() -> bool {
    let keys = KeyRing::hs256(&HS256_KEY, &[]);
    let signed = keys.sign(b"payload");
    let altered = signed.replacen("cGF5", "cGE5", 1);
    keys.verify(HS256_TOKEN).is_ok()
        && keys.verify(&signed).is_ok_and(|payload| payload == b"payload")
        && altered != signed
        && keys.verify(&altered).is_err()
}

fn passwords_are_checked() -> bool {
    let mut arena = Arena::new(32);
    let mut outcome = |password: &[u8]| password::verify(password, ARGON2ID, Params::default(), &mut arena);
    outcome(b"self test") == Ok(Outcome::Outdated) && outcome(b"self tess") == Ok(Outcome::Wrong)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_passes_here() {
        assert_eq!(super::self_test(), Ok(()));
    }
}
