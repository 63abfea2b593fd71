//! The routes of administrators: what they show, what they change, and what they refuse.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crypto::jws::Algorithm;
use crypto::seal::SealingKey;
use crypto::secret::Secret;
use mail::Template;
use serde_json::{Value, json};
use server::ServerSettings;
use service::admin::bootstrap;
use service::settings::{KeySettings, Settings};
use testkit::app::TestApp;
use testkit::http::Answer;

use crate::accounts::{mail_settings, token};

pub(crate) const PASSWORD: &str = "violet-umbrella-42";

/// A service with a superuser, and short ways to others.
pub(crate) struct Admins {
    pub(crate) service: TestApp,
    /// The superuser's access token.
    pub(crate) root: String,
    count: AtomicUsize,
}

impl Admins {
    pub(crate) async fn start() -> Self {
        Self::with(Settings { throttle: false, ..Settings::default() }).await
    }

    async fn with(settings: Settings) -> Self {
        let service =
            TestApp::with(settings, ServerSettings { admin: true, ..ServerSettings::default() }).await;
        let root = service::user::NewUser {
            username: "root".into(),
            email: "root@example.com".into(),
            password: PASSWORD.into(),
            is_superuser: true,
            is_staff: true,
        };
        service::user::create(&service.app, root).await.unwrap();
        let root = service.login("root", PASSWORD).await.access;
        Self { service, root, count: AtomicUsize::new(0) }
    }

    fn next(&self) -> usize {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) async fn send(&self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.service.send(method, path, &headers, body.as_bytes()).await
    }

    /// As the superuser, done.
    async fn done(&self, method: &str, path: &str, body: &str) -> Answer {
        let answer = self.send(method, path, &self.root, body).await;
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        answer
    }

    pub(crate) async fn make_user(&self) -> i64 {
        let body = json!({"username": format!("someone{}", self.next()), "email": ""}).to_string();
        self.done("POST", "/admin/api/users/", &body).await.json()["id"].as_i64().unwrap()
    }

    pub(crate) async fn make_group(&self) -> i64 {
        let body = json!({"name": format!("Group {}", self.next())}).to_string();
        self.done("POST", "/admin/api/groups/", &body).await.json()["id"].as_i64().unwrap()
    }

    /// A staff member with these permissions: an access token.
    pub(crate) async fn staff(&self, name: &str, rights: &[&str]) -> String {
        let id = self.service.register(name, PASSWORD).await;
        self.done("PUT", &format!("/admin/api/users/{id}/roles/staff/"), "").await;
        let group = self.make_group().await;
        for right in rights {
            self.done("PUT", &format!("/admin/api/groups/{group}/permissions/{right}/"), "").await;
        }
        self.done("PUT", &format!("/admin/api/users/{id}/groups/{group}/"), "").await;
        self.service.login(name, PASSWORD).await.access
    }

    pub(crate) async fn staff_with(&self, right: &str) -> String {
        self.staff(&format!("able{}", self.next()), &[right]).await
    }

    async fn id_of(&self, name: &str) -> i64 {
        let found = self.done("GET", &format!("/admin/api/users/?name={name}"), "").await.json();
        found["users"][0]["id"].as_i64().unwrap()
    }
}

