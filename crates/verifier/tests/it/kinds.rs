//! Which tokens are taken: algorithm, key, kind, claims, times, issuer and audience.

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::KeySize;
use serde_json::{Value, json};
use verifier::{Profile, Refusal};

use crate::service::{Service, T0, claims, claims_but, refused};
use crate::signer::{Signer, encode};

fn hmac_token(header: &Value, secret: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", encode(tag))
}

// TK-01
#[tokio::test]
async fn the_algorithm_is_the_one_of_the_key() {
    let signers = [Signer::ed("ed"), Signer::ec("ec"), Signer::rsa("rsa", KeySize::Rsa3072)];
    let service = Service::start(&signers.iter().collect::<Vec<_>>()).await;
    let verifier = service.verifier();
    let names = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS256",
        "HS384",
        "HS512",
        "EdDSA",
        "Ed25519",
        "eddsa",
        "ES256",
        "es256",
        "ES384",
        "RS256",
        "RS384",
        "PS256",
        "EdDSA ",
        "EdDSA\u{0}",
    ];
    for signer in &signers {
        for name in names {
            for kid in ["ed", "ec", "rsa"] {
                let header = json!({"alg": name, "kid": kid, "typ": "JWT"});
                let token = signer.token_of(&header.to_string(), &claims().to_string());
                let result = verifier.check(&token).await;
                let good = name == signer.algorithm() && kid == signer.kid;
                assert_eq!(result.is_ok(), good, "{name} with key {kid} by {}: {result:?}", signer.kid);
                let (unsigned, _) = token.rsplit_once('.').expect("a token");
                assert!(verifier.check(&format!("{unsigned}.")).await.is_err(), "{name}, no signature");
            }
        }
    }
}

// TK-01: HS256 keyed with what everybody knows of the public key.
#[tokio::test]
async fn a_public_key_is_no_secret() {
    let signers = [Signer::ed("ed"), Signer::ec("ec"), Signer::rsa("rsa", KeySize::Rsa3072)];
    let service = Service::start(&signers.iter().collect::<Vec<_>>()).await;
    let verifier = service.verifier();
    for signer in &signers {
        let jwk = signer.jwk();
        let mut secrets = vec![jwk.to_string().into_bytes(), Vec::new()];
        for name in ["x", "y", "n", "e"] {
            let Some(text) = jwk[name].as_str() else { continue };
            secrets.push(text.as_bytes().to_vec());
            secrets.push(base64::decode(text));
        }
        let der = pem::der(&jwk);
        secrets.push(pem::pem(&der).into_bytes());
        secrets.push(der);
        for secret in secrets {
            for alg in ["HS256", signer.algorithm()] {
                let token = hmac_token(&json!({"alg": alg, "kid": signer.kid, "typ": "JWT"}), &secret);
                let wanted = if alg == "HS256" { Refusal::Algorithm } else { Refusal::Signature };
                assert_eq!(refused(verifier.check(&token).await), wanted);
            }
        }
    }
}

mod base64 {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::URL_SAFE_NO_PAD;

    pub(super) fn decode(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).expect("base64url")
    }
}

/// SubjectPublicKeyInfo (RFC 5280 section 4.1) of the keys with one spelling; of RSA only the modulus.
mod pem {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;
    use serde_json::Value;

    pub(super) fn der(jwk: &Value) -> Vec<u8> {
        let part = |name: &str| super::base64::decode(jwk[name].as_str().expect("a text"));
        match jwk["kty"].as_str() {
            Some("OKP") => {
                [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".as_slice(), &part("x")].concat()
            }
            Some("EC") => {
                let head = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04";
                [head.as_slice(), &part("x"), &part("y")].concat()
            }
            _ => part("n"),
        }
    }

    pub(super) fn pem(der: &[u8]) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }
}

