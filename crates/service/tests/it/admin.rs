//! Who may administer whom: rights, races and freshness.

use std::time::Duration;

use domain::admin::Role;
use domain::user::{User, UserId};
use service::admin::{Administrator, api_key, bootstrap, group, session, user};
use service::api_key::NewKey;
use service::settings::{Settings, TokenRoles, TokenSettings};
use service::verify::{Identity, bearer};
use service::{Error, Kind};

use crate::harness::{DAY, Harness, MINUTE, PASSWORD, START, legacy_token, settings, with_mail};

pub(crate) async fn superuser(harness: &Harness, name: &str) -> User {
    let new = service::user::NewUser {
        username: name.into(),
        email: String::new(),
        password: PASSWORD.into(),
        is_superuser: true,
        is_staff: true,
    };
    service::user::create(&harness.app, new).await.unwrap()
}

async fn who(harness: &Harness, name: &str) -> Identity {
    let pair = harness.login(name).await;
    bearer(&harness.app, &harness.caller(), &pair.access).await.unwrap()
}

pub(crate) async fn admin(harness: &Harness, name: &str) -> Administrator {
    let who = who(harness, name).await;
    Administrator::of(&harness.app, &harness.caller(), who).await.unwrap()
}

/// A staff member whose group gives these permissions.
async fn staff(
    harness: &Harness,
    root: &Administrator,
    name: &str,
    rights: &[&str],
) -> (User, Administrator) {
    let (app, caller) = (&harness.app, harness.caller());
    let account = harness.register(name).await;
    user::set_role(app, &caller, root, account.id, Role::Staff, true).await.unwrap();
    let made = group::create(app, &caller, root, Ok(format!("{name}s"))).await.unwrap();
    for right in rights {
        group::set_permission(app, &caller, root, made.id, right, true).await.unwrap();
    }
    group::set_member(app, &caller, root, made.id, account.id, true).await.unwrap();
    (account, admin(harness, name).await)
}

