//! Status lists: what they refuse, whence they come, and how old they may be. All of it is SE-10.

use std::time::Duration;

use serde_json::{Value, json};
use verifier::{Limits, Refusal};

use crate::service::{Answer, JWKS, LIST, Service, T0, claims, compressed, refused, until};
use crate::signer::{Signer, encode};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn an_entry_that_is_set_refuses_the_token() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    service.publish_list(&signer, &[3, 1_000], 30);
    let verifier = service.verifier();
    for index in [0, 2, 4, 999, 1_001, 1_023] {
        verifier.check(&signer.access(&service.claims_with_status(index))).await.expect("a good token");
    }
    for index in [3, 1_000] {
        let token = signer.access(&service.claims_with_status(index));
        assert_eq!(refused(verifier.check(&token).await), Refusal::Revoked);
    }
    for index in [1_024, 1_025, u64::from(u32::MAX) + 4, u64::MAX] {
        let token = signer.access(&service.claims_with_status(index));
        assert_eq!(refused(verifier.check(&token).await), Refusal::StatusIndex, "{index}");
    }
    assert_eq!(service.asked(LIST), 1);
}

#[tokio::test]
async fn every_status_but_valid_refuses() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let mut list = service.list_payload(&[], 30);
    list["status_list"] = json!({"bits": 8, "lst": encode(compressed(&(0..=255).collect::<Vec<u8>>()))});
    service.tell(LIST, Answer::ok(signer.token("statuslist+jwt", &list)));
    let verifier = service.verifier();
    for index in 0..=255 {
        let result = verifier.check(&signer.access(&service.claims_with_status(index))).await;
        assert_eq!(result.map(drop), if index == 0 { Ok(()) } else { Err(Refusal::Revoked) }, "{index}");
    }
}

// A revocation is seen when `ttl` has passed, also for a token that is remembered.
#[tokio::test]
async fn a_revocation_is_seen_within_the_time_to_live() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    service.publish_list(&signer, &[], 30);
    let verifier = service.verifier();
    let token = signer.access(&service.claims_with_status(7));
    verifier.check(&token).await.expect("a good token");
    service.publish_list(&signer, &[7], 30);
    service.pass(seconds(20));
    verifier.check(&token).await.expect("the list is fresh");
    service.pass(seconds(10));
    assert_eq!(refused(verifier.check(&token).await), Refusal::Revoked);
    assert_eq!(service.asked(LIST), 2);
}

#[tokio::test]
async fn a_list_is_renewed_in_the_background_before_it_runs_out() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    service.publish_list(&signer, &[], 30);
    let verifier = service.verifier();
    let token = signer.access(&service.claims_with_status(7));
    verifier.check(&token).await.expect("a good token");
    service.publish_list(&signer, &[7], 30);
    service.pass(seconds(25));
    verifier.check(&token).await.expect("served from memory");
    until("renewed", || matches!(verifier.check_now(&token), Some(Err(Refusal::Revoked)))).await;
    assert_eq!(service.asked(LIST), 2);
}

#[tokio::test]
async fn the_time_to_live_has_an_upper_bound() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    service.publish_list(&signer, &[], 1_000_000);
    let verifier = service.verifier();
    let token = signer.access(&service.claims_with_status(7));
    verifier.check(&token).await.expect("a good token");
    service.publish_list(&signer, &[7], 30);
    service.pass(seconds(60));
    assert_eq!(refused(verifier.check(&token).await), Refusal::Revoked);
}

#[tokio::test]
async fn a_stale_list_fails_closed_after_its_bound_and_recovers() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    service.publish_list(&signer, &[], 30);
    let verifier = service.verifier();
    let token = signer.access(&service.claims_with_status(7));
    verifier.check(&token).await.expect("a good token");
    service.tell(LIST, Answer::status(500));
    service.pass(seconds(299));
    verifier.check(&token).await.expect("the last good list");
    service.pass(seconds(1));
    assert_eq!(refused(verifier.check(&token).await), Refusal::StatusUnavailable);
    assert!(service.errors() >= 1);
    service.publish_list(&signer, &[], 30);
    service.pass(seconds(1));
    verifier.check(&token).await.expect("the list is back");
}

