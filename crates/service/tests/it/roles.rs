//! Roles and permissions in access tokens, where the operator wants them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use service::group;
use service::settings::{Settings, TokenRoles, TokenSettings};

use crate::harness::{Harness, settings};

fn with(roles: TokenRoles) -> Settings {
    Settings { tokens: TokenSettings { roles, ..TokenSettings::default() }, ..settings() }
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// A user in two groups, one of which gives two permissions.
async fn ann(harness: &Harness) {
    let ann = harness.register("ann").await;
    for name in ["Editors", "superuser"] {
        let made = group::create(&harness.app, name).await.unwrap();
        let mut tx = harness.app.db.begin().await.unwrap();
        let mut permissions = Vec::new();
        for permission in ["shop.add_book", "shop.view_book"] {
            permissions.push(match store::group::find_permission(&mut tx, permission).await.unwrap() {
                Some(known) => known,
                None => store::group::insert_permission(&mut tx, None, permission, "").await.unwrap(),
            });
        }
        store::group::set_permissions(&mut tx, made.id, &permissions).await.unwrap();
        tx.commit().await.unwrap();
        group::add_user(&harness.app, made.id, ann.id).await.unwrap();
    }
}

#[tokio::test]
async fn tokens_say_nothing_of_roles_unless_they_are_to() {
    let harness = Harness::new().await;
    ann(&harness).await;
    let said = claims(&harness.login("ann").await.access);
    assert!(said.get("roles").is_none() && said.get("scope").is_none(), "{said}");
}

// AD-03: a change is in the next token, and a group does not pass for a role.
#[tokio::test]
async fn roles_are_those_of_the_moment() {
    let harness = Harness::with(with(TokenRoles::Roles)).await;
    ann(&harness).await;
    let pair = harness.login("ann").await;
    assert_eq!(claims(&pair.access)["roles"], json!(["Editors"]));
    assert!(claims(&pair.refresh).get("roles").is_none());
    let editors = group::find(&harness.app, "Editors").await.unwrap();
    let account = service::user::find(&harness.app, "ann").await.unwrap();
    group::remove_user(&harness.app, editors.id, account.id).await.unwrap();
    let next = harness.refresh(&pair.refresh).await.unwrap();
    assert!(claims(&next.access).get("roles").is_none(), "none is no claim");
    harness.verify(&next.access).await.unwrap();
}

#[tokio::test]
async fn a_scope_has_the_permissions_of_the_user() {
    let harness = Harness::with(with(TokenRoles::Scope)).await;
    ann(&harness).await;
    let access = harness.login("ann").await.access;
    assert_eq!(claims(&access)["scope"], "shop.add_book shop.view_book");
    let caller = harness.caller();
    let who = service::verify::bearer(&harness.app, &caller, &access).await.unwrap();
    assert!(!who.by_key, "it is still a login");
    let told =
        service::introspection::introspect(&harness.app, &caller, &access, false).await.unwrap().unwrap();
    assert_eq!(told.standard.scope.as_deref(), Some("shop.add_book shop.view_book"));
}

// More than fits is left out as a whole.
#[tokio::test]
async fn a_token_stays_within_a_header() {
    let harness = Harness::with(with(TokenRoles::Roles)).await;
    let account = harness.register("ann").await;
    for n in 0..51 {
        let made = group::create(&harness.app, &format!("Group {n}")).await.unwrap();
        group::add_user(&harness.app, made.id, account.id).await.unwrap();
        if n == 49 {
            assert_eq!(claims(&harness.login("ann").await.access)["roles"].as_array().unwrap().len(), 50);
        }
    }
    assert!(claims(&harness.login("ann").await.access).get("roles").is_none());
}
