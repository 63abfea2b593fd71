//! API keys: what they give, and who gets nothing.

use std::time::Duration;

use domain::user::User;
use service::api_key::{self, Made, NewKey, Refusal};
use service::settings::Settings;
use service::{Kind, group, user, verify};

use crate::harness::{DAY, Harness, MINUTE, PASSWORD, START, legacy_token, settings};

async fn account(harness: &Harness, name: &str) -> User {
    harness.register(name).await
}

async fn key(harness: &Harness, user: &User, scope: &str) -> Made {
    let new = NewKey {
        user: user.id,
        name: "nightly".into(),
        scope: scope.into(),
        expires_at: harness.clock.now() + 10 * DAY,
    };
    api_key::create(&harness.app, &new).await.unwrap()
}

type Given = Result<api_key::Exchanged, Refusal>;

async fn exchange(harness: &Harness, made: &Made, wanted: Option<&str>) -> Given {
    let caller = harness.caller();
    api_key::exchange(&harness.app, &caller, made.key.id.as_str(), &made.text, wanted).await.unwrap()
}

/// A superuser: every scope is held.
async fn machine(harness: &Harness) -> User {
    let new = user::NewUser {
        username: "machine".into(),
        email: String::new(),
        password: PASSWORD.into(),
        is_superuser: true,
        is_staff: false,
    };
    user::create(&harness.app, new).await.unwrap()
}

// AD-07
#[tokio::test]
async fn a_key_gives_short_tokens_that_are_limited_to_its_scope() {
    let harness = Harness::new().await;
    let made = key(&harness, &machine(&harness).await, "shop.view_book shop.add_book").await;
    let given = exchange(&harness, &made, None).await.unwrap();
    assert_eq!(
        (given.scope.to_string().as_str(), given.expires_in),
        ("shop.add_book shop.view_book", 5 * MINUTE)
    );
    let caller = harness.caller();
    let claims = service::introspection::introspect(&harness.app, &caller, &given.access, false)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(claims.standard.client.as_deref(), Some(made.key.id.as_str()));
    assert_eq!(claims.standard.scope.as_deref(), Some("shop.add_book shop.view_book"));
    assert!(verify::bearer(&harness.app, &caller, &given.access).await.unwrap().by_key);
    let narrow = exchange(&harness, &made, Some("shop.view_book")).await.unwrap();
    assert_eq!(narrow.scope.to_string(), "shop.view_book");
    assert_eq!(exchange(&harness, &made, Some("")).await.unwrap().scope.to_string(), "");
    for more in ["shop.delete_book", "shop.view_book shop.delete_book", "shop.view_book  ", "x", "*"] {
        assert_eq!(exchange(&harness, &made, Some(more)).await.unwrap_err(), Refusal::Scope, "{more}");
    }
    harness.pass(5 * MINUTE).await;
    assert!(harness.verify(&given.access).await.is_err(), "five minutes");
    assert!(harness.refresh(&given.access).await.is_err(), "it is no refresh token");
}

// AD-07: a key never says more than its owner may at that moment.
#[tokio::test]
async fn a_scope_shrinks_with_what_its_owner_may() {
    let harness = Harness::new().await;
    let owner = account(&harness, "machine").await;
    let made = key(&harness, &owner, "shop.view_book shop.add_book").await;
    assert_eq!(exchange(&harness, &made, None).await.unwrap().scope.to_string(), "");
    let readers = group::create(&harness.app, "Readers").await.unwrap();
    let mut tx = harness.app.db.begin().await.unwrap();
    let permission = store::group::insert_permission(&mut tx, None, "shop.view_book", "").await.unwrap();
    store::group::set_permissions(&mut tx, readers.id, &[permission]).await.unwrap();
    tx.commit().await.unwrap();
    group::add_user(&harness.app, readers.id, owner.id).await.unwrap();
    assert_eq!(exchange(&harness, &made, None).await.unwrap().scope.to_string(), "shop.view_book");
}

