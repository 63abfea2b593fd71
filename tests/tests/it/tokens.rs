//! Tokens between this service and the libraries of its neighbours (TK-01..TK-06, TK-11, TK-14).

use std::path::Path;

use serde_json::{Value, json};
use testkit::process::{Process, SECRET_KEY};

use crate::{foreign, turn};

const PASSWORD: &str = "violet-umbrella-42";

// TK-01: the catalog (PyJWT), the order service (jsonwebtoken) and the front end (jose) check our tokens as they are.
#[test]
fn foreign_libraries_take_our_tokens() {
    let Some(environment) = foreign::environment("foreign_libraries_take_our_tokens") else { return };
    let _turn = turn::beside_others();
    let service = Process::start(&[]);
    let id = service.register("reader", PASSWORD);
    let pair = service.login("reader", PASSWORD);
    let refreshed = service.refresh(&pair.refresh);
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let (access, refresh) = (refreshed.member("access"), refreshed.member("refresh"));

    let ours = [&*pair.access, &*pair.refresh, &*access, &*refresh];
    for (token, verdicts) in ours.iter().zip(foreign::verdicts(&environment, SECRET_KEY, &ours)) {
        assert_eq!(verdicts.len(), 4, "two of PyJWT, jsonwebtoken, jose: {verdicts:?}");
        for (verifier, said) in verdicts {
            assert_eq!(said["ok"], true, "{verifier}: {said} of {token}");
            assert_eq!(
                said["claims"]["user_id"], id,
                "{verifier}: a number, as the sister services store it"
            );
            assert_eq!(said["claims"]["sid"].as_str().map(str::len), Some(32), "{verifier}: {said}");
            assert!(said["claims"].get("aud").is_none(), "PyJWT refuses an audience it was not told of");
            if let Some(header) = said.get("header") {
                assert_eq!(header, &json!({"alg": "HS256", "typ": "JWT"}), "{verifier}");
            }
        }
    }
    assert_eq!(service.verify(&access), 200);
}

// The check above can fail: the same verifiers refuse a changed token, and a good one under another secret.
#[test]
fn foreign_libraries_refuse_what_is_not_ours() {
    let Some(environment) = foreign::environment("foreign_libraries_refuse_what_is_not_ours") else { return };
    let _turn = turn::beside_others();
    let service = Process::start(&[]);
    service.register("reader", PASSWORD);
    let access = service.login("reader", PASSWORD).access;
    let changed = with_other_user(&access);
    for (secret, token) in
        [(SECRET_KEY, changed.as_str()), ("another key of more than 32 bytes, not ours", &access)]
    {
        for (verifier, said) in &foreign::verdicts(&environment, secret, &[token])[0] {
            assert_eq!(said["ok"], false, "{verifier} took {token} under {secret}");
        }
    }
    assert_eq!(service.verify(&changed), 400);
}

/// The token with one character of its claims changed under the same signature.
fn with_other_user(token: &str) -> String {
    let (head, rest) = token.split_once('.').expect("three segments");
    let (claims, tag) = rest.split_once('.').expect("three segments");
    let last = claims.chars().last().expect("claims");
    let other = if last == 'A' { 'Q' } else { 'A' };
    format!("{head}.{}{other}.{tag}", &claims[..claims.len() - 1])
}

