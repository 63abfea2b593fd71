use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_seconds(NOW)
}

fn claims() -> Claims {
    Claims {
        token_type: TokenType::Access,
        expires_at: NOW + 900,
        issued_at: NOW,
        not_before: None,
        jti: "0123456789abcdef0123456789abcdef".to_owned(),
        user_id: UserId::new(7),
        session: Some(SessionId::new([0xab; 12], 1)),
        issuer: None,
        audience: Vec::new(),
        status: None,
        standard: Standard::default(),
    }
}

/// A token of the replaced service.
fn members() -> Map<String, Value> {
    let Value::Object(members) = json!({
        "token_type": "access", "exp": NOW + 900, "iat": NOW, "jti": "ab", "user_id": 7,
    }) else {
        unreachable!("an object was written")
    };
    members
}

fn read_with(name: &str, value: Value) -> Result<Claims, TokenFault> {
    let mut members = members();
    members.insert(name.to_owned(), value);
    read(&Value::Object(members).to_string())
}

fn read_without(names: &[&str]) -> Result<Claims, TokenFault> {
    let mut members = members();
    members.retain(|name, _| !names.contains(&name.as_str()));
    read(&Value::Object(members).to_string())
}

fn read(payload: &str) -> Result<Claims, TokenFault> {
    Claims::read(payload.as_bytes(), now())
}

/// The payload of `members()` with more text before its end.
fn read_text_with(more: &str) -> Result<Claims, TokenFault> {
    let mut text = Value::Object(members()).to_string();
    text.pop();
    read(&format!("{text},{more}}}"))
}

