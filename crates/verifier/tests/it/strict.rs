//! One spelling of a token, and nothing in it that decides how it is checked.

use proptest::prelude::*;
use serde_json::json;
use verifier::{MAX_TOKEN, Refusal};

use crate::service::{Service, claims, claims_but, refused};
use crate::signer::{Signer, encode};

// TK-02
#[tokio::test]
async fn keys_in_the_header_are_never_used_and_nothing_in_it_is_fetched() {
    let (ours, evil) = (Signer::ed("k"), Signer::ed("k"));
    let service = Service::start(&[&ours]).await;
    let elsewhere = Service::start(&[&evil]).await;
    let verifier = service.verifier();
    let url = format!("{}/keys", elsewhere.origin);
    for (name, value) in [
        ("jwk", evil.jwk()),
        ("jku", url.clone().into()),
        ("x5u", url.clone().into()),
        ("x5c", json!(["AAAA"])),
        ("crit", json!(["exp"])),
        ("cty", json!("JWT")),
        ("zip", json!("DEF")),
    ] {
        for signer in [&ours, &evil] {
            let mut header = json!({"alg": "EdDSA", "kid": "k", "typ": "JWT"});
            header[name] = value.clone();
            let token = signer.token_of(&header.to_string(), &claims().to_string());
            assert_eq!(refused(verifier.check(&token).await), Refusal::Header, "{name}");
        }
    }
    assert_eq!(refused(verifier.check(&evil.access(&claims())).await), Refusal::Signature);
    assert_eq!(elsewhere.asked_anything(), 0);
}

// TK-02
#[tokio::test]
async fn a_flood_of_unknown_key_ids_costs_one_fetch() {
    let ours = Signer::ed("k");
    let service = Service::start(&[&ours]).await;
    let verifier = service.verifier();
    verifier.check(&ours.access(&claims())).await.expect("a good token");
    assert_eq!(service.asked_anything(), 1);
    service.pass(std::time::Duration::from_secs(10));
    let kids = ["../../etc/passwd", "' OR 1=1 --", "\u{0}", "http://localhost/", "K", "k ", "\u{1f511}"];
    for number in 0..200 {
        let kid = kids.get(number).map_or_else(|| format!("made up {number}"), |kid| (*kid).to_owned());
        let header = json!({"alg": "EdDSA", "kid": kid, "typ": "JWT"});
        let token = ours.token_of(&header.to_string(), &claims().to_string());
        assert_eq!(refused(verifier.check(&token).await), Refusal::UnknownKey, "{kid}");
    }
    assert_eq!(service.asked_anything(), 2);
}

// TK-11
#[tokio::test]
async fn other_spellings_of_a_good_token_are_refused() {
    let ours = Signer::ed("k");
    let service = Service::start(&[&ours]).await;
    let verifier = service.verifier();
    let good = ours.access(&claims());
    verifier.check(&good).await.expect("a good token");
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    for token in [
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{good}="),
        format!("{good}=="),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{header}.{payload}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}"),
        format!("{header}..{signature}"),
        format!("{header}.{payload}.{payload}.{signature}.{signature}"),
        format!("{{\"payload\":\"{payload}\",\"protected\":\"{header}\",\"signature\":\"{signature}\"}}"),
        good.replace('-', "+").replace('_', "/") + "+",
    ] {
        assert!(verifier.check(&token).await.is_err(), "{token}");
    }
    let long = ours.access(&claims_but("extra", "x".repeat(MAX_TOKEN).into()));
    assert_eq!(refused(verifier.check(&long).await), Refusal::TooLong);
    let jwe = format!(
        "{}.AA.AA.AA.AA",
        encode(
            json!({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "kid": "k", "p2c": 1_u64 << 31})
                .to_string()
        )
    );
    assert!(verifier.check(&jwe).await.is_err());
}

// TK-11: every unused bit of the last characters.
#[tokio::test]
async fn trailing_bits_are_zero() {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let ours = Signer::ed("k");
    let service = Service::start(&[&ours]).await;
    let verifier = service.verifier();
    let good = ours.access(&claims());
    for end in good.match_indices('.').map(|(at, _)| at).chain([good.len()]) {
        for letter in ALPHABET {
            let mut token = good.clone().into_bytes();
            token[end - 1] = *letter;
            let token = String::from_utf8(token).expect("ASCII");
            assert_eq!(verifier.check(&token).await.is_ok(), token == good, "{token}");
        }
    }
}

