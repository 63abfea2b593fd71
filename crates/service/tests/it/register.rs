use std::net::IpAddr;
use std::sync::Arc;

use crypto::breached::BreachedPasswords;
use crypto::breached::build::{Source, build};
use domain::password::{PasswordPolicy, PolicyChecks};
use service::settings::Settings;
use service::{Error, Kind};

use crate::harness::{Harness, PASSWORD, settings};

#[tokio::test]
async fn nothing_is_hashed_for_a_request_that_cheap_checks_refuse() {
    // DS-02, PW-02
    let harness = Harness::with(Settings { throttle: true, ..settings() }).await;
    harness.register("ann").await;
    let before = harness.app.hasher.stats().computed;
    assert!(harness.try_register("bad name!", PASSWORD).await.is_err());
    assert!(harness.try_register("ANN", PASSWORD).await.is_err());
    assert!(harness.try_register("ben", "short").await.is_err());
    assert!(harness.try_register("ben", &"x".repeat(129)).await.is_err());
    assert_eq!(harness.app.hasher.stats().computed, before);
    for _ in 0..6 {
        let _ = harness.try_login("nobody", PASSWORD).await;
    }
    let before = harness.app.hasher.stats().computed;
    assert!(harness.try_login("nobody", PASSWORD).await.is_err());
    assert_eq!(harness.app.hasher.stats().computed, before, "a throttled login is not hashed");
    assert!(harness.try_register("ben", &"x".repeat(128)).await.is_ok());
    assert!(harness.try_login("ben", &"x".repeat(128)).await.is_ok());
    assert!(harness.try_login("ben", &"x".repeat(127)).await.is_err());
}

#[tokio::test]
async fn all_faulty_fields_are_named_at_once() {
    let harness = Harness::new().await;
    harness.register("ann").await;
    let input = service::register::Input {
        username: Ok("Ann".into()),
        email: Ok("nonsense".into()),
        password: Err(vec!["This field is required.".into()]),
    };
    let error = service::register::register(&harness.app, &harness.caller(), input).await.unwrap_err();
    let Kind::Invalid(fields) = error.kind else { panic!("{error:?}") };
    let names: Vec<_> = fields.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["username", "email", "password"]);
}

#[tokio::test]
async fn registrations_are_limited_per_network() {
    // DS-04
    let mut harness = Harness::with(Settings { throttle: true, ..settings() }).await;
    let mut served = 0;
    let refused = loop {
        match harness.try_register(&format!("user {served}"), PASSWORD).await {
            Err(error) if matches!(error.kind, Kind::Invalid(_)) => served += 1,
            Err(Error { kind, .. }) => break kind,
            Ok(_) => panic!("a name with a space in it"),
        }
    };
    assert!(matches!(refused, Kind::Throttled { .. }), "{refused:?}");
    assert_eq!(served, 100);
    harness.address = IpAddr::from([203, 0, 113, 7]);
    assert!(harness.try_register("elsewhere", PASSWORD).await.is_ok());
}

// PW-05: whoever sets it, and only where the full policy is in force.
#[tokio::test]
async fn a_breached_password_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("breached");
    // The list has the composed form, as hashes do (PW-04).
    let known = "violet umbrella 42\ncaf\u{e9} umbrella 42\n";
    build(known.as_bytes(), Source::Passwords, &path, 0, |_| {}).unwrap();
    let list = Some(Arc::new(BreachedPasswords::open(&path).unwrap()));
    let policy = |checks| PasswordPolicy { min_length: 8, checks };
    let full = Settings {
        password_policy: policy(PolicyChecks::Full),
        breached_passwords: list.clone(),
        ..settings()
    };
    let harness = Harness::with(full.clone()).await;
    for breached in ["violet umbrella 42", "cafe\u{301} umbrella 42"] {
        let error = harness.try_register("ann", breached).await.unwrap_err();
        let Kind::Invalid(fields) = error.kind else { panic!("{error:?}") };
        let (field, messages) = fields.iter().next().unwrap();
        assert!(field == "password" && messages[0].contains("data breach"), "{messages:?}");
    }
    let user = harness.try_register("ann", "Violet umbrella 42").await.unwrap();
    assert!(service::user::set_password(&harness.app, user.id, "violet umbrella 42").await.is_err());

    // A list that cannot be read lets nothing through.
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::write(&path, vec![0xff; length as usize]).unwrap();
    let error = harness.try_register("ben", "another umbrella 42").await.unwrap_err();
    assert!(matches!(error.kind, Kind::Unavailable { .. }), "{error:?}");
    let harness = Harness::with(Settings { password_policy: policy(PolicyChecks::LengthOnly), ..full }).await;
    assert!(harness.try_register("ann", "violet umbrella 42").await.is_ok(), "the length alone");
}
