//! Signed tokens: the RFC's example, agreement with another implementation, and damage of every kind.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD as BASE64URL};
use crypto::jws::{JwsFault, KeyRing, MAX_TOKEN};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, crypto as their_crypto};
use proptest::prelude::*;

const SECRET: &[u8] = b"a secret of more than thirty-two bytes";

/// RFC 7515 appendix A.1.1. Its header spans two lines, so it takes the long way.
const RFC_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
     eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
     dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const RFC_KEY: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

fn ring() -> KeyRing {
    KeyRing::hs256(SECRET, &[])
}

/// Signs any header and payload, whatever they are.
fn signed(header: &str, payload: &[u8]) -> String {
    resigned(&format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload)))
}

/// Signs already encoded segments.
fn resigned(message: &str) -> String {
    let key = EncodingKey::from_secret(SECRET);
    format!(
        "{message}.{}",
        their_crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("HMAC works")
    )
}

#[test]
fn the_example_of_rfc_7515_verifies() {
    let keys = KeyRing::hs256(&BASE64URL.decode(RFC_KEY).unwrap(), &[]);
    let payload = keys.verify(RFC_TOKEN).unwrap();
    assert_eq!(
        payload,
        b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"
    );
    assert_eq!(ring().verify(RFC_TOKEN), Err(JwsFault::Signature));
}

