//! Project Wycheproof's vectors for signatures, JWS and JWK (C2SP, Apache-2.0), read from a folder that is not part of
//! this repository: `BOOKSTORE_AUTH_VECTORS`, or `../shared/vectors` beside it. Without it the tests say what they
//! skipped.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Map, Value, json};

use crate::jose::Unverified;
use crate::jwks::Keys;
use crate::key::{Algorithm, Key, MIN_RSA_BITS};

/// The folder of vectors, where there is one.
pub(crate) fn folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let folder = std::env::var_os("BOOKSTORE_AUTH_VECTORS").map_or_else(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// Says what did not run, also in the file that `./test` prints at its end.
pub(crate) fn skipped(what: &str) {
    eprintln!("skipped: {what}");
    let file = std::env::var_os("BOOKSTORE_AUTH_SKIPPED").map(|path| File::options().append(true).open(path));
    if let Some(Ok(mut file)) = file {
        file.write_all(format!("{what}\n").as_bytes()).expect("the note is taken");
    }
}

fn load(name: &str) -> Option<Value> {
    let file = folder().map(|folder| folder.join("wycheproof").join(name)).filter(|file| file.is_file());
    let Some(file) = file else {
        skipped(&format!(
            "verifier, Wycheproof {name}: set BOOKSTORE_AUTH_VECTORS to the folder of wycheproof/"
        ));
        return None;
    };
    Some(serde_json::from_slice(&std::fs::read(file).expect(name)).expect(name))
}

fn groups(vectors: &Value) -> &[Value] {
    vectors["testGroups"].as_array().expect("groups")
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hexadecimal digits");
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits");
    (0..text.len()).step_by(2).map(digit).collect()
}

/// The group's key; some points are given as bytes only.
fn jwk_of(group: &Value) -> Map<String, Value> {
    if let Some(jwk) = group.get("publicKeyJwk") {
        return object(jwk).clone();
    }
    let point = hex(&group["publicKey"]["uncompressed"]);
    let (x, y) = (BASE64URL.encode(&point[1..33]), BASE64URL.encode(&point[33..]));
    object(&json!({"kty": "EC", "crv": "P-256", "kid": "none", "x": x, "y": y})).clone()
}

/// Runs every vector of a file of bare signatures; returns valid and invalid ones.
fn bare_signatures(name: &str, algorithm: Algorithm) -> Option<(usize, usize)> {
    let vectors = load(name)?;
    let mut count = (0, 0);
    for group in groups(&vectors) {
        let key = Key::read(&jwk_of(group)).expect("a usable key");
        assert_eq!(key.algorithm(), algorithm);
        for test in group["tests"].as_array().expect("tests") {
            let valid = test["result"] == "valid";
            let made = key.made(&hex(&test["msg"]), &hex(&test["sig"]));
            assert_eq!(made, valid, "{} {}", test["tcId"], test["comment"]);
            if valid { count.0 += 1 } else { count.1 += 1 }
        }
    }
    Some(count)
}

// TK-08, TK-11
#[test]
fn ed25519() {
    let Some(count) = bare_signatures("ed25519_test.json", Algorithm::EdDsa) else { return };
    assert_eq!(count, (88, 63));
}

// TK-08, TK-11
#[test]
fn ecdsa_p256() {
    let count = bare_signatures("ecdsa_secp256r1_sha256_p1363_test.json", Algorithm::Es256);
    let Some(count) = count else { return };
    assert_eq!(count, (173, 89));
}

/// The set that a group's key makes. The RSA keys of the vectors have 2048 bits, which we refuse; they are read here all
/// the same, so that the vectors say something about the rest.
fn keys_of(group: &Value) -> Keys {
    let jwk = group.get("public").unwrap_or(&group["private"]);
    if jwk.get("keys").is_some() {
        return Keys::read(jwk.to_string().as_bytes()).unwrap_or_default();
    }
    let mut jwk = object(jwk).clone();
    if group.get("public").is_none() {
        jwk.retain(|name, _| !["d", "p", "q", "dp", "dq", "qi"].contains(&name.as_str()));
    }
    assert!(jwk.get("kty") != Some(&"RSA".into()) || Key::read(&jwk).is_none(), "weaker than we take");
    // The flaw ROCA is not looked for: that key is refused for its size, as every other of 2048 bits.
    let bits = if jwk.get("kid") == Some(&"kid-rsa-roca-sign".into()) { MIN_RSA_BITS } else { 2048 };
    Key::read_with(&jwk, bits).map(Keys::only).unwrap_or_default()
}

/// Runs a file of tokens; returns how many were taken and how many refused.
fn tokens(name: &str, expected: fn(&Value, bool) -> bool) -> Option<(usize, usize)> {
    let vectors = load(name)?;
    let mut count = (0, 0);
    for group in groups(&vectors) {
        let keys = keys_of(group);
        for test in group["tests"].as_array().expect("tests") {
            let token = ["jws", "jwe"].iter().find_map(|name| test.get(*name)).expect("a token");
            let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
            let taken =
                Unverified::parse(&token, 16 * 1024).and_then(|token| token.verify_bytes(&keys).map(drop));
            let wanted = expected(group, test["result"] == "valid") && !MISRECORDED.contains(&comment(test));
            assert_eq!(taken.is_ok(), wanted, "{} {} {:?}", test["tcId"], test["comment"], taken.err());
            if wanted { count.0 += 1 } else { count.1 += 1 }
        }
    }
    Some(count)
}

fn comment(test: &Value) -> &str {
    test["comment"].as_str().expect("a comment")
}

/// Recorded as valid, but not base64url (RFC 7515 section 2).
const MISRECORDED: [&str; 2] = ["InvalidCharacterInsertedInHeader", "InvalidCharacterInsertedInPayload"];

/// Only our algorithms, and of them only what is recorded as valid.
fn ours(group: &Value, valid: bool) -> bool {
    let jwk = group.get("public").unwrap_or(&group["private"]);
    valid && ["EdDSA", "ES256", "RS256"].iter().any(|name| jwk.get("alg") == Some(&Value::from(*name)))
}

// TK-01, TK-08, TK-11
#[test]
fn json_web_signature() {
    let Some(count) = tokens("json_web_signature_test.json", ours) else { return };
    assert_eq!(count, (10, 391));
}

// TK-01, TK-08, TK-11
#[test]
fn json_web_key() {
    let Some(count) = tokens("json_web_key_test.json", ours) else { return };
    assert_eq!(count, (0, 26));
}

// TK-01, TK-08, TK-11
#[test]
fn json_web_crypto() {
    let Some(count) = tokens("json_web_crypto_test.json", ours) else { return };
    assert_eq!(count, (2, 81));
}