fn names(page: &Value) -> Vec<String> {
    let users = page["users"].as_array().unwrap();
    users.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn accounts_are_found_by_name_address_and_state_page_by_page() {
    let admins = Admins::start().await;
    for name in ["Anna", "anton", "bert", "ANTJE"] {
        let body = json!({"username": name, "email": format!("{name}@Books.example")}).to_string();
        admins.done("POST", "/admin/api/users/", &body).await;
    }
    let mut seen = Vec::new();
    let mut path = "/admin/api/users/?name=AN&limit=2".to_owned();
    loop {
        let page = admins.done("GET", &path, "").await.json();
        seen.extend(names(&page));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/admin/api/users/?name=AN&limit=2&cursor={next}");
    }
    assert_eq!(seen, ["Anna", "ANTJE", "anton"], "in any spelling, by the folded name");
    let by_email = admins.done("GET", "/admin/api/users/?email=ANT", "").await.json();
    assert_eq!(names(&by_email), ["ANTJE", "anton"]);
    assert_eq!(names(&admins.done("GET", "/admin/api/users/?name=%25", "").await.json()), [""; 0]);
    admins.done("POST", &format!("/admin/api/users/{}/disable/", admins.id_of("bert").await), "").await;
    for (state, expected) in
        [("disabled", vec!["bert"]), ("staff", vec!["root"]), ("superuser", vec!["root"])]
    {
        let page = admins.done("GET", &format!("/admin/api/users/?state={state}"), "").await.json();
        assert_eq!(names(&page), expected, "{state}");
    }
    let active = admins.done("GET", "/admin/api/users/?state=active&limit=100", "").await.json();
    assert_eq!(names(&active), ["root", "Anna", "anton", "ANTJE"]);
    assert!(active.get("count").is_none() && active.get("total").is_none(), "AD-04");
}

// AD-05
#[tokio::test]
async fn cursors_are_ours_and_sizes_are_bounded() {
    let admins = Admins::start().await;
    for _ in 0..3 {
        admins.make_user().await;
        admins.make_group().await;
    }
    let next =
        async |path: &str| admins.done("GET", path, "").await.json()["next"].as_str().unwrap().to_owned();
    let users = next("/admin/api/users/?limit=1").await;
    let groups = next("/admin/api/groups/?limit=1").await;
    let named = next("/admin/api/users/?limit=1&name=someone").await;
    for (list, foreign) in
        [("users/?", &groups), ("groups/?", &users), ("users/?", &named), ("audit/?", &users)]
    {
        let path = format!("/admin/api/{list}cursor={foreign}");
        assert_eq!(admins.send("GET", &path, &admins.root, "").await.status, 400, "{path}");
    }
    let other_filter = format!("/admin/api/users/?state=staff&cursor={users}");
    assert_eq!(admins.send("GET", &other_filter, &admins.root, "").await.status, 400);
    for n in 0..users.len() {
        let mut forged = users.clone().into_bytes();
        forged[n] = if forged[n] == b'A' { b'B' } else { b'A' };
        let path = format!("/admin/api/users/?cursor={}", String::from_utf8(forged).unwrap());
        assert_eq!(admins.send("GET", &path, &admins.root, "").await.status, 400, "{n}");
    }
    for cursor in ["", "0", "MA", "%27%20OR%201=1--", "%00", &"A".repeat(6000)] {
        let path = format!("/admin/api/users/?cursor={cursor}");
        assert_eq!(admins.send("GET", &path, &admins.root, "").await.status, 400, "{cursor}");
    }
    for limit in ["0", "-1", "101", "2147483648", "1e1", "x", "", "18446744073709551616"] {
        for list in ["users", "groups", "audit"] {
            let path = format!("/admin/api/{list}/?limit={limit}");
            assert_eq!(admins.send("GET", &path, &admins.root, "").await.status, 400, "{path}");
        }
    }
    for sort in ["sort=password_hash", "order=id%3BDROP%20TABLE%20users", "name=%27%3B--"] {
        assert_eq!(
            admins.send("GET", &format!("/admin/api/users/?{sort}"), &admins.root, "").await.status,
            200
        );
    }
}

// SE-03
#[tokio::test]
async fn an_administrator_ends_sessions_and_disables_accounts_at_once() {
    let admins = Admins::start().await;
    let service = &admins.service;
    let id = service.register("ann", PASSWORD).await;
    let (phone, laptop) = (service.login("ann", PASSWORD).await, service.login("ann", PASSWORD).await);
    let path = format!("/admin/api/users/{id}/sessions/");
    let listed = admins.done("GET", &path, "").await.json();
    let one = listed["sessions"][1]["id"].as_str().unwrap().to_owned();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 2);
    assert!(!listed["sessions"][0]["current"].as_bool().unwrap(), "it is not the administrator's");
    let root = admins.id_of("root").await;
    let foreign = format!("/admin/api/users/{root}/sessions/{one}/");
    assert_eq!(admins.send("DELETE", &foreign, &admins.root, "").await.status, 404, "AD-01: not root's");
    assert_eq!(admins.done("DELETE", &format!("{path}{one}/"), "").await.status, 204);
    let alive = [service.verify(&phone.access).await, service.verify(&laptop.access).await];
    assert_eq!(alive.iter().filter(|status| **status == 200).count(), 1);
    admins.done("DELETE", &path, "").await;
    for pair in [&phone, &laptop] {
        assert_eq!(
            (service.verify(&pair.access).await, service.refresh(&pair.refresh).await.status),
            (400, 401)
        );
    }
    let again = service.login("ann", PASSWORD).await;
    admins.done("POST", &format!("/admin/api/users/{id}/disable/"), "").await;
    assert_eq!(service.verify(&again.access).await, 400);
    assert_eq!(service.try_login("ann", PASSWORD).await.status, 401);
    admins.done("POST", &format!("/admin/api/users/{id}/enable/"), "").await;
    assert_eq!(service.refresh(&again.refresh).await.status, 401, "what has ended stays ended");
    let last = service.login("ann", PASSWORD).await;
    assert_eq!(admins.done("DELETE", &format!("/admin/api/users/{id}/"), "").await.status, 204);
    assert_eq!((service.verify(&last.access).await, service.refresh(&last.refresh).await.status), (400, 401));
    assert_eq!(admins.send("GET", &format!("/admin/api/users/{id}/"), &admins.root, "").await.status, 404);
}