fn forbidden<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Err(Error { kind: Kind::Forbidden, code, .. }) => code,
        Err(other) => panic!("refused otherwise: {other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

// AD-03: two superusers remove each other at the same moment, each way there is; one stays.
#[tokio::test]
async fn of_two_who_remove_each_other_one_stays() {
    for round in 0..8 {
        let harness = Harness::new().await;
        let (ann, bob) = (superuser(&harness, "ann").await, superuser(&harness, "bob").await);
        let (by_ann, by_bob) = (admin(&harness, "ann").await, admin(&harness, "bob").await);
        let (app, caller) = (&harness.app, harness.caller());
        let remove = async |by: &Administrator, id: UserId, way: usize| match way % 3 {
            0 => user::set_role(app, &caller, by, id, Role::Superuser, false).await,
            1 => user::disable(app, &caller, by, id).await,
            _ => user::delete(app, &caller, by, id).await,
        };
        let (one, other) = tokio::join!(remove(&by_ann, bob.id, round), remove(&by_bob, ann.id, round / 3));
        assert!(one.is_ok() != other.is_ok(), "round {round}: {one:?} {other:?}");
        let accounts = service::user::list(app, None, 10).await.unwrap();
        let left = accounts.iter().filter(|user| user.is_superuser && user.is_active()).count();
        assert_eq!(left, 1, "round {round}");
    }
}

// AD-03
#[tokio::test]
async fn the_last_enabled_superuser_stays() {
    let harness = Harness::new().await;
    let (root, spare) = (superuser(&harness, "root").await, superuser(&harness, "spare").await);
    let by = admin(&harness, "root").await;
    let (app, caller) = (&harness.app, harness.caller());
    user::disable(app, &caller, &by, spare.id).await.unwrap();
    let conflict = |result: Result<(), Error>| result.is_err_and(|error| error.kind == Kind::Conflict);
    assert!(conflict(user::disable(app, &caller, &by, root.id).await));
    assert!(conflict(user::delete(app, &caller, &by, root.id).await));
    assert!(conflict(user::set_role(app, &caller, &by, root.id, Role::Superuser, false).await));
    user::set_role(app, &caller, &by, root.id, Role::Staff, false).await.unwrap();
    user::delete(app, &caller, &by, spare.id).await.unwrap();
    let (_, helper) = staff(&harness, &by, "helper", &["auth.change_user"]).await;
    assert_eq!(forbidden(user::disable(app, &caller, &helper, root.id).await), "beyond_own_rights");
}

// AD-03
#[tokio::test]
async fn nobody_touches_or_gives_more_than_they_have() {
    let harness = Harness::new().await;
    let (app, caller) = (&harness.app, harness.caller());
    let superior = superuser(&harness, "root").await;
    let root = admin(&harness, "root").await;
    let all = [
        "auth.change_user",
        "auth.delete_user",
        "auth.delete_session",
        "auth.change_group",
        "auth.delete_group",
    ];
    let (own, helper) = staff(&harness, &root, "helper", &all).await;
    let (strong, _) = staff(&harness, &root, "strong", &["auth.change_user", "shop.add_book"]).await;
    let plain = harness.register("plain").await;
    let strong_group = group::of_user(app, &root, strong.id).await.unwrap()[0].id;
    let own_group = group::of_user(app, &root, own.id).await.unwrap()[0].id;

    user::disable(app, &caller, &helper, plain.id).await.unwrap();
    user::enable(app, &caller, &helper, plain.id).await.unwrap();
    for id in [superior.id, strong.id] {
        assert_eq!(forbidden(user::disable(app, &caller, &helper, id).await), "beyond_own_rights");
        assert_eq!(forbidden(user::delete(app, &caller, &helper, id).await), "beyond_own_rights");
        assert_eq!(forbidden(session::end_all(app, &caller, &helper, id).await), "beyond_own_rights");
    }
    user::disable(app, &caller, &root, strong.id).await.unwrap();
    let enabled = user::enable(app, &caller, &helper, strong.id).await;
    assert_eq!(forbidden(enabled), "beyond_own_rights", "what counts is what it may once it is enabled");

    for id in [own.id, plain.id] {
        let joined = group::set_member(app, &caller, &helper, strong_group, id, true).await;
        assert_eq!(forbidden(joined), "beyond_own_rights");
        for role in [Role::Staff, Role::Superuser] {
            let raised = user::set_role(app, &caller, &helper, id, role, true).await;
            assert_eq!(forbidden(raised), "permission_denied");
        }
    }
    let given = group::set_permission(app, &caller, &helper, own_group, "shop.add_book", true).await;
    assert_eq!(forbidden(given), "beyond_own_rights");
    for gives in [true, false] {
        let changed =
            group::set_permission(app, &caller, &helper, strong_group, "auth.change_user", gives).await;
        assert_eq!(forbidden(changed), "beyond_own_rights", "the group gives more than the helper has");
    }
    assert_eq!(forbidden(group::delete(app, &caller, &helper, strong_group).await), "beyond_own_rights");
    group::set_member(app, &caller, &helper, own_group, plain.id, true).await.unwrap();
    group::set_permission(app, &caller, &helper, own_group, "auth.delete_group", false).await.unwrap();
}

// AD-03: rights are read when something is changed, not when the request came.
#[tokio::test]
async fn rights_that_were_lost_since_do_not_count() {
    let harness = Harness::new().await;
    let (app, caller) = (&harness.app, harness.caller());
    superuser(&harness, "root").await;
    let root = admin(&harness, "root").await;
    let (account, helper) = staff(&harness, &root, "helper", &["auth.change_user"]).await;
    let plain = harness.register("plain").await;
    user::set_role(app, &caller, &root, account.id, Role::Staff, false).await.unwrap();
    assert_eq!(forbidden(user::disable(app, &caller, &helper, plain.id).await), "permission_denied");
    user::set_role(app, &caller, &root, account.id, Role::Staff, true).await.unwrap();
    user::disable(app, &caller, &helper, plain.id).await.unwrap();
    user::disable(app, &caller, &root, account.id).await.unwrap();
    let late = user::enable(app, &caller, &helper, plain.id).await.unwrap_err();
    assert_eq!(late.kind, Kind::TokenInvalid, "its session has ended");
}

// AD-02, SE-05
#[tokio::test]
async fn changes_take_a_login_of_late_and_not_a_refresh() {
    let harness = Harness::new().await;
    let (app, plain) = (&harness.app, harness.register("plain").await);
    let root = superuser(&harness, "root").await;
    let first = admin(&harness, "root").await;
    harness.pass(60 * MINUTE).await;
    let caller = harness.caller();
    assert_eq!(forbidden(user::disable(app, &caller, &first, plain.id).await), "login_not_fresh");
    assert!(user::get(app, &first, plain.id).await.is_ok(), "reading goes on");
    let again = admin(&harness, "root").await;
    user::disable(app, &caller, &again, plain.id).await.unwrap();

    // A refresh token of the replaced service opens a session, but is no login.
    let adopted = legacy_token(
        "refresh",
        root.id.get(),
        "5e0fd64d52f3a48f6dc72cbb00000000",
        START.seconds() + 1,
        86_400,
    );
    harness.pass(MINUTE).await;
    let refreshed = harness.refresh(&adopted).await.unwrap();
    let caller = harness.caller();
    let who = bearer(app, &caller, &refreshed.access).await.unwrap();
    let by_adopted = Administrator::of(app, &caller, who).await.unwrap();
    assert_eq!(forbidden(user::enable(app, &caller, &by_adopted, plain.id).await), "login_not_fresh");
    // Once the time of such tokens is over, every session is a login, also one beside a later one.
    harness.pass(8 * DAY).await;
    let (one, _) = (admin(&harness, "root").await, harness.pass(MINUTE).await);
    admin(&harness, "root").await;
    user::enable(app, &harness.caller(), &one, plain.id).await.unwrap();
}

// AD-01
#[tokio::test]
async fn who_has_no_session_or_no_role_is_no_administrator() {
    let harness = Harness::new().await;
    let root = superuser(&harness, "root").await;
    harness.register("plain").await;
    let (app, caller) = (&harness.app, harness.caller());
    let plain = who(&harness, "plain").await;
    assert_eq!(forbidden(Administrator::of(app, &caller, plain).await), "permission_denied");
    let foreign = Identity { user_id: root.id, ..plain };
    assert_eq!(Administrator::of(app, &caller, foreign).await.unwrap_err().kind, Kind::TokenInvalid);
    let access = legacy_token("access", root.id.get(), "x", START.seconds() + 1, 900);
    let legacy = bearer(app, &caller, &access).await.unwrap();
    assert_eq!(forbidden(Administrator::of(app, &caller, legacy).await), "permission_denied");
}

// LG-09: of several who come with the one token at once, one becomes administrator.
#[tokio::test]
async fn a_bootstrap_token_is_good_for_one() {
    let harness = Harness::new().await;
    let (app, caller) = (&harness.app, harness.caller());
    let token = bootstrap::make(app, Duration::from_secs(3600)).await.unwrap().text;
    let new = |name: &str| service::user::NewUser {
        username: name.into(),
        email: String::new(),
        password: PASSWORD.into(),
        is_superuser: false,
        is_staff: false,
    };
    let names = ["a", "b", "c", "d"];
    let all = names.map(|name| bootstrap::bootstrap(app, &caller, &token, new(name)));
    let done = futures_util::future::join_all(all).await;
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1, "{done:?}");
    for error in done.into_iter().filter_map(Result::err) {
        assert_eq!(error.kind, Kind::Forbidden);
    }
    let accounts = service::user::list(app, None, 10).await.unwrap();
    assert!(accounts.len() == 1 && accounts[0].is_superuser && accounts[0].is_staff);
}

