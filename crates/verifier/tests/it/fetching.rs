//! Keys: rotation, failure, slowness, and what is remembered of a token.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use verifier::{Fetched, Limits, Refusal, Verifier};

use crate::service::{Answer, JWKS, Service, T0, claims, claims_but, refused, until};
use crate::signer::{Signer, key_set};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

// TK-10: published, then used, then the old one dropped: no good token is refused, and no dropped key lives on.
#[tokio::test]
async fn a_rotation_needs_no_restart() {
    let (old, new) = (Signer::ed("old"), Signer::ec("new"));
    let service = Service::start(&[&old]).await;
    let verifier = service.verifier();
    let (by_old, by_new) = (old.access(&claims()), new.access(&claims()));
    for second in 0..1_200 {
        match second {
            100 => service.publish(&[&old, &new], 300),
            700 => service.publish(&[&new], 300),
            _ => {}
        }
        if second < 700 {
            verifier.check(&by_old).await.expect("the old key is good");
        }
        if second >= 400 {
            verifier.check(&by_new).await.expect("the new key is good");
        }
        if second >= 1_000 {
            assert_eq!(refused(verifier.check(&by_old).await), Refusal::UnknownKey);
        }
        service.pass(seconds(1));
    }
}

// TK-10: a key that is used before anybody could know it costs one fetch.
#[tokio::test]
async fn a_key_that_was_not_announced_is_fetched_at_once() {
    let (old, new) = (Signer::ed("old"), Signer::ed("new"));
    let service = Service::start(&[&old]).await;
    let verifier = service.verifier();
    verifier.check(&old.access(&claims())).await.expect("a good token");
    service.publish(&[&old, &new], 300);
    service.pass(seconds(10));
    let token = new.access(&claims());
    let checks: Vec<_> = (0..50)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), token.clone());
            tokio::spawn(async move { verifier.check(&token).await.map(drop) })
        })
        .collect();
    for check in checks {
        assert_eq!(check.await.expect("no panic"), Ok(()));
    }
    assert_eq!(service.asked(JWKS), 2);
}

// TK-10: a key that was dropped in an emergency is dead when the set is no longer fresh, though its tokens are remembered.
#[tokio::test]
async fn a_dropped_key_is_not_served_from_memory() {
    let (dropped, kept) = (Signer::ed("dropped"), Signer::ed("kept"));
    let service = Service::start(&[&dropped, &kept]).await;
    let verifier = service.verifier();
    let token = dropped.access(&claims());
    verifier.check(&token).await.expect("a good token");
    service.publish(&[&kept], 300);
    service.pass(seconds(300));
    assert_eq!(refused(verifier.check(&token).await), Refusal::UnknownKey);
    verifier.check(&kept.access(&claims())).await.expect("a good token");
    // All keys gone: nothing is taken, and the old set does not come back.
    service.publish(&[], 300);
    service.pass(seconds(300));
    assert_eq!(refused(verifier.check(&kept.access(&claims())).await), Refusal::UnknownKey);
}

// TK-08: the same id for another key.
#[tokio::test]
async fn a_key_that_changed_under_its_id_is_not_served_from_memory() {
    let (first, second) = (Signer::ed("k"), Signer::ed("k"));
    let service = Service::start(&[&first]).await;
    let verifier = service.verifier();
    let token = first.access(&claims());
    verifier.check(&token).await.expect("a good token");
    service.publish(&[&second], 300);
    service.pass(seconds(300));
    assert_eq!(refused(verifier.check(&token).await), Refusal::Signature);
    verifier.check(&second.access(&claims())).await.expect("a good token");
}

// TK-06
#[tokio::test]
async fn an_expired_token_is_not_served_from_memory() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let verifier = service.verifier();
    let token = signer.access(&claims_but("exp", (T0 + 5).into()));
    for _ in 0..5 {
        verifier.check(&token).await.expect("a good token");
        service.pass(seconds(1));
    }
    assert_eq!(refused(verifier.check(&token).await), Refusal::Expired);
}

#[tokio::test]
async fn the_key_set_is_renewed_in_the_background_before_it_runs_out() {
    let (old, new) = (Signer::ed("old"), Signer::ed("new"));
    let service = Service::start(&[&old]).await;
    let verifier = service.verifier();
    let (by_old, by_new) = (old.access(&claims()), new.access(&claims()));
    verifier.check(&by_old).await.expect("a good token");
    service.publish(&[&old, &new], 300);
    service.shut();
    service.pass(seconds(250));
    verifier.check(&by_old).await.expect("nobody waits for the renewal");
    verifier.check(&by_old).await.expect("nobody waits for the renewal");
    until("asked", || service.asked(JWKS) == 2).await;
    service.open();
    until("renewed", || matches!(verifier.check_now(&by_new), Some(Ok(_)))).await;
    assert_eq!(service.asked(JWKS), 2);
}