// AD-07, LG-06: unknown, wrong, expired and revoked keys are refused alike.
#[tokio::test]
async fn what_is_no_good_key_gives_nothing() {
    let harness = Harness::new().await;
    let owner = machine(&harness).await;
    let (made, other) = (key(&harness, &owner, "").await, key(&harness, &owner, "").await);
    let (app, caller) = (&harness.app, harness.caller());
    let (id, text) = (made.key.id.as_str(), made.text.as_str());
    let mut wrong = text.to_owned();
    let last = wrong.pop().unwrap();
    wrong.push(if last == '0' { '1' } else { '0' });
    let unknown = text.replace(id, "0000000000000000");
    for (id, text) in [
        (id, wrong.as_str()),
        (id, other.text.as_str()),
        (other.key.id.as_str(), text),
        ("0000000000000000", unknown.as_str()),
        (id, ""),
        ("", text),
        (id, &text[4..]),
    ] {
        assert_eq!(
            api_key::exchange(app, &caller, id, text, None).await.unwrap().unwrap_err(),
            Refusal::Client
        );
    }
    let given = exchange(&harness, &made, None).await.unwrap();
    assert!(api_key::revoke(app, &made.key.id).await.unwrap());
    assert!(!api_key::revoke(app, &made.key.id).await.unwrap());
    assert_eq!(exchange(&harness, &made, None).await.unwrap_err(), Refusal::Client);
    assert!(harness.verify(&given.access).await.is_err(), "its tokens are refused at once");
    harness.pass(10 * DAY).await;
    assert_eq!(exchange(&harness, &other, None).await.unwrap_err(), Refusal::Client, "expired");
}

// AD-07: also on another replica, within the bound; the database holds a digest only.
#[tokio::test]
async fn revoking_reaches_every_replica_and_the_key_is_not_stored() {
    let harness = Harness::new().await;
    let replica = harness.replica(settings()).await.unwrap();
    let made = key(&harness, &machine(&harness).await, "").await;
    let given = exchange(&harness, &made, None).await.unwrap();
    verify::verify(&replica, &harness.caller(), &given.access).await.unwrap();
    api_key::revoke(&harness.app, &made.key.id).await.unwrap();
    service::feed::poll(&replica).await.unwrap();
    assert!(verify::verify(&replica, &harness.caller(), &given.access).await.is_err());
    let mut tx = harness.app.db.read().await.unwrap();
    let stored = store::api_key::find(&mut tx, &made.key.id).await.unwrap().unwrap();
    assert_eq!(stored.digest, crypto::keyed::sha256(made.text.as_bytes()));
    assert!(stored.key.last_used_at.is_some_and(|at| at.seconds() % 3600 == 0), "to the hour");
}

#[tokio::test]
async fn all_tokens_of_a_key_are_of_one_session_until_it_ends() {
    let harness = Harness::new().await;
    let owner = machine(&harness).await;
    let made = key(&harness, &owner, "").await;
    let session = async |access: &str| {
        verify::bearer(&harness.app, &harness.caller(), access).await.unwrap().session.unwrap()
    };
    let first = exchange(&harness, &made, None).await.unwrap();
    let second = exchange(&harness, &made, None).await.unwrap();
    assert_eq!(session(&first.access).await, session(&second.access).await);
    service::logout::logout(&harness.app, &harness.caller(), &first.access).await.unwrap();
    assert!(harness.verify(&second.access).await.is_err());
    let third = exchange(&harness, &made, None).await.unwrap();
    assert!(harness.verify(&third.access).await.is_ok(), "the key itself is still good");
    let all = service::logout::logout_all(&harness.app, &harness.caller(), &third.access).await;
    assert_eq!(all.unwrap_err().kind, Kind::Forbidden, "a key does not end the sessions of its owner");
    let own = harness.login("machine").await;
    service::logout::logout_all(&harness.app, &harness.caller(), &own.access).await.unwrap();
    assert!(harness.verify(&third.access).await.is_err());
    let fourth = exchange(&harness, &made, None).await.unwrap();
    assert!(harness.verify(&fourth.access).await.is_ok());
}

#[tokio::test]
async fn keys_that_are_exchanged_at_once_share_a_session() {
    let harness = Harness::new().await;
    let made = key(&harness, &machine(&harness).await, "").await;
    let done = futures_util::future::join_all((0..3).map(|_| exchange(&harness, &made, None))).await;
    for given in done {
        assert!(harness.verify(&given.unwrap().access).await.is_ok());
    }
    api_key::revoke(&harness.app, &made.key.id).await.unwrap();
    assert_eq!(exchange(&harness, &made, None).await.unwrap_err(), Refusal::Client);
}