// AD-03, AD-04: a key acts for its account wherever its tokens are taken.
#[tokio::test]
async fn keys_of_people_are_for_superusers_and_end_with_the_password() {
    let harness = Harness::new().await;
    let (app, caller) = (&harness.app, harness.caller());
    superuser(&harness, "root").await;
    let root = admin(&harness, "root").await;
    let (_, helper) = staff(&harness, &root, "helper", &["auth.add_apikey", "auth.add_user"]).await;
    let person = harness.register("ann").await;
    let machine = user::create(app, &caller, &helper, Ok("machine".into()), Ok(String::new())).await.unwrap();
    let key = |user| NewKey {
        user,
        name: "nightly".into(),
        scope: String::new(),
        expires_at: harness.clock.now() + DAY,
    };
    let made = api_key::create(app, &caller, &helper, &key(person.id)).await;
    assert_eq!(forbidden(made), "beyond_own_rights");
    api_key::create(app, &caller, &helper, &key(machine.id)).await.unwrap();

    let made = api_key::create(app, &caller, &root, &key(person.id)).await.unwrap();
    let exchange =
        async || service::api_key::exchange(app, &caller, made.key.id.as_str(), &made.text, None).await;
    assert!(exchange().await.unwrap().is_ok());
    service::user::set_password(app, person.id, "another umbrella 42").await.unwrap();
    assert!(exchange().await.unwrap().is_err(), "the key outlived the password");
}

