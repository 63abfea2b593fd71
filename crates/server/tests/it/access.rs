//! Who may call what: every operation of the API document, by everybody (AD-01).

use std::collections::BTreeSet;
use std::time::Duration;

use server::ServerSettings;
use service::settings::Settings;
use testkit::app::TestApp;

use crate::admin::{Admins, PASSWORD};

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// Anybody.
    All,
    /// Who sends a token, in whatever way.
    Token,
    /// Users with a good access token.
    Users,
    /// The services of the configuration.
    Services,
    /// Administrators with this permission.
    Right(&'static str),
    /// Superusers.
    Superusers,
    /// Who has a token of the operator's.
    Bootstrap,
}

/// Every operation; one that is new belongs here.
const OPERATIONS: &[(&str, &str, For)] = &[
    ("get", "/.well-known/jwks.json", For::All),
    ("get", "/.well-known/openid-configuration", For::All),
    ("get", "/healthz", For::All),
    ("get", "/readyz", For::All),
    ("get", "/status-lists/{list}", For::All),
    ("post", "/login/", For::All),
    ("post", "/refresh/", For::All),
    ("post", "/register/", For::All),
    ("post", "/verify/", For::All),
    ("post", "/email/verify/confirm/", For::All),
    ("post", "/me/keep/", For::All),
    ("post", "/password/reset/", For::All),
    ("post", "/password/reset/confirm/", For::All),
    ("post", "/logout/", For::Token),
    ("post", "/logout/all/", For::Token),
    ("post", "/introspect/", For::Services),
    ("post", "/revoke/", For::Services),
    ("post", "/token/", For::Services),
    ("get", "/sessions/", For::Users),
    ("delete", "/sessions/{id}/", For::Users),
    ("post", "/email/change/", For::Users),
    ("post", "/email/verify/", For::Users),
    ("get", "/me/", For::Users),
    ("patch", "/me/", For::Users),
    ("delete", "/me/", For::Users),
    ("get", "/me/export/", For::Users),
    ("post", "/password/change/", For::Users),
    ("get", "/forward-auth", For::Users),
    ("post", "/forward-auth", For::Users),
    ("put", "/forward-auth", For::Users),
    ("patch", "/forward-auth", For::Users),
    ("delete", "/forward-auth", For::Users),
    ("get", "/admin/api/users/", For::Right("auth.view_user")),
    ("post", "/admin/api/users/", For::Right("auth.add_user")),
    ("get", "/admin/api/users/{id}/", For::Right("auth.view_user")),
    ("delete", "/admin/api/users/{id}/", For::Right("auth.delete_user")),
    ("post", "/admin/api/users/{id}/disable/", For::Right("auth.change_user")),
    ("post", "/admin/api/users/{id}/enable/", For::Right("auth.change_user")),
    ("post", "/admin/api/users/{id}/reset/", For::Right("auth.change_user")),
    ("put", "/admin/api/users/{id}/roles/{role}/", For::Superusers),
    ("delete", "/admin/api/users/{id}/roles/{role}/", For::Superusers),
    ("get", "/admin/api/users/{id}/sessions/", For::Right("auth.view_session")),
    ("delete", "/admin/api/users/{id}/sessions/", For::Right("auth.delete_session")),
    ("delete", "/admin/api/users/{id}/sessions/{session}/", For::Right("auth.delete_session")),
    ("get", "/admin/api/users/{id}/groups/", For::Right("auth.view_user")),
    ("put", "/admin/api/users/{id}/groups/{group}/", For::Right("auth.change_user")),
    ("delete", "/admin/api/users/{id}/groups/{group}/", For::Right("auth.change_user")),
    ("get", "/admin/api/groups/", For::Right("auth.view_group")),
    ("post", "/admin/api/groups/", For::Right("auth.add_group")),
    ("get", "/admin/api/groups/{id}/", For::Right("auth.view_group")),
    ("delete", "/admin/api/groups/{id}/", For::Right("auth.delete_group")),
    ("put", "/admin/api/groups/{id}/permissions/{permission}/", For::Right("auth.change_group")),
    ("delete", "/admin/api/groups/{id}/permissions/{permission}/", For::Right("auth.change_group")),
    ("get", "/admin/api/keys/", For::Right("auth.view_signingkey")),
    ("post", "/admin/api/keys/rotate/", For::Right("auth.add_signingkey")),
    ("get", "/admin/api/audit/", For::Right("auth.view_auditevent")),
    ("get", "/admin/api/api-keys/", For::Right("auth.view_apikey")),
    ("post", "/admin/api/api-keys/", For::Right("auth.add_apikey")),
    ("delete", "/admin/api/api-keys/{id}/", For::Right("auth.delete_apikey")),
    ("post", "/admin/api/bootstrap/", For::Bootstrap),
];