#[tokio::test]
async fn keys_have_an_end_that_is_not_too_far() {
    let harness = Harness::new().await;
    let owner = account(&harness, "machine").await;
    let now = harness.clock.now();
    let make = async |name: &str, scope: &str, expires_at| {
        let new = NewKey { user: owner.id, name: name.into(), scope: scope.into(), expires_at };
        api_key::create(&harness.app, &new).await.map(drop)
    };
    assert!(make("a", "", now + 365 * DAY).await.is_ok());
    for (name, scope, expires_at) in [
        ("a", "", now),
        ("a", "", now + 366 * DAY),
        ("", "", now + DAY),
        ("a\u{7}", "", now + DAY),
        ("a", "no permission", now + DAY),
    ] {
        let refused = make(name, scope, expires_at).await.unwrap_err();
        assert!(matches!(refused.kind, Kind::Invalid(_)), "{name:?} {scope:?}");
    }
    let new = NewKey {
        user: domain::user::UserId::new(99),
        name: "a".into(),
        scope: String::new(),
        expires_at: now + DAY,
    };
    assert_eq!(api_key::create(&harness.app, &new).await.map(drop).unwrap_err().kind, Kind::NotFound);
}

// LG-06, LG-08: guesses are limited per network like those at passwords, and a good key costs nothing of it.
#[tokio::test]
async fn guessing_keys_is_throttled() {
    let harness = Harness::with(Settings::default()).await;
    let made = key(&harness, &machine(&harness).await, "").await;
    for _ in 0..150 {
        exchange(&harness, &made, None).await.unwrap();
    }
    let guess = async || {
        api_key::exchange(&harness.app, &harness.caller(), made.key.id.as_str(), "bsa_x", None).await
    };
    for _ in 0..100 {
        assert_eq!(guess().await.unwrap().unwrap_err(), Refusal::Client);
    }
    assert!(matches!(guess().await.unwrap_err().kind, Kind::Throttled { .. }));
}

/// Every way to a token.
#[derive(Clone, Copy, Debug)]
enum Way {
    Login,
    Refresh,
    LegacyRefresh,
    ApiKey,
}

/// LG-06: every way × every state in which an account gets nothing.
#[tokio::test]
async fn an_account_that_is_disabled_or_gone_gets_no_token_in_any_way() {
    for way in [Way::Login, Way::Refresh, Way::LegacyRefresh, Way::ApiKey] {
        for state in ["disabled", "deleted", "good", "enabled again"] {
            let harness = Harness::new().await;
            let owner = account(&harness, "ann").await;
            let made = key(&harness, &owner, "").await;
            let pair = harness.login("ann").await;
            let legacy =
                legacy_token("refresh", owner.id.get(), &"a".repeat(32), START.seconds() + 1, 86_400);
            match state {
                "disabled" => assert!(user::disable(&harness.app, owner.id).await.unwrap()),
                "deleted" => assert!(user::delete(&harness.app, owner.id).await.unwrap()),
                "enabled again" => {
                    user::disable(&harness.app, owner.id).await.unwrap();
                    user::enable(&harness.app, owner.id).await.unwrap();
                }
                _ => {}
            }
            harness.pass(Duration::from_secs(2)).await;
            let got = match way {
                Way::Login => harness.try_login("ann", PASSWORD).await.is_ok(),
                Way::Refresh => harness.refresh(&pair.refresh).await.is_ok(),
                Way::LegacyRefresh => harness.refresh(&legacy).await.is_ok(),
                Way::ApiKey => exchange(&harness, &made, None).await.is_ok(),
            };
            // What was out when the account was disabled stays refused; who proves it anew is let in.
            let anew = matches!(way, Way::Login | Way::ApiKey);
            let expected = state == "good" || (state == "enabled again" && anew);
            assert_eq!(got, expected, "{way:?}, {state}");
        }
    }
}

// AD-07, LG-08: neither a service that presents a dead key again and again nor people who mistype use up what the other has.
#[tokio::test]
async fn keys_and_logins_are_limited_apart() {
    let harness = Harness::with(Settings { throttle: true, ..settings() }).await;
    let made = key(&harness, &machine(&harness).await, "").await;
    harness.register("ann").await;
    let (app, caller, id) = (&harness.app, harness.caller(), made.key.id.as_str());
    let mut refused = 0;
    while matches!(api_key::exchange(app, &caller, id, "wrong", None).await, Ok(Err(Refusal::Client))) {
        refused += 1;
    }
    assert_eq!(refused, 100);
    harness.login("ann").await;
    let mut harness = harness;
    harness.address = std::net::IpAddr::from([203, 0, 113, 7]);
    for number in 0..101 {
        assert!(harness.try_login(&format!("nobody{number}"), "wrong").await.is_err());
    }
    let throttled = harness.try_login("ann", PASSWORD).await.map(drop).unwrap_err();
    assert!(matches!(throttled.kind, Kind::Throttled { .. }));
    assert!(exchange(&harness, &made, None).await.is_ok());
}