#[tokio::test]
async fn a_list_is_never_used_beyond_its_expiry() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let mut list = service.list_payload(&[], 300);
    list["exp"] = json!(T0 + 40);
    service.tell(LIST, Answer::ok(signer.token("statuslist+jwt", &list)));
    let verifier = service.verifier();
    let token = signer.access(&service.claims_with_status(7));
    verifier.check(&token).await.expect("a good token");
    service.pass(seconds(39));
    verifier.check(&token).await.expect("a good token");
    service.pass(seconds(1));
    assert_eq!(refused(verifier.check(&token).await), Refusal::StatusUnavailable);
}

#[tokio::test]
async fn an_older_list_does_not_replace_a_newer_one() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let mut older = service.list_payload(&[], 30);
    older["iat"] = json!(T0 - 10);
    service.publish_list(&signer, &[7], 30);
    let verifier = service.verifier();
    let token = signer.access(&service.claims_with_status(7));
    assert_eq!(refused(verifier.check(&token).await), Refusal::Revoked);
    service.tell(LIST, Answer::ok(signer.token("statuslist+jwt", &older)));
    service.pass(seconds(31));
    assert_eq!(refused(verifier.check(&token).await), Refusal::Revoked);
    assert_eq!((service.asked(LIST), service.errors()), (2, 1));
}

/// Whether a list of this text is taken.
async fn takes(service: &Service, signer: &Signer, list: String) -> bool {
    service.tell(LIST, Answer::ok(list));
    let (verifier, errors) = (service.verifier(), service.errors());
    let result = verifier.check(&signer.access(&service.claims_with_status(7))).await;
    assert!(matches!(result, Ok(_) | Err(Refusal::StatusUnavailable)), "{result:?}");
    assert_eq!(service.errors() - errors, usize::from(result.is_err()), "one fetch that fails, or none");
    result.is_ok()
}

#[tokio::test]
async fn only_a_signed_list_of_this_address_is_taken() {
    let (signer, evil) = (Signer::ed("k"), Signer::ed("k"));
    let other = Signer::ed("other");
    let service = Service::start(&[&signer]).await;
    let good = service.list_payload(&[], 30);
    let typ = "statuslist+jwt";
    assert!(takes(&service, &signer, signer.token(typ, &good)).await);
    assert!(takes(&service, &signer, signer.token("application/statuslist+jwt", &good)).await);
    for typ in ["JWT", "at+jwt", "", "statuslist+cwt", "Statuslist+jwt"] {
        assert!(!takes(&service, &signer, signer.token(typ, &good)).await, "{typ}");
    }
    for signer_of_list in [&evil, &other] {
        assert!(!takes(&service, &signer, signer_of_list.token(typ, &good)).await);
    }
    for (name, value) in [
        ("sub", json!(format!("{}/", service.list_uri()))),
        ("sub", json!(format!("{}/status-lists/2", service.origin))),
        ("sub", json!([service.list_uri()])),
        ("sub", Value::Null),
        ("iat", json!(T0 + 1)),
        ("iat", json!("1")),
        ("iat", Value::Null),
        ("exp", json!(T0)),
        ("exp", json!(T0 - 1)),
        ("exp", json!("never")),
        ("ttl", json!(-1)),
        ("ttl", json!("30")),
        ("status_list", Value::Null),
        ("status_list", json!([])),
        ("status_list", json!({"bits": 3, "lst": good["status_list"]["lst"]})),
        ("status_list", json!({"bits": 1, "lst": encode(b"no zlib")})),
    ] {
        let mut list = good.clone();
        list[name] = value.clone();
        assert!(!takes(&service, &signer, signer.token(typ, &list)).await, "{name} {value}");
    }
    let bomb = encode(compressed(&vec![0; 9 << 20]));
    let mut list = good.clone();
    list["status_list"] = json!({"bits": 1, "lst": bomb});
    assert!(!takes(&service, &signer, signer.token(typ, &list)).await);
    for text in [String::new(), "x".repeat(5 << 20), signer.access(&service.claims_with_status(7))] {
        assert!(!takes(&service, &signer, text).await);
    }
}