// Tokens that the Django service has given out go on working when it is replaced.
#[test]
fn tokens_of_the_replaced_service_go_on_working() {
    let Some(environment) = foreign::environment("tokens_of_the_replaced_service_go_on_working") else {
        return;
    };
    let _turn = turn::beside_others();
    let service = Process::start(&[("REFRESH_GRACE", "60s")]);
    let id = service.register("reader", PASSWORD);
    let old = foreign::mint(
        &environment,
        &[
            json!({"by": "simplejwt", "type": "access", "user_id": id}),
            json!({"by": "simplejwt", "type": "refresh", "user_id": id}),
            json!({"by": "simplejwt", "type": "refresh", "user_id": id, "lifetime": -5}),
            json!({"by": "simplejwt", "type": "access", "user_id": id + 1000}),
        ],
    );
    let [access, refresh, expired, of_nobody] = old.as_slice() else { panic!("four tokens") };
    assert_eq!(service.verify(access), 200);
    assert_eq!(service.verify(refresh), 200);
    assert_eq!(service.verify(of_nobody), 400, "TK-14: no such user");
    assert_eq!(service.refresh(expired).status, 401);

    // The first use opens a session; within the grace a second use, of another tab, gets the same successor.
    let first = service.refresh(refresh);
    assert_eq!(first.status, 200, "{first:?}");
    let again = service.refresh(refresh);
    assert_eq!((again.status, again.member("refresh")), (200, first.member("refresh")));
    // Once the successor is used the old token is spent, and its return ends the session (RF-01).
    let next = service.refresh(&first.member("refresh"));
    assert_eq!(next.status, 200, "{next:?}");
    assert_eq!(service.refresh(refresh).status, 401);
    assert_eq!(service.refresh(&next.member("refresh")).status, 401);
    for (verifier, said) in &foreign::verdicts(&environment, SECRET_KEY, &[&next.member("access")])[0] {
        assert_eq!((&said["ok"], &said["claims"]["user_id"]), (&json!(true), &json!(id)), "{verifier}");
    }
}

// TK-01, TK-02, TK-04, TK-05, TK-06: none of them is taken anywhere, and none upsets the service.
#[test]
fn forged_tokens_are_refused_everywhere() {
    let Some(environment) = foreign::environment("forged_tokens_are_refused_everywhere") else { return };
    let _turn = turn::beside_others();
    let service = Process::start(&[]);
    let id = service.register("victim", PASSWORD);
    for kind in ["access", "refresh"] {
        let forgeries = forgeries(id, kind);
        let orders: Vec<Value> = forgeries.iter().map(|(_, order)| order.clone()).collect();
        let mut tokens = foreign::mint(&environment, &orders);
        let good = tokens.remove(0);
        assert_eq!(service.verify(&good), 200, "the control: what the forgeries are made from is good");
        for ((what, _), token) in forgeries.iter().skip(1).zip(&tokens) {
            assert_refused(&service, what, token);
        }
        for (what, token) in mutilations(&good) {
            assert_refused(&service, what, &token);
        }
        assert_eq!(service.verify(&good), 200, "the control is still good");
    }
    assert_leftovers(&environment, &service, id);
}