// TK-11
#[tokio::test]
async fn signed_texts_that_are_no_plain_object_are_refused() {
    let ours = Signer::ed("k");
    let service = Service::start(&[&ours]).await;
    let verifier = service.verifier();
    let header = r#"{"alg":"EdDSA","kid":"k","typ":"JWT"}"#;
    let good = claims().to_string();
    let twice = good.replacen('{', "{\"user_id\":1,", 1);
    let nested = claims_but("extra", json!({"a": 1})).to_string().replace("{\"a\":1}", "{\"a\":1,\"a\":2}");
    for payload in
        ["", "null", "[]", "\"x\"", &format!("[{good}]"), &format!("{good}{good}"), &twice, &nested]
    {
        let token = ours.token_of(header, payload);
        assert_eq!(refused(verifier.check(&token).await), Refusal::Malformed, "{payload}");
    }
    for header in [
        "",
        "[]",
        r#"{"alg":"none","alg":"EdDSA","kid":"k","typ":"JWT"}"#,
        r#"{"alg":"EdDSA","kid":"other","kid":"k","typ":"JWT"}"#,
        r#"{"alg":"EdDSA","kid":"k","typ":"JWT","x":{"a":1,"a":1}}"#,
    ] {
        assert_eq!(refused(verifier.check(&ours.token_of(header, &good)).await), Refusal::Header, "{header}");
    }
}

// TK-11: the other root of an Ed25519 signature is no second spelling.
#[tokio::test]
async fn the_scalar_of_a_signature_is_reduced() {
    let ours = Signer::ed("k");
    let service = Service::start(&[&ours]).await;
    let verifier = service.verifier();
    let header = encode(json!({"alg": "EdDSA", "kid": "k", "typ": "JWT"}).to_string());
    let signed = format!("{header}.{}", encode(claims().to_string()));
    let mut signature = ours.made(signed.as_bytes());
    verifier.check(&format!("{signed}.{}", encode(&signature))).await.expect("a good token");
    // The order of the group, little-endian (RFC 8032 section 5.1).
    let mut order = [0_u8; 32];
    order[..16].copy_from_slice(&0x14de_f9de_a2f7_9cd6_5812_631a_5cf5_d3ed_u128.to_le_bytes());
    order[31] = 0x10;
    let mut carry = 0;
    for (digit, addend) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*digit) + u16::from(addend) + carry;
        *digit = sum as u8;
        carry = sum >> 8;
    }
    let other = format!("{signed}.{}", encode(&signature));
    assert_eq!(refused(verifier.check(&other).await), Refusal::Signature);
}

/// A verifier that has its keys, a good token, and the runtime they live in.
fn ready() -> (tokio::runtime::Runtime, verifier::Verifier, String) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (verifier, token) = runtime.block_on(async {
        let ours = Signer::ec("k");
        let service = Service::start(&[&ours]).await;
        let verifier = service.verifier();
        let token = ours.access(&claims());
        verifier.check(&token).await.expect("a good token");
        (verifier, token)
    });
    (runtime, verifier, token)
}

// TK-11, TK-16: every truncation and every bit.
#[test]
fn every_truncation_and_every_flipped_bit_is_refused() {
    let (_runtime, verifier, good) = ready();
    for length in 0..good.len() {
        assert!(!matches!(verifier.check_now(&good[..length]), Some(Ok(_))), "{length}");
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut token = good.clone().into_bytes();
            token[at] ^= 1 << bit;
            let Ok(token) = String::from_utf8(token) else { continue };
            assert!(!matches!(verifier.check_now(&token), Some(Ok(_))), "{at} {bit}");
        }
    }
    assert!(matches!(verifier.check_now(&good), Some(Ok(_))));
}

// TK-11
#[test]
fn no_text_is_taken_or_causes_a_panic() {
    let (_runtime, verifier, good) = ready();
    let runner_verifier = verifier.clone();
    let taken = move |token: &str| matches!(runner_verifier.check_now(token), Some(Ok(_)));
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }, |(
        text in "\\PC{0,200}",
        parts in proptest::collection::vec("[A-Za-z0-9_-]{0,80}", 0..6),
        at in 0..good.len(),
        insert in "[A-Za-z0-9_.=+/-]{1,8}",
    )| {
        prop_assert!(!taken(&text));
        prop_assert!(!taken(&parts.join(".")));
        let mut longer = good.clone();
        longer.insert_str(at, &insert);
        prop_assert!(!taken(&longer));
    });
}