// AD-04, LG-10: no protected field is taken, no secret is given.
#[tokio::test]
async fn nothing_secret_is_shown_and_nothing_protected_is_taken() {
    let admins = Admins::start().await;
    let service = &admins.service;
    let id = service.register("ann", PASSWORD).await;
    let pair = service.login("ann", PASSWORD).await;
    for (path, members) in [
        ("/admin/api/users/", r#""username":"x","email":"""#),
        ("/admin/api/groups/", r#""name":"x""#),
        ("/admin/api/bootstrap/", r#""token":"x","username":"x","email":"","password":"x""#),
    ] {
        for extra in
            ["id", "password_hash", "is_superuser", "is_staff", "is_active", "permissions", "groups", "epoch"]
        {
            let body = format!("{{{members},\"{extra}\":1}}");
            assert_eq!(admins.send("POST", path, &admins.root, &body).await.status, 400, "{path} {extra}");
        }
    }
    for action in ["disable", "enable"] {
        let body = r#"{"password":"chosen-by-an-administrator"}"#;
        let path = format!("/admin/api/users/{id}/{action}/");
        assert_eq!(admins.send("POST", &path, &admins.root, body).await.status, 400, "{action}");
    }
    let chosen = r#"{"username":"x","email":"","password":"chosen-by-an-administrator"}"#;
    assert_eq!(admins.send("POST", "/admin/api/users/", &admins.root, chosen).await.status, 400);
    service::audit::chain::chain(&service.app).await.unwrap();
    let mut shown = String::new();
    for path in [
        "users/",
        "users/1/",
        &format!("users/{id}/"),
        &format!("users/{id}/sessions/"),
        "groups/",
        "keys/",
        "audit/",
    ] {
        shown += &admins.done("GET", &format!("/admin/api/{path}"), "").await.text();
    }
    assert!(shown.contains("login.succeeded") && shown.contains("ann@"), "{shown}");
    let signatures =
        [&pair.access, &pair.refresh, &admins.root].map(|token| token.rsplit('.').next().unwrap());
    for canary in
        ["argon2", "password", "eyJ", "salt", PASSWORD, "jti", signatures[0], signatures[1], signatures[2]]
    {
        assert!(!shown.contains(canary), "{canary}");
    }
}

// AD-04: an administrator starts a reset; the link is the owner's alone.
#[tokio::test]
async fn a_reset_mails_the_owner_a_link() {
    let (mail, outbox) = mail_settings();
    let admins = Admins::with(Settings { throttle: false, mail: Some(mail), ..Settings::default() }).await;
    let service = &admins.service;
    let body = r#"{"username":"ann","email":"ann@example.com"}"#;
    let id = admins.done("POST", "/admin/api/users/", body).await.json()["id"].as_i64().unwrap();
    let path = format!("/admin/api/users/{id}/reset/");
    let chosen = r#"{"password":"chosen-by-an-administrator"}"#;
    assert_eq!(admins.send("POST", &path, &admins.root, chosen).await.status, 400);
    let started = admins.done("POST", &path, "").await;
    assert_eq!((started.status, started.text().as_str()), (202, "{}"));
    assert_eq!(admins.send("POST", &path, &admins.root, "").await.status, 409, "one a moment ago");
    service::worker::post_due(&service.app).await.unwrap();
    let token = token(&outbox, Template::ResetPassword);
    let confirm = json!({"token": token, "new_password": PASSWORD});
    assert_eq!(service.post("/password/reset/confirm/", &confirm).await.status, 200);
    service.login("ann", PASSWORD).await;
    let without = admins.make_user().await;
    let refused = admins.send("POST", &format!("/admin/api/users/{without}/reset/"), &admins.root, "").await;
    assert_eq!(refused.status, 409, "no address");
}

// AD-03
#[tokio::test]
async fn a_change_of_roles_acts_at_once_on_tokens_that_are_out() {
    let admins = Admins::start().await;
    let staff = admins.staff("staff", &["auth.view_user"]).await;
    let id = admins.id_of("staff").await;
    assert_eq!(admins.send("GET", "/admin/api/users/", &staff, "").await.status, 200);
    let groups = admins.done("GET", &format!("/admin/api/users/{id}/groups/"), "").await.json();
    let member = format!("/admin/api/users/{id}/groups/{}/", groups["groups"][0]["id"]);
    admins.done("DELETE", &member, "").await;
    assert_eq!(admins.send("GET", "/admin/api/users/", &staff, "").await.status, 403);
    admins.done("PUT", &member, "").await;
    assert_eq!(admins.send("GET", "/admin/api/users/", &staff, "").await.status, 200);
    admins.done("DELETE", &format!("/admin/api/users/{id}/roles/staff/"), "").await;
    assert_eq!(admins.send("GET", "/admin/api/users/", &staff, "").await.status, 403);
    let shown = admins.done("GET", &format!("/admin/api/users/{id}/"), "").await.json();
    assert_eq!((&shown["is_staff"], &shown["permissions"]), (&json!(false), &json!(["auth.view_user"])));
}

// LA-01, LA-04
#[tokio::test]
async fn what_was_done_is_in_the_trail_with_actor_and_target() {
    let admins = Admins::start().await;
    let id = admins.service.register("ann", PASSWORD).await;
    let root = admins.id_of("root").await;
    let user = format!("/admin/api/users/{id}/");
    let group = admins.make_group().await;
    let permission = format!("/admin/api/groups/{group}/permissions/shop.view_book/");
    for (method, path) in [
        ("PUT", format!("{user}roles/staff/")),
        ("DELETE", format!("{user}roles/staff/")),
        ("PUT", permission.clone()),
        ("PUT", format!("{user}groups/{group}/")),
        ("DELETE", format!("{user}groups/{group}/")),
        ("DELETE", permission),
        ("DELETE", format!("/admin/api/groups/{group}/")),
        ("DELETE", format!("{user}sessions/")),
        ("POST", format!("{user}disable/")),
        ("POST", format!("{user}enable/")),
        ("DELETE", user),
    ] {
        admins.done(method, &path, "").await;
    }
    service::audit::chain::chain(&admins.service.app).await.unwrap();
    let all = admins.done("GET", "/admin/api/audit/?limit=100", "").await.json();
    let events = all["events"].as_array().unwrap();
    for kind in [
        "group.created",
        "role.granted",
        "role.taken",
        "permission.granted",
        "group.member_added",
        "group.member_removed",
        "permission.taken",
        "group.deleted",
        "sessions.ended_all",
        "user.disabled",
        "user.enabled",
        "user.deleted",
    ] {
        let event =
            events.iter().find(|event| event["kind"] == kind).unwrap_or_else(|| panic!("{kind}: {all}"));
        assert_eq!(
            (&event["actor"], &event["actor_id"]),
            (&json!("user"), &json!(root.to_string())),
            "{kind}"
        );
        let about_ann =
            !kind.starts_with("permission") && !["group.created", "group.deleted"].contains(&kind);
        assert_eq!(event["user_id"], if about_ann { json!(id) } else { Value::Null }, "{kind}");
        assert!(event["request_id"].is_string() && event["address"].is_string(), "{kind}");
    }
    let filtered =
        admins.done("GET", &format!("/admin/api/audit/?user={id}&kind=user.disabled"), "").await.json();
    assert_eq!(filtered["events"].as_array().unwrap().len(), 1);
    for bad in ["user=x", "from=yesterday", "until=1"] {
        let path = format!("/admin/api/audit/?{bad}");
        assert_eq!(admins.send("GET", &path, &admins.root, "").await.status, 400, "{bad}");
    }
    let none = admins.done("GET", "/admin/api/audit/?until=2020-01-01T00:00:00Z", "").await.json();
    assert_eq!(none["events"], json!([]));
}

#[tokio::test]
async fn keys_are_seen_and_rotated() {
    let sealing = SealingKey::derive(&Secret::from("a key-encryption key of the tests".to_owned()));
    let keys = KeySettings { algorithm: Algorithm::EdDsa, sealing: Some(sealing), ..KeySettings::default() };
    let admins = Admins::with(Settings { throttle: false, keys, ..Settings::default() }).await;
    let before = admins.done("GET", "/admin/api/keys/", "").await.json();
    assert_eq!(before["keys"].as_array().unwrap().len(), 2);
    let next = admins.done("POST", "/admin/api/keys/rotate/", "").await;
    assert_eq!((next.status, &next.json()["keys"][0]["state"]), (201, &json!("next")));
    assert_eq!(admins.send("POST", "/admin/api/keys/rotate/", &admins.root, "").await.status, 409);
    let after = admins.done("GET", "/admin/api/keys/", "").await;
    assert_eq!(after.json()["keys"].as_array().unwrap().len(), 4);
    assert!(!after.text().contains("sealed") && !after.text().contains("\"d\""));
    assert_eq!(
        admins.service.get("/.well-known/jwks.json").await.json()["keys"].as_array().unwrap().len(),
        2
    );
}

const FIRST: &str = r#""username":"first","email":"","password":"violet-umbrella-42""#;

// LG-09
#[tokio::test]
async fn a_bootstrap_token_makes_the_first_administrator_once() {
    let settings = Settings { throttle: false, ..Settings::default() };
    let service = TestApp::with(settings, ServerSettings { admin: true, ..ServerSettings::default() }).await;
    let path = "/admin/api/bootstrap/";
    let send = async |token: &str, members: &str| {
        let body = format!("{{\"token\":\"{token}\",{members}}}");
        service.send("POST", path, &[("content-type", "application/json")], body.as_bytes()).await
    };
    assert_eq!(send("guessed", FIRST).await.status, 403, "none was made");
    let hour = Duration::from_secs(60 * 60);
    let old = bootstrap::make(&service.app, hour).await.unwrap().text;
    let expired = bootstrap::make(&service.app, hour).await.unwrap().text;
    assert_eq!(send(&old, FIRST).await.status, 403, "another has taken its place");
    service.pass(hour).await;
    assert_eq!(send(&expired, FIRST).await.status, 403);
    let token = bootstrap::make(&service.app, hour).await.unwrap().text;
    assert_eq!(send(&format!("{token}x"), FIRST).await.status, 403);
    assert_eq!(send(&token, r#""username":"first","email":"","password":"short""#).await.status, 400);
    let made = send(&token, FIRST).await;
    assert_eq!(
        (made.status, &made.json()["is_superuser"]),
        (201, &json!(true)),
        "a fault does not use it up"
    );
    assert_eq!(send(&token, FIRST).await.status, 403, "once");
    assert_eq!(send(&token, &FIRST.replace("first", "second")).await.status, 403);
    let refused = bootstrap::make(&service.app, hour).await;
    assert!(refused.is_err_and(|error| error.kind == service::Kind::Conflict), "there is one");
    let access = service.login("first", PASSWORD).await.access;
    let headers = [("authorization", format!("Bearer {access}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(service.send("GET", "/admin/api/users/", &headers, b"").await.status, 200);
}