#[tokio::test]
async fn the_freshness_has_bounds() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let token = signer.access(&claims());
    for (cache_control, fresh) in [
        (Some("max-age=0"), 10),
        (Some("no-store"), 10),
        (Some("max-age=60"), 60),
        (Some("max-age=31536000"), 600),
        (None, 300),
    ] {
        let mut answer = Answer::ok(key_set(&[&signer]));
        if let Some(value) = cache_control {
            answer = answer.with("cache-control", value);
        }
        service.tell(JWKS, answer);
        let verifier = service.verifier();
        verifier.check(&token).await.expect("a good token");
        // Renewals in the background do not come to an end.
        service.shut();
        service.pass(seconds(fresh) - Duration::from_millis(1));
        assert!(verifier.check_now(&token).is_some(), "{cache_control:?}");
        service.pass(Duration::from_millis(1));
        assert!(verifier.check_now(&token).is_none(), "{cache_control:?}");
        service.open();
    }
}

#[tokio::test]
async fn the_last_good_keys_serve_for_a_bounded_while_and_then_nothing_does() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let verifier = service.verifier();
    let token = signer.access(&claims());
    verifier.check(&token).await.expect("a good token");
    for failure in [
        Answer::status(500),
        Answer::status(301).with("location", JWKS),
        Answer::ok("no JSON"),
        Answer::ok("[]"),
        Answer::ok("{}"),
        Answer::ok(r#"{"keys":{}}"#),
        Answer::ok(r#"{"keys":[],"keys":[]}"#),
        Answer::ok(r#"{"keys":[1]}"#),
        Answer::ok(json!({"keys": [signer.jwk(), signer.jwk()]}).to_string()),
        Answer::ok(json!({"keys": vec![json!({"kty": "x"}); 33]}).to_string()),
        Answer::ok(format!("{}{}", key_set(&[&signer]), " ".repeat(65_536))),
    ] {
        service.tell(JWKS, failure);
        service.pass(seconds(300));
        let errors = service.errors();
        verifier.check(&token).await.expect("the last good keys");
        until("told of the failure", || service.errors() > errors).await;
    }
    service.pass(seconds(300));
    assert_eq!(refused(verifier.check(&token).await), Refusal::KeysUnavailable);
    assert_eq!(refused(verifier.check(&token).await), Refusal::KeysUnavailable);
    service.publish(&[&signer], 300);
    service.pass(seconds(1));
    verifier.check(&token).await.expect("the keys are back");
}

#[tokio::test]
async fn without_any_keys_nothing_is_taken_and_fetches_are_spaced() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    service.tell(JWKS, Answer::status(503));
    let verifier = service.verifier();
    let token = signer.access(&claims());
    for _ in 0..20 {
        assert_eq!(refused(verifier.check(&token).await), Refusal::KeysUnavailable);
    }
    assert_eq!(service.asked(JWKS), 1);
    service.publish(&[&signer], 300);
    service.pass(seconds(1));
    verifier.check(&token).await.expect("the service is up");
}

// While keys cannot be fetched, a token by an unknown key may be good: that is not for us to say.
#[tokio::test]
async fn an_unknown_key_is_undecided_while_fetching_fails() {
    let (old, new) = (Signer::ed("old"), Signer::ed("new"));
    let service = Service::start(&[&old]).await;
    let verifier = service.verifier();
    verifier.check(&old.access(&claims())).await.expect("a good token");
    service.tell(JWKS, Answer::status(500));
    service.pass(seconds(10));
    for _ in 0..20 {
        assert_eq!(refused(verifier.check(&new.access(&claims())).await), Refusal::KeysUnavailable);
    }
    assert_eq!(service.asked(JWKS), 2);
}

#[tokio::test]
async fn many_checks_share_one_slow_fetch_which_outlives_who_asked_first() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    service.shut();
    let verifier = service.verifier();
    let token = signer.access(&claims());
    assert!(verifier.check_now(&token).is_none());
    let check = || {
        let (verifier, token) = (verifier.clone(), token.clone());
        tokio::spawn(async move { verifier.check(&token).await.map(drop) })
    };
    let first = check();
    until("asked", || service.asked(JWKS) == 1).await;
    first.abort();
    let rest: Vec<_> = (0..50).map(|_| check()).collect();
    tokio::task::yield_now().await;
    service.open();
    for check in rest {
        assert_eq!(check.await.expect("no panic"), Ok(()));
    }
    assert_eq!(service.asked(JWKS), 1);
    assert!(matches!(verifier.check_now(&token), Some(Ok(_))));
}

