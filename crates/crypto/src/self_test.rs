//! Known answers, computed once at start-up: a processor, a build or a library that computes wrongly must not serve.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

use crate::jws::{KeyFault, KeyRing, PublicKey, Unverified};
use crate::keyed::{self, IndexKey};
use crate::password::{self, Arena, Outcome, Params};
use crate::seal;

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

/// RFC 8037 appendix A.4: a token signed with Ed25519, by the key of appendix A.2.
const EDDSA_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
     hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
const EDDSA_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// RFC 7515 appendix A.3: a token signed with ES256, by its key.
const ES256_TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.\
     eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
     DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const ES256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const ES256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

/// Made by OpenSSL 3 with a key of 3072 bits: appendix A.2 of RFC 7515 has one of 2048, which we do not take.
const RS256_TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.a25vd24gYW5zd2Vy.b7XKyaHMtjwCs5yCHS-aF2F8SBZtYEBDyh-xSA3DHnrI0fQlLDZ8JLss8i4Y97xfo-Q\
     2VVfS7I-w-3WOVfoe7t1Havois0WX_JNVlXGPeDvMMoAsWupJ_eZURSW-vIAnxPKIDNGFierb93-2p6vqAOcrbDrVyQB-3iT5nMUzQeU_\
     -am_I_ZPBJb4ppBYKXUbWsfhy04NxTQHhU-0H3HJt50ibXSSCntJLx08H4oSekcRMtzM4L3nXYo_ZdfzbBVNb_IcUqafitcYzYoZpLhWh\
     DXKNr0lPCB3k14O3is9MPAsym00qBunvNRe9abCf3Pyd6jTXsQnrXsdCX-68PTWvVOdUrqTGoyxe89uQe3-VdpLemjk1eEXtOjT43Oxcb\
     3Jao_yQLeU4qrrpk46CiVDZedfFr7mxGVNyJJHC-rCDiALrg_WNvSkHow5QhSADHyddVLeUUE7tu6BAuJBsD0rHPvDfGewxsDPhtzNReX\
     oBvLqdJaA8mEMN96L3CJRmrkN";
const RS256_N: &str = "pQzqDmq6rjnHFbWbAROyeUCWzCKNk9U705HqmVBbDR1Dd_BbS2Y6MjuGl8NF6kjJurNyrJ9RNwJgcLgyNIq5qflIt2Ifsc0wQbJHT4j1F\
     qxJN4Rse0cLTWxssxOQ5t-fgZlCkEHd7JqIraTejZnB84aGTvzTyhLpCe2l0du1sFJ8HQyO0cl6As0itmOL3K6HxyoGZIQeZ8MOX4DQSk\
     TRKQ4lC0yVpo7Oi8S-Iozfpus9Vut6ak-b5dtGb4fyc9I7tqUA834BYvDj5jSWDSCsAcEbzWKL_lz22aSe65QsDrPlTyTqhQ4aQ4AEkVk\
     DA7DliL8bVm3BOoU673lAc8FpIksPrBiAHV7PVq1qs43fvTW0QKr3F6tCNp3AFitiE2Ru0WkDyId6JlV5VSaYm6F1Cuh5nOqkAgHijQKi\
     cNbAroNw4CepEF1V4fJC5YpZUuvkeMmUj4cnQBr9s_gbT7Nf0X6GH16fZeaV2fYw4g1dvDThmPBU0QzOgf3x5y9frsZT";

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
    check(public_key(EDDSA_TOKEN, &[EDDSA_X], |part| PublicKey::ed25519(&part[0])), "EdDSA")?;
    check(public_key(ES256_TOKEN, &[ES256_X, ES256_Y], |part| PublicKey::p256(&part[0], &part[1])), "ES256")?;
    check(public_key(RS256_TOKEN, &[RS256_N], |part| PublicKey::rsa(&part[0], &[1, 0, 1])), "RS256")?;
    check(seal::known_answer(), "AES-256-GCM")?;
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

/// Whether a key of these parts takes the token, and not with one letter of its payload changed.
fn public_key(token: &str, parts: &[&str], key: fn(&[Vec<u8>]) -> Result<PublicKey, KeyFault>) -> bool {
    let parts: Result<Vec<_>, _> = parts.iter().map(|part| BASE64URL.decode(part)).collect();
    let Some(key) = parts.ok().and_then(|parts| key(&parts).ok()) else { return false };
    let good = |token: &str| Unverified::parse(token).and_then(|token| token.payload_by_public(&key)).is_ok();
    let start = token.find('.').map_or(0, |dot| dot + 1);
    let letter = if token[start..].starts_with('e') { "a" } else { "e" };
    good(token) && !good(&format!("{}{letter}{}", &token[..start], &token[start + 1..]))
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