// TK-08
#[tokio::test]
async fn weak_and_misdirected_keys_are_not_used() {
    let good = Signer::ed("good");
    let weak = Signer::rsa("weak", KeySize::Rsa2048);
    let named = Signer::ec("named");
    let mut keys = vec![weak.jwk(), good.jwk()];
    for (kid, name, value) in [
        ("enc", "use", json!("enc")),
        ("ops", "key_ops", json!(["sign"])),
        ("alg", "alg", json!("ES384")),
        ("private", "d", json!("AAAA")),
        ("curve", "crv", json!("P-384")),
        ("kind", "kty", json!("oct")),
        ("point", "x", json!(encode([7; 32]))),
        ("short", "x", json!("AAAA")),
    ] {
        let mut jwk = named.jwk();
        jwk["kid"] = kid.into();
        jwk[name] = value;
        keys.push(jwk);
    }
    let service = Service::start(&[]).await;
    service.tell(crate::service::JWKS, crate::service::Answer::ok(json!({"keys": keys}).to_string()));
    let verifier = service.verifier();
    verifier.check(&good.access(&claims())).await.expect("a good token");
    assert_eq!(refused(verifier.check(&weak.access(&claims())).await), Refusal::UnknownKey);
    for kid in ["enc", "ops", "alg", "private", "curve", "kind", "point", "short"] {
        let header = json!({"alg": "ES256", "kid": kid, "typ": "JWT"});
        let token = named.token_of(&header.to_string(), &claims().to_string());
        assert_eq!(refused(verifier.check(&token).await), Refusal::UnknownKey, "{kid}");
    }
}

fn rfc9068() -> Value {
    let mut claims = claims_but("user_id", Value::Null);
    claims.as_object_mut().expect("an object").remove("token_type");
    for (name, value) in
        [("iss", "https://auth.example"), ("aud", "orders"), ("sub", "42"), ("client_id", "first-party")]
    {
        claims[name] = value.into();
    }
    claims
}

// TK-03
#[tokio::test]
async fn only_access_tokens_of_the_accepted_profiles_are_taken() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let simple = service.verifier();
    let named = || service.builder().issuer("https://auth.example").audience("orders");
    let both = named().profiles(&[Profile::SimpleJwt, Profile::Rfc9068]).build().expect("sound");
    let only_9068 = named().profiles(&[Profile::Rfc9068]).build().expect("sound");
    let mut simple_claims = rfc9068();
    simple_claims["token_type"] = "access".into();
    simple_claims["user_id"] = 42.into();
    let mut refresh = simple_claims.clone();
    refresh["token_type"] = "refresh".into();

    simple.check(&signer.access(&claims())).await.expect("SimpleJWT's profile");
    both.check(&signer.access(&simple_claims)).await.expect("SimpleJWT's profile");
    for typ in ["at+jwt", "application/at+jwt"] {
        for verifier in [&both, &only_9068] {
            let taken = verifier.check(&signer.token(typ, &rfc9068())).await.expect("RFC 9068's profile");
            assert_eq!(
                (taken.profile(), taken.user_id(), taken.client_id()),
                (Profile::Rfc9068, Some(42), Some("first-party"))
            );
        }
        assert!(simple.check(&signer.token(typ, &rfc9068())).await.is_err());
    }
    assert_eq!(refused(only_9068.check(&signer.access(&simple_claims)).await), Refusal::Kind);
    for typ in ["JWT", "at+jwt", "application/at+jwt", "refresh+jwt"] {
        for verifier in [&simple, &both, &only_9068] {
            assert_eq!(refused(verifier.check(&signer.token(typ, &refresh)).await), Refusal::Kind, "{typ}");
        }
    }
    for typ in [
        "jwt",
        "",
        "JOSE",
        "at+JWT ",
        "dpop+jwt",
        "statuslist+jwt",
        "logout+jwt",
        "secevent+jwt",
        "text/at+jwt",
    ] {
        for verifier in [&simple, &both, &only_9068] {
            assert_eq!(
                refused(verifier.check(&signer.token(typ, &simple_claims)).await),
                Refusal::Kind,
                "{typ}"
            );
        }
    }
    for token_type in
        [json!("Access"), json!("id"), json!(""), json!(1), json!(["access"]), json!({}), json!(false)]
    {
        let token = signer.access(&claims_but("token_type", token_type.clone()));
        assert_eq!(refused(simple.check(&token).await), Refusal::Kind, "{token_type}");
    }
    let no_typ = signer.token_of(&json!({"alg": "EdDSA", "kid": "k"}).to_string(), &claims().to_string());
    assert_eq!(refused(simple.check(&no_typ).await), Refusal::Kind);
}

