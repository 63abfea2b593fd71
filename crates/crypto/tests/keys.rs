//! Keys of our own: the RFCs' examples, agreement with another implementation, and every confusion of one with another.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64URL};
use crypto::jws::{
    Algorithm, JwsFault, KeyFault, MAX_TOKEN, PublicKey, SigningKey, TokenKind, Unverified, generate,
    thumbprint,
};
use crypto::secret::Secret;
use jsonwebtoken::{Algorithm as Theirs, DecodingKey, crypto as their_crypto};
use proptest::prelude::*;
use serde_json::Value;

/// RFC 8037 appendix A.1, A.3, A.4.
const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const ED_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const ED_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
     hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
/// RFC 7515 appendix A.3.
const ES_TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.\
     eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
     DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const ES_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const ES_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
/// RFC 7638 section 3.1.
const RFC_RSA: &str = concat!(
    r#"{"e":"AQAB","kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi"#,
    "FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0",
    r#"zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#
);

fn decoded(text: &str) -> Vec<u8> {
    BASE64URL.decode(text).unwrap()
}

/// A key of each algorithm with its secret part.
fn keys() -> Vec<(SigningKey, Secret)> {
    Algorithm::ALL.map(|algorithm| generate(algorithm).unwrap()).into()
}

#[test]
fn the_examples_of_the_rfcs_verify() {
    let ed = PublicKey::ed25519(&decoded(ED_X)).unwrap();
    let token = Unverified::parse(ED_TOKEN).unwrap();
    assert_eq!(token.payload_by_public(&ed).unwrap(), b"Example of Ed25519 signing");
    assert_eq!(ed.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let es = PublicKey::p256(&decoded(ES_X), &decoded(ES_Y)).unwrap();
    assert!(Unverified::parse(ES_TOKEN).unwrap().payload_by_public(&es).is_ok());
    assert_eq!(token.payload_by_public(&es), Err(JwsFault::Algorithm));
    assert_eq!(thumbprint(RFC_RSA), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

// RFC 8037 appendix A.4: Ed25519 is deterministic, so the signature is known.
#[test]
fn ed25519_signs_as_the_rfc_does() {
    let pair = Ed25519KeyPair::from_seed_and_public_key(&decoded(ED_D), &decoded(ED_X)).unwrap();
    let secret = Secret::new(pair.to_pkcs8().unwrap().as_ref().to_vec());
    let key = SigningKey::from_secret(Algorithm::EdDsa, &secret).unwrap();
    assert_eq!(key.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let (message, signature) = ED_TOKEN.rsplit_once('.').unwrap();
    assert_eq!(BASE64URL.encode(pair.sign(message.as_bytes())), signature);
}

#[test]
fn a_key_signs_names_itself_and_is_the_same_after_storing() {
    let all = keys();
    for (key, secret) in &all {
        let token = key.sign(TokenKind::Jwt, b"payload");
        let parsed = Unverified::parse(&token).unwrap();
        assert_eq!((parsed.key_id(), parsed.algorithm()), (Some(key.id()), key.algorithm().name()));
        assert_eq!(parsed.payload(key).unwrap(), b"payload");
        assert!(!parsed.is_access_token());
        let access = key.sign(TokenKind::AccessToken, b"{}");
        assert!(Unverified::parse(&access).unwrap().is_access_token());
        let again = SigningKey::from_secret(key.algorithm(), secret).unwrap();
        assert_eq!(again.id(), key.id());
        assert!(parsed.payload(&again).is_ok());
        assert_eq!(key.id().len(), 43);
        assert_eq!(all.iter().filter(|(other, _)| other.id() == key.id()).count(), 1);
        // KY-01
        assert_eq!(format!("{key:?}"), format!("SigningKey({} {})", key.algorithm().name(), key.id()));
    }
}

// TK-09: public members only; the id is the thumbprint.
#[test]
fn a_jwk_has_public_members_only() {
    for (key, _) in keys() {
        let Some(public) = key.public() else {
            assert_eq!(key.algorithm(), Algorithm::Hs256, "only a shared secret has no public part");
            continue;
        };
        let jwk: Value = serde_json::from_str(&public.to_jwk()).unwrap();
        let names: Vec<&str> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        let expected: &[&str] = match key.algorithm() {
            Algorithm::EdDsa => &["alg", "crv", "kid", "kty", "use", "x"],
            Algorithm::Es256 => &["alg", "crv", "kid", "kty", "use", "x", "y"],
            _ => &["alg", "e", "kid", "kty", "n", "use"],
        };
        assert_eq!(names, expected);
        assert_eq!((&jwk["use"], &jwk["alg"]), (&"sig".into(), &key.algorithm().name().into()));
        assert_eq!(jwk["kid"], key.id());
        assert_eq!(thumbprint(public.members()), key.id());
    }
}

#[test]
fn another_implementation_takes_our_signatures() {
    for (key, _) in keys() {
        let Some(public) = key.public() else { continue };
        let jwk: Value = serde_json::from_str(&public.to_jwk()).unwrap();
        let member = |name: &str| jwk[name].as_str().unwrap();
        let (theirs, algorithm) = match key.algorithm() {
            Algorithm::EdDsa => (DecodingKey::from_ed_components(member("x")).unwrap(), Theirs::EdDSA),
            Algorithm::Es256 => {
                (DecodingKey::from_ec_components(member("x"), member("y")).unwrap(), Theirs::ES256)
            }
            _ => (DecodingKey::from_rsa_components(member("n"), member("e")).unwrap(), Theirs::RS256),
        };
        let token = key.sign(TokenKind::Jwt, br#"{"a":1}"#);
        let (message, signature) = token.rsplit_once('.').unwrap();
        assert!(their_crypto::verify(signature, message.as_bytes(), &theirs, algorithm).unwrap());
        assert!(!their_crypto::verify(signature, b"x", &theirs, algorithm).unwrap_or(false));
    }
}

// TK-08
#[test]
fn weak_keys_are_refused() {
    let weak = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let secret =
        Secret::new(AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&weak).unwrap().as_ref().to_vec());
    assert_eq!(SigningKey::from_secret(Algorithm::Rs256, &secret).unwrap_err(), KeyFault::Size);
    // The size is counted in bits: 3071 are not 3072, whatever the number of bytes.
    let modulus = |bytes: usize, first: u8| [&[first][..], &vec![0xff; bytes - 1]].concat();
    for (n, e) in [
        (modulus(256, 0xff), &[1, 0, 1][..]),
        (modulus(384, 0x7f), &[1, 0, 1]),
        (modulus(1025, 0x01), &[1, 0, 1]),
        (modulus(384, 0xff), &[3]),
        (modulus(384, 0xff), &[1]),
    ] {
        assert_eq!(PublicKey::rsa(&n, e).unwrap_err(), KeyFault::Size, "{} {e:?}", n.len());
    }
    assert_eq!(
        PublicKey::rsa(&modulus(385, 0), &[1, 0, 1]).unwrap_err(),
        KeyFault::Unsound,
        "a leading zero"
    );
    let short = Secret::new(vec![7; 31]);
    assert_eq!(SigningKey::from_secret(Algorithm::Hs256, &short).unwrap_err(), KeyFault::Size);
    let off_the_curve = PublicKey::p256(&decoded(ES_X), &decoded(ES_X)).unwrap_err();
    assert_eq!(off_the_curve, KeyFault::Unsound);
}

#[test]
fn a_secret_of_one_algorithm_is_none_of_another() {
    let all = keys();
    for (key, secret) in &all {
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
            let read = SigningKey::from_secret(algorithm, secret);
            assert_eq!(read.is_ok(), algorithm == key.algorithm(), "{key:?} as {algorithm:?}");
        }
    }
}

/// Signs a header of any kind with a private key, by the algorithm given and not by the header's.
fn signed(algorithm: Algorithm, secret: &Secret, header: &str) -> String {
    let message = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode("{}"));
    let (bytes, random) = (secret.as_bytes(), SystemRandom::new());
    let signature = match algorithm {
        Algorithm::Hs256 => {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), message.as_bytes()).as_ref().to_vec()
        }
        Algorithm::EdDsa => {
            Ed25519KeyPair::from_pkcs8(bytes).unwrap().sign(message.as_bytes()).as_ref().to_vec()
        }
        Algorithm::Es256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes).unwrap();
            pair.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec()
        }
        Algorithm::Rs256 => {
            let pair = RsaKeyPair::from_pkcs8(bytes).unwrap();
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
            signature
        }
    };
    format!("{message}.{}", BASE64URL.encode(signature))
}