// The clock of tokio is stopped and moved by it when all tasks wait: no time passes for real.
#[tokio::test(start_paused = true)]
async fn a_fetch_that_never_ends_is_given_up() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let verifier = Verifier::builder("https://auth.example/.well-known/jwks.json")
        .clock(|| seconds(T0))
        .fetch(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Box::pin(std::future::pending())
        })
        .build()
        .expect("sound");
    let token = Signer::ed("k").access(&claims());
    assert_eq!(refused(verifier.check(&token).await), Refusal::KeysUnavailable);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_fetch_function_of_ones_own_is_used_and_may_panic() {
    let signer = Signer::ed("k");
    let body = key_set(&[&signer]).into_bytes();
    let calls = Arc::new(AtomicUsize::new(0));
    let now = Arc::new(AtomicUsize::new(0));
    let (count, clock) = (Arc::clone(&calls), Arc::clone(&now));
    let verifier = Verifier::builder("https://auth.example/.well-known/jwks.json")
        .clock(move || seconds(T0 + clock.load(Ordering::SeqCst) as u64))
        .fetch(move |request| {
            assert_eq!(request.url, "https://auth.example/.well-known/jwks.json");
            let first = count.fetch_add(1, Ordering::SeqCst) == 0;
            let body = body.clone();
            Box::pin(async move {
                assert!(!first, "a panic on purpose");
                Ok(Fetched { body, cache_control: None })
            })
        })
        .build()
        .expect("sound");
    let token = signer.access(&claims());
    assert_eq!(refused(verifier.check(&token).await), Refusal::KeysUnavailable);
    now.store(1, Ordering::SeqCst);
    verifier.check(&token).await.expect("a good token");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

// The other end speaks no TLS: an https:// address is never asked in the clear.
#[tokio::test]
async fn an_https_address_means_tls() {
    let signer = Signer::ed("k");
    let service = Service::start(&[&signer]).await;
    let url = format!("{}{JWKS}", service.origin.replace("http://", "https://"));
    let failed = Arc::new(std::sync::Mutex::new(Vec::new()));
    let failures = Arc::clone(&failed);
    let tell =
        move |url: &str, _: &verifier::FetchError| failures.lock().expect("no panic").push(url.to_owned());
    let built = Verifier::builder(&url).on_fetch_error(tell).build();
    if let Err(verifier::BuildError::Tls(reason)) = &built {
        eprintln!("skipped: this machine has no root certificates: {reason}");
        return;
    }
    let verifier = built.expect("sound");
    assert_eq!(refused(verifier.check(&signer.access(&claims())).await), Refusal::KeysUnavailable);
    assert_eq!(*failed.lock().expect("no panic"), [url]);
    assert_eq!(service.asked_anything(), 0);
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    let builds = |url: &str| Verifier::builder(url).build().is_ok();
    assert!(builds("http://auth/.well-known/jwks.json"));
    for url in
        ["", "auth.example/jwks", "ftp://auth/jwks", "https:///jwks", "https://auth", "https://u@auth/jwks"]
    {
        assert!(!builds(url), "{url}");
    }
    let limited = |limits: Limits| Verifier::builder("http://auth/jwks").limits(limits).build().is_ok();
    assert!(limited(Limits::default()));
    for limits in [
        Limits { refetch_gap: Duration::ZERO, ..Limits::default() },
        Limits { retry: Duration::ZERO, ..Limits::default() },
        Limits { keys_fresh_min: Duration::ZERO, ..Limits::default() },
        Limits { keys_stale_max: seconds(599), ..Limits::default() },
        Limits { status_stale_max: seconds(59), ..Limits::default() },
    ] {
        assert!(!limited(limits.clone()), "{limits:?}");
    }
    assert!(Verifier::builder("http://auth/jwks").profiles(&[]).build().is_err());
    assert!(Verifier::builder("http://auth/jwks").profiles(&[verifier::Profile::Rfc9068]).build().is_err());
}
