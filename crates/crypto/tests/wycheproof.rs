//! Project Wycheproof's vectors for JWS and JWK (C2SP, Apache-2.0), read from a folder that is not part of this
//! repository: `BOOKSTORE_AUTH_VECTORS`, or `../shared/vectors` beside it. Without it the tests say what they skipped.
//!
//! Vectors for HS256 and ES256 must come out as recorded, and every other must be refused whatever secret the ring has, also
//! when that is a public key's bytes. Those for RS256 have keys of 2048 bits, which are refused as such. The vectors for bare
//! Ed25519 and P-256 signatures show that the primitives of both are sound.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use crypto::jws::{KeyFault, KeyRing, PublicKey, Unverified};
use serde_json::Value;

/// Vectors for HS256 whose record contradicts the rest of the file, with what is right.
const MISRECORDED: [(&str, bool); 4] = [
    // Recorded as valid. A `?` in a segment is not base64url (RFC 7515 section 2), and the signature is not over it.
    ("InvalidCharacterInsertedInHeader", false),
    ("InvalidCharacterInsertedInPayload", false),
    // Recorded as invalid for padding that the token does not have: it is the one recorded as valid in "ValidMac".
    ("invalidBase64Padding", true),
    ("invalidBase64PaddingInPayload", true),
];

#[derive(Default, Debug, PartialEq)]
struct Count {
    hs256_valid: usize,
    hs256_invalid: usize,
    es256_valid: usize,
    es256_invalid: usize,
    rsa_too_small: usize,
    misrecorded: usize,
    others_refused: usize,
}

fn folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let folder =
        std::env::var_os("BOOKSTORE_AUTH_VECTORS").map_or_else(beside, PathBuf::from).join("wycheproof");
    folder.is_dir().then_some(folder)
}

/// Says what did not run, also in the file that `./test` prints at its end.
fn skipped(what: &str) {
    eprintln!("skipped: {what}");
    let file = std::env::var_os("BOOKSTORE_AUTH_SKIPPED").map(|path| File::options().append(true).open(path));
    if let Some(Ok(mut file)) = file {
        file.write_all(format!("{what}\n").as_bytes()).expect("the note is taken");
    }
}

fn load(name: &str) -> Option<Value> {
    let Some(folder) = folder() else {
        skipped(&format!(
            "Wycheproof {name}: set BOOKSTORE_AUTH_VECTORS to the folder that holds wycheproof/"
        ));
        return None;
    };
    let text = std::fs::read(folder.join(name)).expect(name);
    Some(serde_json::from_slice(&text).expect(name))
}

/// The ring that a set of JSON Web Keys makes, where it is one that we would use: keys for HS256 signatures only, each
/// of at least 256 bits (RFC 7518 section 3.2), no key id twice. `None` otherwise. The service reads no JWK yet.
fn ring_of(key: &Value) -> Option<KeyRing> {
    let keys = match key.get("keys") {
        Some(keys) => keys.as_array()?.iter().collect(),
        None => vec![key],
    };
    let is = |key: &Value, name: &str, value: &str| key.get(name).and_then(Value::as_str) == Some(value);
    let fits = |key: &Value| is(key, "kty", "oct") && is(key, "alg", "HS256") && is(key, "use", "sig");
    let ids: Vec<_> = keys.iter().map(|key| &key["kid"]).collect();
    let unique = ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id));
    if !unique || !keys.iter().all(|key| fits(key)) {
        return None;
    }
    let secrets: Option<Vec<Vec<u8>>> = keys
        .iter()
        .map(|key| BASE64URL.decode(key["k"].as_str()?).ok().filter(|key| key.len() >= 32))
        .collect();
    let secrets = secrets?;
    let (first, rest) = secrets.split_first()?;
    Some(KeyRing::hs256(first, &rest.iter().map(Vec::as_slice).collect::<Vec<_>>()))
}

/// Rings whose secret is what an attacker knows of a key that is not ours: its members as text and as bytes.
fn confused_rings(key: &Value) -> Vec<KeyRing> {
    let keys = key.get("keys").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![key.clone()]);
    let mut secrets = vec![key.to_string().into_bytes(), b"any other secret of thirty-two bytes".to_vec()];
    for key in &keys {
        for (name, value) in key.as_object().expect("a key is an object") {
            let Some(text) = value.as_str().filter(|_| name != "k") else { continue };
            secrets.push(text.as_bytes().to_vec());
            secrets.extend(BASE64URL.decode(text));
        }
    }
    secrets.iter().filter(|secret| !secret.is_empty()).map(|secret| KeyRing::hs256(secret, &[])).collect()
}

fn run(vectors: &Value) -> Count {
    let mut count = Count::default();
    for group in vectors["testGroups"].as_array().expect("groups") {
        let keys: Vec<&Value> = ["private", "public"].iter().filter_map(|name| group.get(*name)).collect();
        let tests = group["tests"].as_array().expect("tests");
        if let Some(key) = es256_of(group.get("public").unwrap_or(keys[0])) {
            check_es256(&key, tests, &mut count);
            continue;
        }
        count.rsa_too_small += usize::from(has_small_rsa_key(group.get("public").unwrap_or(keys[0])));
        let Some(ring) = ring_of(keys[0]) else {
            refuse_all(&keys, tests);
            count.others_refused += tests.len();
            continue;
        };
        for test in tests {
            let recorded = test["result"] == "valid";
            let comment = test["comment"].as_str().expect("a comment");
            let corrected = MISRECORDED.iter().find(|(name, _)| *name == comment).map(|(_, valid)| *valid);
            let valid = corrected.unwrap_or(recorded);
            assert_eq!(ring.verify(&token_of(test)).is_ok(), valid, "{} {comment}", test["tcId"]);
            if corrected == Some(true) {
                assert!(
                    tests.iter().any(|other| other["comment"] == "ValidMac" && other["jws"] == test["jws"])
                );
            }
            match (corrected, valid) {
                (Some(_), _) => count.misrecorded += 1,
                (None, true) => count.hs256_valid += 1,
                (None, false) => count.hs256_invalid += 1,
            }
        }
    }
    count
}