/// What anybody knows of a public key, in every spelling that a careless verifier might take for an HMAC secret.
fn known_to_all(key: &SigningKey, secret: &Secret) -> Vec<Vec<u8>> {
    let Some(public) = key.public() else { return vec![key.id().as_bytes().to_vec()] };
    let jwk: Value = serde_json::from_str(&public.to_jwk()).unwrap();
    let mut known = vec![
        public.to_jwk().into_bytes(),
        public.members().as_bytes().to_vec(),
        jwk.to_string().into_bytes(),
    ];
    for value in jwk.as_object().unwrap().values().filter_map(Value::as_str) {
        known.push(value.as_bytes().to_vec());
        known.extend(BASE64URL.decode(value));
    }
    let raw_and_der = match key.algorithm() {
        Algorithm::EdDsa => {
            let pair = Ed25519KeyPair::from_pkcs8(secret.as_bytes()).unwrap();
            [pair.public_key().as_ref().to_vec(), pair.public_key().as_der().unwrap().as_ref().to_vec()]
        }
        Algorithm::Es256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, secret.as_bytes()).unwrap();
            let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
            [pair.public_key().as_ref().to_vec(), der.as_ref().to_vec()]
        }
        _ => {
            let pair = RsaKeyPair::from_pkcs8(secret.as_bytes()).unwrap();
            [pair.public_key().as_ref().to_vec(), pair.public_key().as_der().unwrap().as_ref().to_vec()]
        }
    };
    for bytes in raw_and_der {
        let text = STANDARD.encode(&bytes);
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
        known.extend([format!("{pem}\n").into_bytes(), pem.into_bytes(), text.into_bytes(), bytes]);
    }
    known
}