fn assert_refused(service: &Process, what: &str, token: &str) {
    assert_eq!(service.verify(token), 400, "POST /verify/: {what}: {token}");
    assert_eq!(service.refresh(token).status, 401, "POST /refresh/: {what}: {token}");
    let bearer = format!("Bearer {token}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let answer = service.client().send("POST", "/register/", &headers, b"{}").expect("an answer");
    assert_eq!(answer.status, 401, "Authorization: {what}: {token}");
}

/// The first is good; each other differs from it in one thing.
fn forgeries(id: i64, kind: &str) -> Vec<(&'static str, Value)> {
    let pyjwt = |change: Value| {
        let mut order = json!({"by": "pyjwt", "claims": {"user_id": id, "token_type": kind}});
        for (key, value) in change.as_object().expect("an object") {
            if key == "claims" {
                let claims = order["claims"].as_object_mut().expect("an object");
                claims.extend(value.as_object().expect("an object").clone());
            } else {
                order[key] = value.clone();
            }
        }
        order
    };
    let hand = |alg: &str| {
        let claims = json!({"user_id": id, "token_type": kind});
        json!({"by": "hand", "header": {"alg": alg, "typ": "JWT"}, "claims": claims, "signature": ""})
    };
    let claims = |claims: Value| pyjwt(json!({ "claims": claims }));
    let mut all = vec![
        ("good", pyjwt(json!({}))),
        ("another key", pyjwt(json!({"key": "another key of more than 32 bytes, not ours"}))),
        ("an empty key", pyjwt(json!({"key": ""}))),
        ("HS384 with our key", pyjwt(json!({"algorithm": "HS384"}))),
        ("HS512 with our key", pyjwt(json!({"algorithm": "HS512"}))),
        ("no algorithm", hand("none")),
        ("no algorithm, spelt to pass a filter", hand("nOnE")),
        ("no signature", hand("HS256")),
        ("a critical extension", pyjwt(json!({"header": {"crit": ["exp"], "exp": 1}}))),
        ("its own key", pyjwt(json!({"header": {"jwk": {"kty": "oct", "k": "AAAA"}}}))),
        ("a key elsewhere", pyjwt(json!({"header": {"jku": "http://127.0.0.1:9/keys"}}))),
        ("compressed", pyjwt(json!({"header": {"zip": "DEF"}}))),
        ("expired", claims(json!({"exp": 1_000_000_000}))),
        ("a text for exp", claims(json!({"exp": "4102444800"}))),
        ("no exp", claims(json!({"exp": "<absent>"}))),
        ("null for exp", claims(json!({"exp": null}))),
        ("not yet", claims(json!({"nbf": 4_102_444_800_i64}))),
        ("issued in the future", claims(json!({"iat": 4_102_444_800_i64}))),
        ("a text for iat", claims(json!({"iat": "now"}))),
        ("issued before the account was made", claims(json!({"iat": 1_000_000_000}))),
        ("no id", claims(json!({"jti": "<absent>"}))),
        ("no type", claims(json!({"token_type": "<absent>"}))),
        ("an unknown type", claims(json!({"token_type": "sliding"}))),
        ("nobody's", claims(json!({"user_id": id + 1}))),
        ("no user", claims(json!({"user_id": "<absent>"}))),
        ("a list for the user", claims(json!({"user_id": [id]}))),
        ("a session id that is none", claims(json!({"sid": "../../etc"}))),
    ];
    if kind == "refresh" {
        // Access tokens are checked against what has ended, in memory: whoever holds the key can name any session.
        all.push((
            "a session that does not exist",
            claims(json!({"sid": "0123456789abcdef0123456700000000"})),
        ));
    }
    all
}

/// The same bytes read differently by a careless parser (TK-11, TK-16).
fn mutilations(good: &str) -> Vec<(&'static str, String)> {
    let (signed, tag) = good.rsplit_once('.').expect("three segments");
    vec![
        ("padding", format!("{good}=")),
        ("a fourth segment", format!("{good}.")),
        ("five segments", format!("{good}.AAAA.AAAA")),
        ("two segments", signed.to_owned()),
        ("half a signature", format!("{signed}.{}", &tag[..tag.len() / 2])),
        ("one character less", good[..good.len() - 1].to_owned()),
        ("white space inside", format!("{signed} .{tag}")),
        ("another spelling of the last character", respelt(signed, tag)),
        ("a signature of 8 KiB", format!("{signed}.{}", "A".repeat(8 * 1024))),
    ]
}

/// The last character of a 32-byte tag carries two unused bits: another character decodes to the same bytes.
fn respelt(signed: &str, tag: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = tag.chars().last().and_then(|last| ALPHABET.find(last)).expect("base64url");
    let other = ALPHABET.as_bytes()[last ^ 1] as char;
    format!("{signed}.{}{other}", &tag[..tag.len() - 1])
}

/// After all that the account and the service are as before.
fn assert_leftovers(environment: &Path, service: &Process, id: i64) {
    let pair = service.login("victim", PASSWORD);
    let said = &foreign::verdicts(environment, SECRET_KEY, &[&pair.access])[0][0].1;
    assert_eq!(said["claims"]["user_id"], id);
    assert!(!service.log().contains("panic"), "{}", service.log());
}