// AD-07: a token of a key names the account of the key, and is no login of it.
#[tokio::test]
async fn tokens_of_api_keys_are_taken_only_where_they_are_wanted() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let unaware = service.verifier();
    let aware = service.builder().accept_api_keys().build().expect("sound");
    let mut of_key = claims_but("client_id", "0123456789abcdef".into());
    of_key["scope"] = "shop.view_order shop.view_book".into();
    let token = signer.access(&of_key);
    for _ in 0..2 {
        assert_eq!(refused(unaware.check(&token).await), Refusal::ApiKey, "also when it was seen");
    }
    let taken = aware.check(&token).await.expect("it is wanted");
    assert_eq!((taken.api_key(), taken.user_id()), (Some("0123456789abcdef"), Some(42)));
    assert!(taken.allows("shop.view_order") && taken.allows("shop.view_book"));
    for other in ["shop.delete_order", "shop", "view_book", "shop.view_order shop.view_book", ""] {
        assert!(!taken.allows(other), "{other}");
    }
    let login = aware.check(&signer.access(&claims())).await.expect("a login");
    assert_eq!((login.api_key(), login.allows("shop.view_order")), (None, false));
    assert!(!login.allows(""), "no scope is no permission");
    for other in [Value::Null, "".into(), 7.into()] {
        let mut odd = claims();
        odd["client_id"] = other;
        let odd = signer.access(&odd);
        assert!(unaware.check(&odd).await.is_err() && aware.check(&odd).await.is_err());
    }
    let named = || service.builder().issuer("https://auth.example").audience("orders");
    let only_9068 = named().profiles(&[Profile::Rfc9068]).build().expect("sound");
    let mut of_key = rfc9068();
    only_9068.check(&signer.token("at+jwt", &of_key)).await.expect("a login");
    of_key["client_id"] = "0123456789abcdef".into();
    assert_eq!(refused(only_9068.check(&signer.token("at+jwt", &of_key)).await), Refusal::ApiKey);
}

// TK-04
#[tokio::test]
async fn every_required_claim_is_required() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let verifier = service.verifier();
    for name in ["token_type", "exp", "iat", "jti", "user_id", "sid"] {
        assert!(verifier.check(&signer.access(&claims_but(name, Value::Null))).await.is_err(), "{name}");
    }
    let only_9068 = service.builder().issuer("https://auth.example").audience("orders");
    let only_9068 = only_9068.profiles(&[Profile::Rfc9068]).build().expect("sound");
    for name in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti", "sid"] {
        let mut claims = rfc9068();
        claims.as_object_mut().expect("an object").remove(name);
        assert!(only_9068.check(&signer.token("at+jwt", &claims)).await.is_err(), "{name}");
    }
    verifier.check(&signer.access(&claims_but("extra", json!({"a": [1]})))).await.expect("more claims");
}

// TK-05
#[tokio::test]
async fn a_claim_of_the_wrong_type_or_range_refuses_the_token() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let verifier = service.verifier();
    let texts = [
        "\"1900000600\"",
        "true",
        "null",
        "[1900000600]",
        "{}",
        "-1",
        "1e400",
        "1.9e9",
        "1900000600.5",
        "18446744073709551616",
        "18446744073709551615",
        "253402300800",
    ];
    for name in ["exp", "iat", "nbf"] {
        for text in texts {
            let mut claims = claims();
            claims[name] = "@".into();
            let payload = claims.to_string().replace("\"@\"", text);
            let token = signer.token_of(r#"{"alg":"EdDSA","kid":"k","typ":"JWT"}"#, &payload);
            assert!(verifier.check(&token).await.is_err(), "{name} {text}");
        }
    }
    let wrong = [json!(1), json!(true), json!([]), json!({}), json!(""), json!([1]), json!(["a", null])];
    for name in ["jti", "sid", "iss", "aud", "client_id"] {
        for value in &wrong {
            let token = signer.access(&claims_but(name, value.clone()));
            assert!(verifier.check(&token).await.is_err(), "{name} {value}");
        }
    }
    for value in
        [json!("42"), json!(-1), json!(4.5), json!(true), json!([42]), json!(1_u64 << 63), json!(1e300)]
    {
        let token = signer.access(&claims_but("user_id", value.clone()));
        assert_eq!(refused(verifier.check(&token).await), Refusal::Claim("user_id"), "{value}");
    }
    for sid in ["0123456789ABCDEF0123456789ABCDEF", "0123", "0123456789abcdef0123456789abcdeg"] {
        let token = signer.access(&claims_but("sid", sid.into()));
        assert_eq!(refused(verifier.check(&token).await), Refusal::Claim("sid"), "{sid}");
    }
    for status in [
        json!("x"),
        json!({}),
        json!({"status_list": {}}),
        json!({"status_list": {"idx": -1, "uri": "u"}}),
        json!({"status_list": {"idx": "1", "uri": "u"}}),
        json!({"status_list": {"idx": 1}}),
        json!([]),
    ] {
        let token = signer.access(&claims_but("status", status.clone()));
        assert_eq!(refused(verifier.check(&token).await), Refusal::Claim("status"), "{status}");
    }
}