// The address comes out of a token: none is fetched but those below the configured place, and no redirect is followed.
#[tokio::test]
async fn nothing_is_fetched_from_elsewhere() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let elsewhere = Service::start(&[&signer]).await;
    let verifier = service.verifier();
    for uri in [
        elsewhere.list_uri(),
        format!("{}/admin", service.origin),
        format!("{}/status-lists/../admin", service.origin),
        format!("{}/status-lists/%2e%2e/admin", service.origin),
        format!("{}@{}", service.origin, elsewhere.list_uri()),
        format!("{}/status-lists", service.origin),
        "file:///etc/passwd".to_owned(),
    ] {
        let mut claims = claims();
        claims["status"] = json!({"status_list": {"idx": 1, "uri": uri}});
        assert_eq!(refused(verifier.check(&signer.access(&claims)).await), Refusal::StatusPlace, "{uri}");
    }
    assert_eq!((service.asked_anything(), elsewhere.asked_anything()), (service.asked(JWKS), 0));
    service.tell(LIST, Answer::status(302).with("location", elsewhere.list_uri()));
    let token = signer.access(&service.claims_with_status(7));
    assert_eq!(refused(verifier.check(&token).await), Refusal::StatusUnavailable);
    assert_eq!(elsewhere.asked_anything(), 0);
    // Nor for a token that nobody signed.
    let asked = service.asked(LIST);
    assert!(verifier.check(&Signer::ed("k").access(&service.claims_with_status(8))).await.is_err());
    assert_eq!(service.asked(LIST), asked);
}

#[tokio::test]
async fn whether_a_status_is_needed_is_a_setting() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    service.publish_list(&signer, &[7], 30);
    let without = signer.access(&claims());
    service.verifier().check(&without).await.expect("not needed by default");
    let strict = service.builder().require_status(true).build().expect("sound");
    assert_eq!(refused(strict.check(&without).await), Refusal::StatusMissing);
    strict.check(&signer.access(&service.claims_with_status(1))).await.expect("a good token");
    let blind = service.builder().ignore_status().build().expect("sound");
    let asked = service.asked(LIST);
    blind.check(&signer.access(&service.claims_with_status(7))).await.expect("not asked");
    assert_eq!(service.asked(LIST), asked);
    assert!(service.builder().ignore_status().require_status(true).build().is_err());
    assert!(service.builder().status_lists("https://auth.example").build().is_err());
    assert!(service.builder().status_lists("/status-lists/").build().is_err());
    let elsewhere =
        service.builder().status_lists(format!("{}/lists/", service.origin)).build().expect("sound");
    let token = signer.access(&service.claims_with_status(1));
    assert_eq!(refused(elsewhere.check(&token).await), Refusal::StatusPlace);
}

// A list may be signed by a key that was published after we last looked.
#[tokio::test]
async fn a_list_by_a_new_key_is_taken_after_one_look_at_the_keys() {
    let (old, new) = (Signer::ed("old"), Signer::ed("new"));
    let service = Service::start(&[&old]).await;
    service.publish_list(&old, &[], 30);
    let verifier = service.verifier();
    let token = old.access(&service.claims_with_status(7));
    verifier.check(&token).await.expect("a good token");
    service.publish(&[&old, &new], 300);
    service.pass(seconds(31));
    service.publish_list(&new, &[7], 30);
    assert_eq!(refused(verifier.check(&token).await), Refusal::Revoked);
    assert_eq!(service.asked(JWKS), 2);
}

#[tokio::test]
async fn many_checks_that_need_one_list_fetch_it_once() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    service.publish_list(&signer, &[], 30);
    let verifier =
        service.builder().limits(Limits { seen_tokens: 0, ..Limits::default() }).build().expect("sound");
    let token = signer.access(&service.claims_with_status(7));
    let checks: Vec<_> = (0..50)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), token.clone());
            tokio::spawn(async move { verifier.check(&token).await.map(drop) })
        })
        .collect();
    for check in checks {
        assert_eq!(check.await.expect("no panic"), Ok(()));
    }
    assert_eq!((service.asked(JWKS), service.asked(LIST)), (1, 1));
}