#[test]
fn the_payload_has_simplejwts_order_and_our_members_behind() {
    let text = |claims: &Claims| String::from_utf8(claims.to_json()).expect("JSON is UTF-8");
    assert_eq!(
        text(&claims()),
        concat!(
            r#"{"token_type":"access","exp":1800000900,"iat":1800000000,"jti":"0123456789abcdef0123456789abcdef","#,
            r#""user_id":7,"sid":"abababababababababababab00000001"}"#
        )
    );
    let full = Claims {
        token_type: TokenType::Refresh,
        session: None,
        issuer: Some("https://a/\"".into()),
        audience: vec!["b".into()],
        ..claims()
    };
    assert!(text(&full).starts_with(r#"{"token_type":"refresh","#));
    assert!(text(&full).ends_with(r#""user_id":7,"iss":"https://a/\"","aud":"b"}"#));
    let status = StatusReference { place: 7, uri: "https://a.example/status-lists/1".into() };
    let published = Claims { status: Some(status), ..full.clone() };
    let end = r#","status":{"status_list":{"idx":7,"uri":"https://a.example/status-lists/1"}}}"#;
    assert!(text(&published).ends_with(end));
    assert_eq!(Claims::parse(text(&published).as_bytes()), Ok(full.clone()), "it is for others to read");
    let standard = Claims { standard: Standard::of(UserId::new(7), "shop"), ..full.clone() };
    assert!(text(&standard).ends_with(r#","aud":"b","sub":"7","client_id":"shop"}"#));
    assert_eq!(Claims::parse(text(&standard).as_bytes()), Ok(standard));
    let several = Claims { audience: vec!["b".into(), "c".into()], ..claims() };
    assert!(text(&several).ends_with(r#","aud":["b","c"]}"#));
}

// TK-04: every claim that we rely on is required, and the replaced service's words say which is missing.
#[test]
fn missing_claims_are_named_in_the_recorded_order() {
    assert!(read_without(&[]).is_ok());
    for (missing, words) in [
        (&["exp"][..], "Token has no 'exp' claim"),
        (&["exp", "jti"], "Token has no 'exp' claim"),
        (&["jti"], "Token has no id"),
        (&["jti", "token_type"], "Token has no id"),
        (&["token_type"], "Token has no type"),
        (&["token_type", "user_id", "iat"], "Token has no type"),
        (&["iat"], "Token is invalid"),
        (&["user_id"], "Token contained no recognizable user identification"),
    ] {
        assert_eq!(read_without(missing).map_err(|fault| fault.message()), Err(words.into()), "{missing:?}");
    }
    assert_eq!(read("{}"), Err(TokenFault::NoClaim("exp")));
}

#[test]
fn times_come_before_what_is_missing() {
    let expired = json!({"exp": 1, "iat": 1}).to_string();
    assert_eq!(read(&expired), Err(TokenFault::Expired));
    assert_eq!(Claims::parse(expired.as_bytes()), Err(TokenFault::NoId));
    let both = json!({"exp": 1, "iat": NOW + 3600}).to_string();
    assert_eq!(read(&both), Err(TokenFault::Invalid), "too early before too late");
}

// TK-04: what RFC 9068 has beside SimpleJWT's claims.
#[test]
fn standard_claims_are_complete_or_not() {
    let id = UserId::new(7);
    assert!(Standard::of(id, "shop").is_complete_for(id));
    assert!(!Standard::of(id, "shop").is_complete_for(UserId::new(8)));
    assert!(!Standard::of(id, "").is_complete_for(id));
    assert!(!Standard::default().is_complete_for(id));
    for (name, value) in
        [("sub", json!(7)), ("sub", json!(["7"])), ("sub", json!(null)), ("client_id", json!(true))]
    {
        assert_eq!(read_with(name, value).map(|claims| claims.standard), Ok(Standard::default()), "{name}");
    }
    assert_eq!(read_text_with(r#""sub":"7","sub":"7""#), Err(TokenFault::Invalid));
}

// TK-05, A47 (CVE-2026-25537): a registered claim of another type or range is a refusal, never absence.
#[test]
fn times_are_integers_in_range() {
    let wrong = [
        "\"1\"",
        "\"9999999999\"",
        "\"\"",
        "true",
        "false",
        "null",
        "[]",
        "[1]",
        "{}",
        "1.5",
        "1800000900.0",
        "4e9",
        "1e30",
        "1e400",
        "-1e400",
        "18446744073709551616",
        "9223372036854775807",
        "9223372036854775808",
        "253402300800",
        "-18446744073709551616",
        "NaN",
        "Infinity",
        "-Infinity",
        "0x10",
        "01",
        "+1",
        "-0.0",
    ];
    for name in ["exp", "iat", "nbf"] {
        for value in wrong {
            let payload = format!(r#"{{"token_type":"access","jti":"a","user_id":1,"{name}":{value}}}"#);
            assert_eq!(read(&payload), Err(TokenFault::Invalid), "{name} {value}");
        }
    }
    assert_eq!(read_with("iat", json!(-1)), Err(TokenFault::Invalid));
    assert_eq!(read_with("nbf", json!(-1)), Err(TokenFault::Invalid));
    assert_eq!(read_with("exp", json!(-5)), Err(TokenFault::Expired));
    assert_eq!(read_with("exp", json!(0)), Err(TokenFault::Expired));
    assert!(read_with("exp", json!(LAST_SECOND)).is_ok());
    assert!(read_with("iat", json!(0)).is_ok());
    assert!(read_with("nbf", json!(1)).is_ok());
}

// TK-06
#[test]
fn times_are_enforced_to_the_second() {
    let claims = Claims { not_before: Some(NOW), ..claims() };
    let check = |offset: i64| claims.check_times(Timestamp::from_seconds(NOW + offset));
    assert_eq!(check(899), Ok(()));
    assert_eq!(claims.check_times(Timestamp::from_micros((NOW + 900) * 1_000_000 - 1)), Ok(()));
    assert_eq!(check(900), Err(TokenFault::Expired));
    assert_eq!(check(-CLOCK_SKEW), Ok(()));
    assert_eq!(check(-CLOCK_SKEW - 1), Err(TokenFault::Invalid));
    let later = Claims { not_before: Some(NOW + 100), ..claims };
    assert_eq!(later.check_times(Timestamp::from_seconds(NOW + 100 - CLOCK_SKEW)), Ok(()));
    assert_eq!(later.check_times(Timestamp::from_seconds(NOW + 99 - CLOCK_SKEW)), Err(TokenFault::Invalid));
    const { assert!(CLOCK_SKEW <= 60) };
}

// TK-04, TK-05
#[test]
fn ids_and_types_are_what_they_must_be() {
    for value in [json!(null), json!(""), json!(1), json!([]), json!({}), json!("a".repeat(256))] {
        assert_eq!(read_with("jti", value.clone()), Err(TokenFault::Invalid), "jti {value}");
    }
    assert!(read_with("jti", json!("not-a-uuid")).is_ok());
    for value in [
        json!(null),
        json!("1"),
        json!(" 1"),
        json!(0),
        json!(-1),
        json!(1.0),
        json!(1.5),
        json!(true),
        json!([1]),
        json!({"a": 1}),
        json!(9_223_372_036_854_775_808_u64),
    ] {
        assert_eq!(read_with("user_id", value.clone()), Err(TokenFault::Invalid), "user_id {value}");
    }
    assert_eq!(read_with("user_id", json!(i64::MAX)).map(|c| c.user_id), Ok(UserId::new(i64::MAX)));
    for value in [
        json!(null),
        json!("sliding"),
        json!("ACCESS"),
        json!(""),
        json!(" access"),
        json!("untyped"),
        json!(1),
        json!(1.5),
        json!(["access"]),
        json!({"access": "access"}),
        json!(true),
    ] {
        assert_eq!(read_with("token_type", value.clone()), Err(TokenFault::WrongType), "token_type {value}");
    }
    assert_eq!(read_with("token_type", json!("refresh")).map(|c| c.token_type), Ok(TokenType::Refresh));
    for value in [json!(null), json!(""), json!("AB".repeat(16)), json!("ab".repeat(17)), json!(1), json!([])]
    {
        assert_eq!(read_with("sid", value.clone()), Err(TokenFault::Invalid), "sid {value}");
    }
    assert_eq!(read_without(&[]).map(|c| c.session), Ok(None));
}

// TK-05, TK-07: issuer and audience matter only where they are configured; there, nothing but strings counts.
#[test]
fn issuer_and_audience_are_strings_or_nobodys() {
    assert_eq!(read_with("iss", json!("x")).map(|c| c.issuer), Ok(Some("x".into())));
    for value in [json!(1), json!(null), json!(["x"]), json!({"x": "x"}), json!(true)] {
        assert_eq!(read_with("iss", value).map(|c| c.issuer), Ok(None));
    }
    let audience = |value| read_with("aud", value).map(|c| c.audience);
    assert_eq!(audience(json!("x")), Ok(vec!["x".into()]));
    assert_eq!(audience(json!(["x", "y"])), Ok(vec!["x".into(), "y".into()]));
    for value in [
        json!([]),
        json!(["x", 1]),
        json!([["x"]]),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(null),
        json!({"a": 1}),
        json!(true),
    ] {
        assert_eq!(audience(value), Ok(Vec::new()));
    }
}

// TK-11, IN-03: no member twice, however it is spelled and wherever it stands.
#[test]
fn duplicate_members_are_refused() {
    for more in [
        r#""exp":1800000900"#,
        r#""\u0065xp":1800000900"#,
        r#""jti":"ab""#,
        r#""token_type":"access""#,
        r#""user_id":7"#,
        r#""a":1,"a":1"#,
        r#""a":1,"\u0061":2"#,
        r#""a":{"b":1,"b":1}"#,
        r#""a":[{"b":1,"c":[{"d":1,"d":1}]}]"#,
        r#""aud":{"b":1,"b":1}"#,
        r#""token_type2":{"x":1,"x":2}"#,
        r#""iss":"a","iss":"a""#,
        r#""aud":"a","aud":"a""#,
        r#""sid":"abababababababababababab00000001","sid":"abababababababababababab00000001""#,
    ] {
        assert_eq!(read_text_with(more), Err(TokenFault::Invalid), "{more}");
    }
    assert!(read_text_with(r#""a":{"b":1,"c":1},"b":{"b":1}"#).is_ok());
    let many: Vec<String> = (0..1000).map(|n| format!("\"m{n}\":{n}")).collect();
    assert!(read_text_with(&many.join(",")).is_ok());
    for again in ["m0", "m15", "m16", "m999"] {
        let text = format!("{},\"{again}\":0", many.join(","));
        assert_eq!(read_text_with(&text), Err(TokenFault::Invalid), "{again}");
    }
}

// IN-03
#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| format!("\"a\":{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(read_text_with(&nested(31)).is_ok());
    assert_eq!(read_text_with(&nested(32)), Err(TokenFault::Invalid));
    let objects = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    assert!(read_text_with(&format!("\"a\":{}", objects(31))).is_ok());
    assert_eq!(read_text_with(&format!("\"a\":{}", objects(32))), Err(TokenFault::Invalid));
    for name in ["a", "token_type", "aud", "iss"] {
        let deep = format!("{{\"{name}\":{}", "[".repeat(100_000));
        assert_eq!(read(&deep), Err(TokenFault::Invalid), "{name}");
    }
}

// TK-11
#[test]
fn only_one_json_object_is_a_payload() {
    let good = Value::Object(members()).to_string();
    assert!(read(&format!(" {good} \n")).is_ok());
    for bad in ["", "xx", "null", "\"x\"", "[1]", "1", "{", "{\"exp\"}", "{\"exp\":1,}"] {
        assert_eq!(read(bad), Err(TokenFault::Invalid), "{bad}");
    }
    assert_eq!(read(&format!("{good}x")), Err(TokenFault::Invalid));
    assert_eq!(read(&format!("{good}{good}")), Err(TokenFault::Invalid));
    assert_eq!(read(&format!("\u{feff}{good}")), Err(TokenFault::Invalid));
    for more in [
        r#""x":NaN"#,
        r#""x":Infinity"#,
        r#""x":1e400"#,
        r#""n":"\ud800""#,
        "\"n\":\"\u{1}\"",
        r#""\ud800":1"#,
    ] {
        assert_eq!(read_text_with(more), Err(TokenFault::Invalid), "{more}");
    }
    let mut latin1 = good.into_bytes();
    latin1.pop();
    latin1.extend_from_slice(b",\"n\":\"\xe9\"}");
    assert_eq!(Claims::parse(&latin1), Err(TokenFault::Invalid), "not UTF-8");
    for more in [
        r#""n":"é😀""#,
        r#""n":1.50"#,
        r#""n":null,"o":true,"p":-3"#,
        r#""zeta":1,"alpha":{"b":[1,2.5,null]}"#,
    ] {
        assert!(read_text_with(more).is_ok(), "{more}");
    }
}

fn any_claims() -> impl Strategy<Value = Claims> {
    let times = (0..=LAST_SECOND, 0..=LAST_SECOND, prop::option::of(0..=LAST_SECOND));
    let kind = prop_oneof![Just(TokenType::Access), Just(TokenType::Refresh)];
    let text = || prop::option::of(any::<String>());
    let names = (
        text(),
        prop::collection::vec(any::<String>(), 0..3),
        text(),
        text(),
        text(),
        prop::collection::vec(any::<String>(), 0..3),
    );
    let ids = ("\\PC{1,60}", 1..=i64::MAX, prop::option::of(any::<[u8; 16]>()));
    (kind, times, ids, names).prop_map(
        |(
            token_type,
            (exp, iat, nbf),
            (jti, user, sid),
            (issuer, audience, subject, client, scope, roles),
        )| {
            Claims {
                token_type,
                expires_at: exp,
                issued_at: iat,
                not_before: nbf,
                jti,
                user_id: UserId::new(user),
                session: sid.map(SessionId::from_bytes),
                issuer,
                audience,
                status: None,
                standard: Standard { subject, client, scope, roles },
            }
        },
    )
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-c]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(claims in any_claims()) {
        prop_assert_eq!(Claims::parse(&claims.to_json()), Ok(claims));
    }

    // TK-05: whatever stands in a claim, it is taken for exactly what it says or refused.
    #[test]
    fn a_claim_of_any_type_is_itself_or_refused(name in "exp|iat|nbf|user_id|jti|token_type|sid", value in any_json()) {
        let mut members = members();
        members.insert(name.clone(), value.clone());
        if let Ok(claims) = Claims::parse(Value::Object(members).to_string().as_bytes()) {
            let said = match name.as_str() {
                "exp" => json!(claims.expires_at),
                "iat" => json!(claims.issued_at),
                "nbf" => json!(claims.not_before),
                "user_id" => json!(claims.user_id.get()),
                "jti" => json!(claims.jti),
                "sid" => json!(claims.session.map(|id| id.to_string())),
                _ => json!(claims.token_type.as_str()),
            };
            prop_assert_eq!(said, value);
        }
    }

    // TK-11: unknown claims change nothing.
    #[test]
    fn unknown_claims_are_ignored(name in "[a-z]{4,8}", value in any_json()) {
        prop_assert_eq!(read_with(&name, value), read_without(&[]));
    }

    #[test]
    fn whatever_comes_in_nothing_panics(bytes: Vec<u8>, text in "[{}\\[\\]\",:a-e0-9.\\\\-]{0,60}") {
        prop_assert!(Claims::parse(&bytes).is_err());
        prop_assert!(Claims::parse(text.as_bytes()).is_err());
    }
}