#[test]
fn every_operation_of_the_document_is_in_the_matrix() {
    let document = serde_json::to_value(server::openapi()).unwrap();
    let mut documented = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        documented
            .extend(operations.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())));
    }
    let listed = OPERATIONS.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
    assert_eq!(listed.collect::<BTreeSet<_>>(), documented, "a new operation belongs into OPERATIONS");
}

/// The path with things in it that are there, and a body that would do.
async fn concrete(admins: &Admins, path: &str) -> String {
    let user = if path.contains("/users/{id}") { admins.make_user().await } else { 0 };
    let group = if path.contains("group") && path.contains('{') { admins.make_group().await } else { 0 };
    let id = if path.contains("/groups/{id}") { group } else { user };
    path.replace("/api-keys/{id}/", "/api-keys/0000000000000000/")
        .replace("/sessions/{id}/", "/sessions/00000000000000000000000000000000/")
        .replace("{id}", &id.to_string())
        .replace("{group}", &group.to_string())
        .replace("{role}", "staff")
        .replace("{session}", "00000000000000000000000000000000")
        .replace("{permission}", "auth.change_group")
        .replace("{list}", "1")
}

fn body(method: &str, path: &str, n: usize) -> String {
    match (method, path) {
        ("post", "/admin/api/users/") => format!(r#"{{"username":"made{n}","email":""}}"#),
        ("post", "/admin/api/api-keys/") => {
            r#"{"user_id":999999,"name":"x","scope":"","expires_at":"2026-01-09T00:00:00Z"}"#.to_owned()
        }
        ("post", "/admin/api/groups/") => format!(r#"{{"name":"made {n}"}}"#),
        _ => String::new(),
    }
}

async fn status(service: &TestApp, method: &str, path: &str, body: &str, token: Option<&str>) -> u16 {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    service.send(&method.to_uppercase(), path, &headers, body.as_bytes()).await.status
}

/// AD-01, AD-03, LG-10: deny by default.
#[tokio::test]
async fn everybody_gets_what_they_may_and_nothing_else() {
    let admins = Admins::start().await;
    let service = &admins.service;
    service.register("ann", PASSWORD).await;
    let ended = service.login("ann", PASSWORD).await.access;
    assert_eq!(status(service, "post", "/logout/", "", Some(&ended)).await, 200);
    let ordinary = service.login("ann", PASSWORD).await;
    let staff = admins.staff("staff", &[]).await;
    let mut n = 0;
    for (method, path, access) in OPERATIONS.iter().copied() {
        let target = concrete(&admins, path).await;
        let mut send = async |token: Option<&str>, target: &str| {
            n += 1;
            status(service, method, target, &body(method, path, n), token).await
        };
        let what = format!("{method} {path}");
        let strangers = [None, Some("x.y.z"), Some(ended.as_str()), Some(ordinary.refresh.as_str())];
        match access {
            For::All => assert!(![401, 403].contains(&send(None, &target).await), "{what}"),
            For::Token => assert_eq!((send(None, &target).await, send(Some("x"), &target).await), (401, 401)),
            For::Services => {
                let form = [("content-type", "application/x-www-form-urlencoded")];
                let answer = service.send("POST", &target, &form, b"token=x").await;
                assert_eq!(answer.status, 401, "{what}");
            }
            For::Bootstrap => assert_eq!(send(None, &target).await, 400, "{what}"),
            For::Users => {
                for token in strangers {
                    assert_eq!(send(token, &target).await, 401, "{what} {token:?}");
                }
                for token in [&ordinary.access, &staff, &admins.root] {
                    assert!(![401, 403].contains(&send(Some(token), &target).await), "{what}");
                }
            }
            For::Right(_) | For::Superusers => {
                for token in strangers {
                    assert_eq!(send(token, &target).await, 401, "{what} {token:?}");
                }
                for token in [&ordinary.access, &staff] {
                    assert_eq!(send(Some(token), &target).await, 403, "{what}");
                }
                let right = match access {
                    For::Right(right) => right,
                    _ => "auth.change_user",
                };
                let able = admins.staff_with(right).await;
                let got = send(Some(&able), &target).await;
                assert_eq!(
                    [401, 403].contains(&got),
                    access == For::Superusers,
                    "{what} with {right}: {got}"
                );
                let fresh = concrete(&admins, path).await;
                let got = send(Some(&admins.root), &fresh).await;
                assert!(![401, 403].contains(&got) && got < 500, "{what} as superuser: {got}");
            }
        }
    }
}

/// AD-02, SE-05: reading goes on, changing takes a login of the last hour.
#[tokio::test]
async fn who_logged_in_long_ago_changes_nothing() {
    let admins = Admins::start().await;
    let service = &admins.service;
    let pair = service.login("root", PASSWORD).await;
    let mut targets = Vec::new();
    for (method, path, access) in OPERATIONS.iter().copied() {
        if matches!(access, For::Right(_) | For::Superusers) {
            targets.push((method, path, concrete(&admins, path).await));
        }
    }
    service.pass(Duration::from_secs(60 * 60)).await;
    let stale = service.refresh(&pair.refresh).await.member("access");
    for (n, (method, path, target)) in targets.iter().enumerate() {
        let answer = status(service, method, target, &body(method, path, n), Some(&stale)).await;
        let expected = if *method == "get" { 200 } else { 403 };
        assert_eq!(answer, expected, "{method} {path}");
    }
    let refused = admins.send("POST", "/admin/api/groups/", &stale, r#"{"name":"x"}"#).await;
    assert_eq!(refused.json()["code"], "login_not_fresh");
    let again = service.login("root", PASSWORD).await.access;
    assert_eq!(admins.send("POST", "/admin/api/groups/", &again, r#"{"name":"x"}"#).await.status, 201);
}

/// What is not there and what one may not see are told apart only to those who may see it.
#[tokio::test]
async fn what_is_not_there_is_404_for_those_who_may_look_and_403_for_others() {
    let admins = Admins::start().await;
    let staff = admins.staff("staff", &[]).await;
    for (method, path, access) in OPERATIONS.iter().copied() {
        if !matches!(access, For::Right(_) | For::Superusers) || !path.contains('{') {
            continue;
        }
        for id in ["999999", "0", "-1", "x", "+1", "1e3", "99999999999999999999", "%00", "%ff"] {
            let target = path.replace("{id}", id).replace("{group}", "1").replace("{role}", "staff");
            let target = target.replace("{session}", &"0".repeat(32)).replace("{permission}", "auth.x");
            let (method, service) = (method, &admins.service);
            assert_eq!(
                status(service, method, &target, "", Some(&admins.root)).await,
                404,
                "{method} {target}"
            );
            let seen = status(service, method, &target, "", Some(&staff)).await;
            assert!([403, 404].contains(&seen), "{method} {target}");
        }
    }
    let settings = Settings { throttle: false, ..Settings::default() };
    let closed = TestApp::with(settings, ServerSettings::default()).await;
    assert_eq!(closed.get("/admin/api/users/").await.status, 404, "AD-02: off unless it is asked for");
}