// TK-01, A07: HS256 keyed with what is public.
#[test]
fn no_public_knowledge_is_a_secret() {
    for (key, secret) in keys() {
        let known = known_to_all(&key, &secret);
        assert!(key.public().is_none() || known.len() > 15, "{}", known.len());
        for alg in ["HS256", key.algorithm().name()] {
            for bytes in &known {
                let header = format!(r#"{{"alg":"{alg}","typ":"JWT","kid":"{}"}}"#, key.id());
                let token = signed(Algorithm::Hs256, &Secret::new(bytes.clone()), &header);
                let parsed = Unverified::parse(&token).unwrap();
                assert!(parsed.payload(&key).is_err(), "{alg} {key:?}");
            }
        }
    }
}

// TK-01: the key decides the algorithm, whatever the header says, and no key stands in for another.
#[test]
fn algorithms_and_keys_cannot_be_swapped() {
    let all = keys();
    let names = [
        "HS256", "EdDSA", "ES256", "RS256", "PS256", "ES384", "HS512", "none", "None", "nOnE", "", "Ed25519",
        "eddsa",
    ];
    for (signer, secret) in &all {
        for name in names {
            let header = format!(r#"{{"alg":"{name}","kid":"{}"}}"#, signer.id());
            let token = signed(signer.algorithm(), secret, &header);
            let parsed = Unverified::parse(&token).unwrap();
            for (key, _) in &all {
                let right = key.id() == signer.id() && name == key.algorithm().name();
                assert_eq!(parsed.payload(key).is_ok(), right, "signed by {signer:?} as {name} for {key:?}");
            }
            let (message, _) = token.rsplit_once('.').unwrap();
            for empty in [format!("{message}."), format!("{message}.AA")] {
                assert!(Unverified::parse(&empty).and_then(|token| token.payload(signer)).is_err(), "{name}");
            }
        }
    }
    let (rsa, secret) = all.iter().find(|(key, _)| key.algorithm() == Algorithm::Rs256).unwrap();
    let pair = RsaKeyPair::from_pkcs8(secret.as_bytes()).unwrap();
    for name in ["PS256", "RS256"] {
        let message =
            format!("{}.e30", BASE64URL.encode(format!(r#"{{"alg":"{name}","kid":"{}"}}"#, rsa.id())));
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        let token = format!("{message}.{}", BASE64URL.encode(signature));
        assert!(Unverified::parse(&token).unwrap().payload(rsa).is_err(), "{name}");
    }
}

// TK-02: ids beyond the length of any of ours are not even looked for.
#[test]
fn key_ids_are_bounded() {
    let token =
        |id: &str| format!("{}.e30.AA", BASE64URL.encode(format!(r#"{{"alg":"EdDSA","kid":"{id}"}}"#)));
    for (id, found) in [("a".repeat(128), true), ("a".repeat(129), false), ("a".repeat(10_000), false)] {
        assert_eq!(Unverified::parse(&token(&id)).unwrap().key_id().is_some(), found, "{}", id.len());
    }
    assert_eq!(Unverified::parse("eyJhbGciOiJFZERTQSJ9.e30.AA").unwrap().key_id(), None);
    for bad in
        [r#"{"alg":"EdDSA","kid":["a"]}"#, r#"{"alg":"EdDSA","kid":1}"#, r#"{"alg":"EdDSA","kid":null}"#]
    {
        let token = format!("{}.e30.AA", BASE64URL.encode(bad));
        assert_eq!(Unverified::parse(&token).err(), Some(JwsFault::Header), "{bad}");
    }
}

// TK-03
#[test]
fn the_type_of_an_access_token_is_read_exactly() {
    let is = |typ: &str| {
        let token = format!("{}.e30.AA", BASE64URL.encode(format!(r#"{{"alg":"EdDSA"{typ}}}"#)));
        Unverified::parse(&token).unwrap().is_access_token()
    };
    for good in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        assert!(is(&format!(r#","typ":"{good}""#)), "{good}");
    }
    for bad in [
        "JWT",
        "at+jwt ",
        "xat+jwt",
        "text/at+jwt",
        "/at+jwt",
        "at+jw",
        "secevent+jwt",
        "",
        "ü+jwt",
        "üat+jwt",
    ] {
        assert!(!is(&format!(r#","typ":"{bad}""#)), "{bad}");
    }
    assert!(!is(""));
}

// TK-11
#[test]
fn damaged_tokens_are_refused() {
    for (key, _) in keys() {
        let token = key.sign(TokenKind::Jwt, br#"{"sub":"1"}"#);
        let check = |token: &str| Unverified::parse(token).and_then(|token| token.payload(&key));
        assert!(check(&token).is_ok());
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts[..] else { panic!("three segments") };
        for damaged in [
            format!("{token}."),
            format!(".{token}"),
            format!("{token}="),
            format!("{header}.{payload}"),
            format!("{header}..{payload}.{signature}"),
            format!("{header}.{payload}.{payload}.{signature}"),
            format!("{header}.{payload}.{signature}.{signature}.x"),
            format!("{header}.{payload}.A{signature}"),
            format!("{header}.{payload}.{signature}AAAA"),
            format!("{header}.{payload}A.{signature}"),
            format!(" {token}"),
            format!("{token}\n"),
            ".".to_owned(),
            "..".to_owned(),
            String::new(),
            "a".repeat(MAX_TOKEN + 1),
        ] {
            assert!(check(&damaged).is_err(), "{key:?} {damaged}");
        }
        for (at, character) in token.char_indices() {
            for other in ['A', 'Q', '_', '=', '+'] {
                if other == character {
                    continue;
                }
                let mut damaged = token.clone();
                damaged.replace_range(at..=at, &other.to_string());
                assert!(check(&damaged).is_err(), "{key:?} at {at}: {damaged}");
            }
        }
    }
}

// TK-11: an ES256 signature has a second form (r, n - s) that the same key made; tokens are known by jti, never by bytes.
#[test]
fn the_other_form_of_an_es256_signature_is_the_same_token() {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (key, _) = generate(Algorithm::Es256).unwrap();
    let token = key.sign(TokenKind::Jwt, b"{}");
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut signature = decoded(signature);
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = i32::from(ORDER[at]) - i32::from(signature[32 + at]) - borrow;
        borrow = i32::from(difference < 0);
        signature[32 + at] = difference.rem_euclid(256) as u8;
    }
    let other = format!("{message}.{}", BASE64URL.encode(signature));
    let payload = |token: &str| Unverified::parse(token).unwrap().payload(&key);
    assert_eq!(payload(&other), payload(&token));
}

proptest! {
    #[test]
    fn whatever_comes_in_nothing_panics(text in "[ -~]{0,120}", header in "\\{[ -~]{0,40}\\}", rest in "[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,90}") {
        let (key, _) = generate(Algorithm::EdDsa).unwrap();
        for token in [text, format!("{}.{rest}", BASE64URL.encode(header))] {
            prop_assert!(Unverified::parse(&token).and_then(|token| token.payload(&key)).is_err());
        }
    }
}