/// The key of a JWK that is one for ES256 signatures and says so.
fn es256_of(key: &Value) -> Option<PublicKey> {
    let is = |name: &str, value: &str| key.get(name).and_then(Value::as_str) == Some(value);
    if !(is("kty", "EC") && is("crv", "P-256") && is("alg", "ES256") && is("use", "sig")) {
        return None;
    }
    let coordinate = |name: &str| BASE64URL.decode(key[name].as_str()?).ok();
    PublicKey::p256(&coordinate("x")?, &coordinate("y")?).ok()
}

/// TK-08: whether this is an RSA key, which must then be too small or have a bad exponent.
fn has_small_rsa_key(key: &Value) -> bool {
    let (Some(n), Some(e)) = (key["n"].as_str(), key["e"].as_str()) else { return false };
    let (n, e) = (BASE64URL.decode(n).expect("base64url"), BASE64URL.decode(e).expect("base64url"));
    assert_eq!(PublicKey::rsa(&n, &e).err(), Some(KeyFault::Size), "{key}");
    true
}

fn check_es256(key: &PublicKey, tests: &[Value], count: &mut Count) {
    for test in tests {
        let token = token_of(test);
        let taken = Unverified::parse(&token).and_then(|token| token.payload_by_public(key)).is_ok();
        assert_eq!(taken, test["result"] == "valid", "{} {}", test["tcId"], test["comment"]);
        let counted = if taken { &mut count.es256_valid } else { &mut count.es256_invalid };
        *counted += 1;
    }
}

/// Runs vectors for bare signatures: valid and invalid ones.
fn run_bare(name: &str, key_of: fn(&Value) -> PublicKey) -> Option<(usize, usize)> {
    let vectors = load(name)?;
    let (mut valid, mut invalid) = (0, 0);
    for group in vectors["testGroups"].as_array().expect("groups") {
        let key = key_of(&group["publicKey"]);
        for test in group["tests"].as_array().expect("tests") {
            let taken = key.made(&hex(&test["msg"]), &hex(&test["sig"]));
            assert_eq!(taken, test["result"] == "valid", "{name} {} {}", test["tcId"], test["comment"]);
            valid += usize::from(taken);
            invalid += usize::from(!taken);
        }
    }
    Some((valid, invalid))
}

fn hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("hex");
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).expect("hex")).collect()
}

// TK-08, TK-11
#[test]
fn bare_signatures() {
    let ed25519 = run_bare("ed25519_test.json", |key| PublicKey::ed25519(&hex(&key["pk"])).expect("a key"));
    if let Some(counts) = ed25519 {
        assert_eq!(counts, (88, 63));
    }
    let p256 = run_bare("ecdsa_secp256r1_sha256_p1363_test.json", |key| {
        let point = hex(&key["uncompressed"]);
        PublicKey::p256(&point[1..33], &point[33..]).expect("a key")
    });
    if let Some(counts) = p256 {
        assert_eq!(counts, (173, 89));
    }
}

fn refuse_all(keys: &[&Value], tests: &[Value]) {
    let rings: Vec<KeyRing> = keys.iter().flat_map(|key| confused_rings(key)).collect();
    for test in tests {
        for ring in &rings {
            assert!(ring.verify(&token_of(test)).is_err(), "{} {}", test["tcId"], test["comment"]);
        }
    }
}

/// The token; those in JSON serialisation as the text that they are.
fn token_of(test: &Value) -> String {
    let token = ["jws", "jwe"].iter().find_map(|name| test.get(*name)).expect("a token");
    token.as_str().map_or_else(|| token.to_string(), str::to_owned)
}

fn check(name: &str, expected: &Count) {
    let Some(vectors) = load(name) else { return };
    let count = run(&vectors);
    println!("{name}: {count:?}");
    let checked = count.hs256_valid + count.hs256_invalid + count.es256_valid + count.es256_invalid;
    let total = checked + count.misrecorded + count.others_refused;
    assert_eq!(Some(total as u64), vectors["numberOfTests"].as_u64());
    assert_eq!(&count, expected);
}

// TK-01, TK-11
#[test]
fn json_web_signature() {
    check(
        "json_web_signature_test.json",
        &Count {
            hs256_valid: 8,
            hs256_invalid: 28,
            es256_valid: 2,
            es256_invalid: 37,
            rsa_too_small: 13,
            misrecorded: 4,
            others_refused: 322,
        },
    );
}

// TK-01, TK-11
#[test]
fn json_web_key() {
    check(
        "json_web_key_test.json",
        &Count { hs256_valid: 2, hs256_invalid: 1, others_refused: 23, ..Count::default() },
    );
}

// TK-01, TK-11
#[test]
fn json_web_crypto() {
    check(
        "json_web_crypto_test.json",
        &Count {
            hs256_valid: 2,
            hs256_invalid: 17,
            es256_valid: 1,
            es256_invalid: 14,
            rsa_too_small: 2,
            misrecorded: 0,
            others_refused: 49,
        },
    );
}
