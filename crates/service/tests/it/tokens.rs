//! What tokens say, and which tokens are taken.

use std::collections::HashSet;

use crypto::jws::KeyRing;
use domain::session::{Jti, SessionId};
use service::Kind;
use service::settings::{Settings, TokenSettings};

use crate::harness::{Harness, Refused, SECRET, START, settings};

fn claims(token: &str) -> String {
    String::from_utf8(KeyRing::hs256(SECRET, &[]).verify(token).unwrap()).unwrap()
}

#[tokio::test]
async fn claims_are_those_of_the_replaced_service_and_the_session() {
    // TK-12
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let pair = harness.login("ann").await;
    let now = START.seconds();
    for (token, kind, lifetime) in [(&pair.access, "access", 900), (&pair.refresh, "refresh", 7 * 86_400)] {
        let text = claims(token);
        let start = format!(r#"{{"token_type":"{kind}","exp":{},"iat":{now},"jti":""#, now + lifetime);
        assert!(text.starts_with(&start), "{text}");
        let jti = &text[start.len()..start.len() + 32];
        assert!(Jti::parse(jti).is_some(), "{jti}");
        let rest = format!(r#"","user_id":{},"sid":""#, ann.id);
        assert!(text[start.len() + 32..].starts_with(&rest), "{text}");
        assert!(text.ends_with("\"}") && text.matches(':').count() == 6, "{text}");
    }
}

#[tokio::test]
async fn issuer_and_audience_are_written_and_required_exactly_when_configured() {
    // TK-07
    let named = |issuer: &str, audience: &str| {
        let tokens = TokenSettings {
            issuer: Some(issuer.into()),
            audience: Some(audience.into()),
            ..TokenSettings::default()
        };
        Settings { tokens, ..settings() }
    };
    let harness = Harness::new().await;
    harness.register("ann").await;
    let bare = harness.login("ann").await;
    let harness = harness.restart(named("https://auth.example", "shop")).await;
    harness.verify(&bare.access).await.token_refused();
    let pair = harness.login("ann").await;
    assert!(harness.verify(&pair.access).await.is_ok());
    assert!(claims(&pair.access).contains(r#""iss":"https://auth.example","aud":"shop""#));
    let mut harness = harness;
    for (issuer, audience) in
        [("https://auth.example/", "shop"), ("https://AUTH.example", "shop"), ("https://auth.example", "sho")]
    {
        harness = harness.restart(named(issuer, audience)).await;
        harness.verify(&pair.access).await.token_refused();
        harness.refresh(&pair.refresh).await.map(|_| ()).token_refused();
    }
}

#[tokio::test]
async fn a_new_secret_signs_while_the_old_one_verifies() {
    // KY-05, TK-10
    const NEW: &[u8] = b"another secret of the tests, also long enough";
    let harness = Harness::new().await;
    harness.register("ann").await;
    let old = harness.login("ann").await;
    let harness = harness.restart_with_keys(KeyRing::hs256(NEW, &[SECRET])).await;
    assert!(harness.verify(&old.access).await.is_ok());
    let new = harness.refresh(&old.refresh).await.unwrap();
    assert!(KeyRing::hs256(NEW, &[]).verify(&new.access).is_ok());
    let harness = harness.restart_with_keys(KeyRing::hs256(NEW, &[])).await;
    harness.verify(&old.access).await.token_refused();
    assert!(harness.refresh(new.refresh.as_ref().unwrap()).await.is_ok());
}

#[tokio::test]
async fn the_authorization_header_takes_access_tokens_only() {
    // TK-03
    let harness = Harness::new().await;
    harness.register("ann").await;
    let pair = harness.login("ann").await;
    let bearer = async |token: &str| service::verify::bearer(&harness.app, &harness.caller(), token).await;
    assert!(bearer(&pair.access).await.is_ok());
    let error = bearer(&pair.refresh).await.unwrap_err();
    assert_eq!(error.kind, Kind::BearerInvalid("Token has wrong type".into()));
    assert!(bearer("x").await.is_err());
}

#[tokio::test]
async fn random_values_do_not_repeat() {
    // SE-01
    let mut sessions = HashSet::new();
    let mut tokens = HashSet::new();
    for _ in 0..200_000 {
        assert!(sessions.insert(SessionId::new(crypto::random::fill(), 0)));
        assert!(tokens.insert(Jti::new(crypto::random::fill())));
    }
}