// TK-06
#[tokio::test]
async fn times_are_judged_to_the_second_each_time() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    for leeway in [0, 60] {
        let verifier = service.builder().leeway(Duration::from_secs(leeway)).build().expect("sound");
        let token = signer.access(&claims_but("exp", (T0 + 900).into()));
        for (now, wanted) in [
            (T0 - leeway - 1, Err(Refusal::NotYet)),
            (T0 - leeway, Ok(())),
            (T0, Ok(())),
            (T0 + 899 + leeway, Ok(())),
            (T0 + 900 + leeway, Err(Refusal::Expired)),
            (T0 + 901 + leeway, Err(Refusal::Expired)),
            // The clock is set back: what was refused was not remembered.
            (T0 + 1, Ok(())),
        ] {
            service.set_seconds(now);
            assert_eq!(verifier.check(&token).await.map(drop), wanted, "{leeway} {now}");
            assert_eq!(verifier.check(&token).await.map(drop), wanted, "{leeway} {now}, seen");
        }
        let later = signer.access(&claims_but("nbf", (T0 + 100).into()));
        service.set_seconds(T0 + 99 - leeway);
        assert_eq!(refused(verifier.check(&later).await), Refusal::NotYet);
        service.set_seconds(T0 + 100 - leeway);
        assert_eq!(verifier.check(&later).await.map(drop), Ok(()));
    }
    assert!(service.builder().leeway(Duration::from_secs(61)).build().is_err());
}

// TK-07
#[tokio::test]
async fn issuer_and_audience_are_compared_exactly() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let issuer = service.builder().issuer("https://auth.example").build().expect("sound");
    for (iss, wanted) in [
        (json!("https://auth.example"), true),
        (json!("https://auth.example/"), false),
        (json!("https://AUTH.example"), false),
        (json!("https://auth.example.evil"), false),
        (json!("https://auth.exampl"), false),
        (json!(["https://auth.example"]), false),
        (Value::Null, false),
    ] {
        let token = signer.access(&claims_but("iss", iss.clone()));
        assert_eq!(issuer.check(&token).await.is_ok(), wanted, "{iss}");
    }
    let audience = service.builder().audience("orders").build().expect("sound");
    for (aud, wanted) in [
        (json!("orders"), true),
        (json!(["orders"]), true),
        (json!(["catalog", "orders"]), true),
        (json!("Orders"), false),
        (json!("orders/"), false),
        (json!("order"), false),
        (json!("catalog orders"), false),
        (json!(["catalog"]), false),
        (json!([]), false),
        (json!([["orders"]]), false),
        (json!(["orders", 1]), false),
        (Value::Null, false),
    ] {
        let token = signer.access(&claims_but("aud", aud.clone()));
        assert_eq!(audience.check(&token).await.is_ok(), wanted, "{aud}");
    }
    let nobody = service.verifier();
    let token = signer.access(&claims_but("aud", "orders".into()));
    assert_eq!(refused(nobody.check(&token).await), Refusal::Audience);
}