#[test]
fn our_header_is_the_one_of_simplejwt() {
    let token = ring().sign(b"{}");
    let header = BASE64URL.decode(token.split('.').next().unwrap()).unwrap();
    assert_eq!(header, br#"{"alg":"HS256","typ":"JWT"}"#);
    assert_eq!(token, signed(r#"{"alg":"HS256","typ":"JWT"}"#, b"{}"));
}

#[test]
fn fallback_keys_check_and_never_sign() {
    let (old, new) = (b"the secret of yesterday, long enough".as_slice(), SECRET);
    let (before, after) = (KeyRing::hs256(old, &[]), KeyRing::hs256(new, &[b"", old]));
    let (old_token, new_token) = (before.sign(b"old"), after.sign(b"new"));
    assert_eq!(after.verify(&old_token).unwrap(), b"old");
    assert_eq!(after.verify(&new_token).unwrap(), b"new");
    assert_eq!(before.verify(&new_token), Err(JwsFault::Signature));
    assert_eq!(KeyRing::hs256(new, &[]).verify(&old_token), Err(JwsFault::Signature));
}

#[test]
fn an_empty_key_is_no_key() {
    let message = format!("{}.{}", BASE64URL.encode(r#"{"alg":"HS256"}"#), BASE64URL.encode("{}"));
    let key = EncodingKey::from_secret(b"");
    let token =
        format!("{message}.{}", their_crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap());
    assert_eq!(KeyRing::hs256(SECRET, &[b""]).verify(&token), Err(JwsFault::Signature));
    assert!(std::panic::catch_unwind(|| KeyRing::hs256(b"", &[])).is_err());
}

// KY-01
#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", KeyRing::hs256(SECRET, &[SECRET])), "KeyRing(HS256, 1 fallbacks)");
}

// TK-01
#[test]
fn no_other_algorithm_verifies_even_with_the_right_key() {
    let payload = b"{}";
    for algorithm in ["none", "None", "NONE", "hs256", "HS384", "HS512", "RS256", "ES256", "EdDSA"] {
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
        assert_eq!(ring().verify(&signed(&header, payload)), Err(JwsFault::Algorithm), "{algorithm}");
        let unsigned = format!("{}.{}.", BASE64URL.encode(&header), BASE64URL.encode(payload));
        assert_eq!(ring().verify(&unsigned), Err(JwsFault::Malformed), "{algorithm}");
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let message =
            format!("{}.{}", BASE64URL.encode(r#"{"alg":"HS256","typ":"JWT"}"#), BASE64URL.encode(payload));
        let tag =
            their_crypto::sign(message.as_bytes(), &EncodingKey::from_secret(SECRET), algorithm).unwrap();
        assert!(ring().verify(&format!("{message}.{tag}")).is_err());
    }
}

// TK-11
#[test]
fn one_token_has_one_spelling() {
    // A payload of one byte has four unused bits in its last character.
    let token = ring().sign(b"x");
    let (message, tag) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let last = |text: &str, other: char| format!("{}{other}", &text[..text.len() - 1]);
    let mut spellings = vec![
        format!("{token}="),
        format!("{token}=="),
        format!("{token} "),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token}\0"),
        format!("{token}."),
        format!("{token}.{tag}"),
        format!(".{token}"),
        format!("Bearer {token}"),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{payload}.{tag}"),
        format!("{header}.{tag}"),
        format!(".{payload}.{tag}"),
        format!("{payload}.{header}.{tag}"),
        format!("{message}.{tag}{tag}"),
        format!("{message}.{}", &tag[..42]),
        format!("{message}.!{}", &tag[1..]),
        format!("{message}.\u{e9}{}", &tag[2..]),
        token.to_uppercase(),
        String::new(),
        ".".into(),
        "..".into(),
        ".".repeat(MAX_TOKEN),
    ];
    // The same bytes with unused bits set, and the other alphabet. Signed again where the signature covers them.
    let tag_bytes = BASE64URL.decode(tag).unwrap();
    spellings.extend("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars().filter_map(
        |other| {
            let spelling = last(tag, other);
            (spelling != tag).then(|| format!("{message}.{spelling}"))
        },
    ));
    assert_eq!(BASE64URL.encode(&tag_bytes), tag);
    spellings.push(resigned(&format!("{header}.{}", last(payload, 'B'))));
    spellings.push(resigned(&format!("{header}.{payload}==")));
    spellings.push(resigned(&format!("{header}.{payload}\n")));
    spellings.push(resigned(&format!("{header}={}{payload}", ".")));
    for spelling in &spellings {
        assert!(ring().verify(spelling).is_err(), "{spelling:.300}");
    }
    assert_eq!(ring().verify(&token).unwrap(), b"x");
}

// TK-11
#[test]
fn the_standard_alphabet_is_refused() {
    let mut tried = 0;
    for number in 0..200_u32 {
        let token = ring().sign(&number.to_be_bytes().map(|byte| byte.wrapping_mul(251)));
        let (message, tag) = token.rsplit_once('.').unwrap();
        let standard = tag.replace('-', "+").replace('_', "/");
        if standard != tag {
            assert_eq!(ring().verify(&format!("{message}.{standard}")), Err(JwsFault::Malformed));
            tried += 1;
        }
        let (header, payload) = message.split_once('.').unwrap();
        let bytes = BASE64URL.decode(payload).unwrap();
        for encoded in [STANDARD.encode(&bytes), URL_SAFE.encode(&bytes)] {
            if encoded != payload {
                assert_eq!(
                    ring().verify(&resigned(&format!("{header}.{encoded}"))),
                    Err(JwsFault::Malformed)
                );
            }
        }
    }
    assert!(tried > 50);
}

// TK-11
#[test]
fn the_longest_token_is_16_kib() {
    let tokens = (12_225..12_228).map(|length| ring().sign(&vec![b'x'; length]));
    let longest = tokens.filter(|token| token.len() <= MAX_TOKEN).max_by_key(String::len).unwrap();
    assert!(longest.len() > MAX_TOKEN - 3, "{}", longest.len());
    assert!(ring().verify(&longest).is_ok());
    assert_eq!(ring().verify(&ring().sign(&vec![b'x'; 12_240])), Err(JwsFault::TooLong));
    assert_eq!(ring().verify(&"a".repeat(10_000_000)), Err(JwsFault::TooLong));
}

// TK-11: encrypted tokens have five segments
#[test]
fn an_encrypted_token_is_refused_unread() {
    let header =
        BASE64URL.encode(r#"{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":2147483648,"p2s":"AAAA"}"#);
    let token = format!("{header}.AAAA.AAAA.AAAA.{}", "A".repeat(43));
    assert_eq!(ring().verify(&token), Err(JwsFault::Algorithm));
    let ours = signed(r#"{"alg":"HS256","enc":"A256GCM"}"#, b"AAAA");
    assert_eq!(ring().verify(&ours.replacen('.', ".AAAA.AAAA.", 1)), Err(JwsFault::Signature));
}

/// What jsonwebtoken says: its payload where the header names HS256 and the signature is right.
fn other_opinion(token: &str) -> bool {
    let mut parts = token.rsplitn(2, '.');
    let (Some(tag), Some(message)) = (parts.next(), parts.next()) else { return false };
    let is_hs256 = jsonwebtoken::decode_header(token).is_ok_and(|header| header.alg == Algorithm::HS256);
    is_hs256
        && their_crypto::verify(tag, message.as_bytes(), &DecodingKey::from_secret(SECRET), Algorithm::HS256)
            == Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_signed_verifies_here_and_there(payload in prop::collection::vec(any::<u8>(), 0..400)) {
        let token = ring().sign(&payload);
        prop_assert_eq!(ring().verify(&token).unwrap(), payload);
        prop_assert!(other_opinion(&token));
    }

    #[test]
    fn claims_written_there_are_read_here_and_the_other_way_round(user in any::<i64>(), name in ".{0,40}", kid in ".{0,20}") {
        let claims = serde_json::json!({"exp": 4_000_000_000_i64, "user_id": user, "name": name});
        let header = Header { kid: Some(kid), ..Header::default() };
        let theirs = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(SECRET)).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&ring().verify(&theirs).unwrap()).unwrap();
        prop_assert_eq!(&read, &claims);
        let ours = ring().sign(claims.to_string().as_bytes());
        let key = DecodingKey::from_secret(SECRET);
        let data = jsonwebtoken::decode::<serde_json::Value>(&ours, &key, &Validation::new(Algorithm::HS256)).unwrap();
        prop_assert_eq!(data.claims, claims);
    }

    // TK-16: every single character counts
    #[test]
    fn one_changed_character_is_noticed(
        payload in prop::collection::vec(any::<u8>(), 0..60),
        at in any::<prop::sample::Index>(),
        other in prop_oneof!["[A-Za-z0-9_-]", "[.=+/ ]", any::<char>().prop_map(String::from)],
        long_way in any::<bool>(),
    ) {
        let token = if long_way { signed(r#"{"typ":"JWT","alg":"HS256"}"#, &payload) } else { ring().sign(&payload) };
        let at = at.index(token.len());
        let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
        prop_assume!(changed != token);
        prop_assert!(ring().verify(&changed).is_err());
    }

    // TK-16
    #[test]
    fn no_prefix_and_no_extension_verifies(payload in prop::collection::vec(any::<u8>(), 0..60), more in ".{1,5}") {
        let token = ring().sign(&payload);
        for end in 0..token.len() {
            prop_assert!(ring().verify(&token[..end]).is_err());
        }
        for longer in [format!("{token}{more}"), format!("{more}{token}")] {
            prop_assert!(ring().verify(&longer).is_err());
        }
    }

    /// Whatever we take, jsonwebtoken takes: we are stricter, never laxer.
    #[test]
    fn we_are_never_laxer(
        header in prop_oneof![
            Just(r#"{"alg":"HS256","typ":"JWT"}"#.to_owned()),
            r#"\{"alg":"(HS256|HS512|none)"(,"(typ|kid|x)":"[a-z]{0,3}")?\}"#,
            r#"\{("(alg|typ|kid|crit|b64|jku|x)":("HS256"|1|null|true|\[\]),?){1,3}\}"#,
        ],
        payload in ".{0,30}",
        noise in prop_oneof![Just(String::new()), "[=.A]{1,2}"],
    ) {
        let token = format!("{}{noise}", signed(&header, payload.as_bytes()));
        if ring().verify(&token).is_ok() {
            prop_assert!(other_opinion(&token), "{}", header);
        }
    }

    #[test]
    fn text_of_any_kind_is_refused_without_a_panic(text in "(.{0,80}|[A-Za-z0-9_.=-]{0,200})") {
        prop_assert!(ring().verify(&text).is_err());
    }
}