// AD-03: what a group's name gives elsewhere is not known here.
#[tokio::test]
async fn where_tokens_carry_names_groups_are_for_superusers() {
    let tokens = TokenSettings { roles: TokenRoles::Roles, ..TokenSettings::default() };
    let harness = Harness::with(Settings { tokens, ..settings() }).await;
    let (app, caller) = (&harness.app, harness.caller());
    superuser(&harness, "root").await;
    let root = admin(&harness, "root").await;
    let rights = ["auth.change_user", "auth.add_group", "auth.delete_group"];
    let (own, helper) = staff(&harness, &root, "helper", &rights).await;
    let names = group::create(app, &caller, &root, Ok("billing-admins".into())).await.unwrap();
    let joined = group::set_member(app, &caller, &helper, names.id, own.id, true).await;
    assert_eq!(forbidden(joined), "beyond_own_rights");
    let made = group::create(app, &caller, &helper, Ok("admin".into())).await;
    assert_eq!(forbidden(made), "beyond_own_rights");
    assert_eq!(forbidden(group::delete(app, &caller, &helper, names.id).await), "beyond_own_rights");
    group::set_member(app, &caller, &root, names.id, own.id, true).await.unwrap();
}

// AD-03: nor does the last superuser leave by closing the own account.
#[tokio::test]
async fn a_superuser_does_not_close_the_own_account() {
    let harness = Harness::new().await;
    let root = superuser(&harness, "root").await;
    let who = who(&harness, "root").await;
    let closed = service::me::close(&harness.app, &harness.caller(), who, PASSWORD).await;
    assert!(matches!(closed, Err(Error { kind: Kind::Conflict, .. })));
    assert!(harness.try_login("root", PASSWORD).await.is_ok(), "{} is closed", root.id);
}

// RC-06: whichever is first, no link that sets a password outlives a disabling or a new password.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reset_that_meets_another_change_leaves_no_link_behind() {
    let outbox = mail::transport::Outbox::default();
    let harness = Harness::with(with_mail(&outbox)).await;
    superuser(&harness, "root").await;
    let root = admin(&harness, "root").await;
    let caller = harness.caller();
    for round in 0..10 {
        let target = harness.register(&format!("user{round}")).await.id;
        let reset = async {
            let (app, caller, root) = (harness.app.clone(), caller.clone(), root.clone());
            tokio::spawn(async move { user::start_reset(&app, &caller, &root, target).await }).await.unwrap()
        };
        let disable = async {
            let app = harness.app.clone();
            tokio::spawn(async move { service::user::disable(&app, target).await }).await.unwrap()
        };
        let (reset, disabled) = tokio::join!(reset, disable);
        assert!(disabled.unwrap(), "round {round}");
        assert!(matches!(&reset, Ok(()) | Err(Error { kind: Kind::Conflict, .. })), "{reset:?}");
        let mut tx = harness.app.db.read().await.unwrap();
        let links = tx.query("SELECT user_id FROM action_tokens WHERE purpose = 'reset_password'", &[]).await;
        assert!(links.unwrap().is_empty(), "round {round}: {reset:?}");
    }
}
