//! Self-service and recovery over HTTP.

use std::time::Duration;

use mail::transport::Outbox;
use mail::{Mailer, Template, Templates, Transport};
use serde_json::json;
use server::ServerSettings;
use service::settings::{MailSettings, Settings};
use testkit::app::TestApp;
use testkit::http::Answer;

const PASSWORD: &str = "violet-umbrella-42";
const NEW: &str = "violet-umbrella-43";

/// Mail that is kept in memory.
pub(crate) fn mail_settings() -> (MailSettings, Outbox) {
    let outbox = Outbox::default();
    let transport = Transport::Memory(outbox.clone());
    let mail = MailSettings {
        mailer: Mailer::new("no-reply@shop.example", Templates::built_in().unwrap(), transport).unwrap(),
        link_url: "https://shop.example/account".to_owned(),
        language: "en".to_owned(),
        timeout: Duration::from_secs(30),
    };
    (mail, outbox)
}

async fn with_mail() -> (TestApp, Outbox) {
    let (mail, outbox) = mail_settings();
    let settings = Settings { throttle: false, mail: Some(mail), ..Settings::default() };
    let service = TestApp::with(settings, ServerSettings::default()).await;
    service.register("ann", PASSWORD).await;
    service::worker::post_due(&service.app).await.unwrap();
    (service, outbox)
}

async fn send(service: &TestApp, method: &str, path: &str, token: &str, body: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    service.send(method, path, &headers, body.as_bytes()).await
}

/// The link in the latest mail of this kind.
fn link(outbox: &Outbox, template: Template) -> String {
    let mail = outbox.sent().into_iter().rfind(|mail| mail.template == template).unwrap();
    mail.text.text.split_whitespace().find(|word| word.starts_with("http")).unwrap().to_owned()
}

pub(crate) fn token(outbox: &Outbox, template: Template) -> String {
    link(outbox, template).split_once("#token=").unwrap().1.to_owned()
}

// RC-01: byte for byte, whatever is asked for.
#[tokio::test]
async fn a_request_for_recovery_has_one_answer() {
    let (service, outbox) = with_mail().await;
    let mut answers = Vec::new();
    for body in [
        json!({"username": "ann"}),
        json!({"username": "nobody"}),
        json!({"email": "ann@example.com"}),
        json!({"email": "nobody@example.com"}),
        json!({"email": "no address"}),
    ] {
        let answer = service.post("/password/reset/", &body).await;
        let headers: Vec<_> =
            answer.headers.iter().filter(|(name, _)| name != "x-request-id").cloned().collect();
        answers.push((answer.status, headers, answer.text()));
    }
    assert_eq!((answers[0].0, answers[0].2.as_str()), (202, "{}"));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    service::worker::post_due(&service.app).await.unwrap();
    let sent = outbox.sent().iter().filter(|mail| mail.template == Template::ResetPassword).count();
    assert_eq!(sent, 1, "one account, one link in five minutes");
}

// RC-03: nothing of a request gets into a link.
#[tokio::test]
async fn links_lead_where_the_operator_says() {
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "8443"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-original-url", "https://evil.example/"),
        ("x-rewrite-url", "https://evil.example/"),
        ("origin", "https://evil.example"),
        ("referer", "https://evil.example/"),
    ] {
        let (service, outbox) = with_mail().await;
        let headers = [(name, value), ("content-type", "application/json")];
        let body = json!({"username": "ann"}).to_string();
        let answer = service.send("POST", "/password/reset/", &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 202, "{name}: {answer:?}");
        service::worker::post_due(&service.app).await.unwrap();
        let link = link(&outbox, Template::ResetPassword);
        assert!(link.starts_with("https://shop.example/account/reset-password#token="), "{name}: {link}");
        for mail in outbox.sent() {
            assert!(!String::from_utf8_lossy(&mail.message).contains("evil"), "{name}");
        }
    }
}

// RC-07, RC-08
#[tokio::test]
async fn reading_a_link_uses_nothing_up_and_using_it_logs_nobody_in() {
    let (service, outbox) = with_mail().await;
    service.post("/password/reset/", &json!({"username": "ann"})).await;
    service::worker::post_due(&service.app).await.unwrap();
    let token = token(&outbox, Template::ResetPassword);
    for _ in 0..3 {
        let path = format!("/password/reset/confirm/?token={token}");
        assert_eq!(service.get(&path).await.status, 405);
        assert_eq!(service.get("/auth/password/reset/confirm").await.status, 405);
    }
    let answer =
        service.post("/password/reset/confirm/", &json!({"token": token, "new_password": NEW})).await;
    assert_eq!((answer.status, answer.text().as_str(), answer.header("set-cookie")), (200, "{}", None));
    let again = service.post("/password/reset/confirm/", &json!({"token": token, "new_password": NEW})).await;
    assert_eq!(again.status, 400);
    assert!(again.json()["token"].is_array(), "{again:?}");
    assert_eq!(
        (service.try_login("ann", PASSWORD).await.status, service.try_login("ann", NEW).await.status),
        (401, 200)
    );
}

// RC-05: whatever the order, no password is set without the token of a link, and no address is proved.
#[tokio::test]
async fn steps_cannot_be_skipped() {
    let (service, outbox) = with_mail().await;
    let pair = service.login("ann", PASSWORD).await;
    let verify = token(&outbox, Template::VerifyEmail);
    let bodies = [
        ("/password/reset/confirm/", json!({"new_password": NEW})),
        ("/password/reset/confirm/", json!({"token": "", "new_password": NEW})),
        ("/password/reset/confirm/", json!({"token": null, "new_password": NEW})),
        ("/password/reset/confirm/", json!({"token": ["x"], "new_password": NEW})),
        ("/password/reset/confirm/", json!({"token": pair.access, "new_password": NEW})),
        ("/password/reset/confirm/", json!({"token": verify, "new_password": NEW})),
        ("/password/reset/confirm/", json!({"token": verify, "new_password": NEW, "username": "ann"})),
        ("/me/keep/", json!({"token": verify})),
        ("/email/verify/confirm/", json!({"token": verify})),
        ("/email/verify/confirm/", json!({"token": "x", "password": PASSWORD})),
    ];
    for (path, body) in &bodies {
        let answer = service.post(path, body).await;
        assert_eq!(answer.status, 400, "{path} {body}: {answer:?}");
    }
    assert_eq!(
        send(&service, "POST", "/password/change/", &pair.access, &json!({"new_password": NEW}).to_string())
            .await
            .status,
        400
    );
    assert_eq!(service.try_login("ann", PASSWORD).await.status, 200);
    assert_eq!(send(&service, "GET", "/me/", &pair.access, "").await.json()["email_verified"], false);
    let confirmed =
        send(&service, "POST", "/email/verify/confirm/", &pair.access, &json!({"token": verify}).to_string())
            .await;
    assert_eq!(confirmed.status, 200);
    assert_eq!(send(&service, "GET", "/auth/me", &pair.access, "").await.json()["email_verified"], true);
}

// PW-10, SE-05: 403 without the password, and the token alone is never enough.
#[tokio::test]
async fn sensitive_changes_need_the_password() {
    let (service, _outbox) = with_mail().await;
    let pair = service.login("ann", PASSWORD).await;
    let changes = [
        ("POST", "/password/change/", json!({"current_password": "wrong", "new_password": NEW})),
        ("POST", "/email/change/", json!({"current_password": "wrong", "email": "b@example.com"})),
        ("DELETE", "/me/", json!({"current_password": "wrong"})),
    ];
    for (method, path, body) in &changes {
        let answer = send(&service, method, path, &pair.access, &body.to_string()).await;
        assert_eq!((answer.status, answer.member("code").as_str()), (403, "wrong_password"), "{path}");
        assert_eq!(send(&service, method, path, &pair.access, "{}").await.status, 400, "{path}");
    }
    let body = json!({"current_password": PASSWORD, "new_password": NEW}).to_string();
    let changed = send(&service, "POST", "/password/change/", &pair.access, &body).await;
    assert_eq!(changed.status, 200);
    assert_eq!(
        (service.verify(&pair.access).await, service.verify(&changed.member("access")).await),
        (400, 200)
    );
    let closed = json!({"current_password": NEW}).to_string();
    let closed = send(&service, "DELETE", "/me/", &changed.member("access"), &closed).await;
    assert_eq!((closed.status, closed.member("delete_at").as_str()), (202, "2026-01-08T00:00:00.5Z"));
    assert_eq!(service.try_login("ann", NEW).await.status, 401);
}

#[tokio::test]
async fn a_user_changes_their_names_and_nothing_else() {
    let (service, _outbox) = with_mail().await;
    let pair = service.login("ann", PASSWORD).await;
    let patch = async |body: serde_json::Value| {
        send(&service, "PATCH", "/me/", &pair.access, &body.to_string()).await
    };
    let renamed = patch(json!({"first_name": " Ann ", "last_name": ""})).await;
    assert_eq!((renamed.status, &renamed.json()["first_name"]), (200, &json!("Ann")));
    for body in [
        json!({"is_staff": true}),
        json!({"is_superuser": true}),
        json!({"email": "x@example.com"}),
        json!({"username": "root"}),
        json!({"email_verified": true}),
        json!({"first_name": null}),
        json!({"first_name": "a\r\nb"}),
        json!({"last_name": "x".repeat(151)}),
    ] {
        assert_eq!(patch(body.clone()).await.status, 400, "{body}");
    }
    let me = send(&service, "GET", "/me/", &pair.access, "").await.json();
    assert_eq!(
        (&me["first_name"], &me["is_staff"], &me["username"]),
        (&json!("Ann"), &json!(false), &json!("ann"))
    );
    let all = send(&service, "GET", "/me/export/", &pair.access, "").await;
    assert_eq!(all.status, 200);
    assert_eq!(all.json()["account"], me);
    assert_eq!(all.json()["mails"][0]["kind"], "verify_email");
    assert!(!all.text().contains("argon2"), "no hash leaves the house");
}

#[tokio::test]
async fn without_mail_what_needs_it_says_so_and_the_rest_works() {
    let service = TestApp::start().await;
    service.register("ann", PASSWORD).await;
    let pair = service.login("ann", PASSWORD).await;
    let reset = service.post("/password/reset/", &json!({"username": "ann"})).await;
    assert_eq!((reset.status, reset.member("code").as_str()), (409, "mail_off"));
    let body = json!({"email": "b@example.com", "current_password": PASSWORD}).to_string();
    assert_eq!(send(&service, "POST", "/email/change/", &pair.access, &body).await.status, 409);
    assert_eq!(send(&service, "POST", "/email/verify/", &pair.access, "").await.status, 409);
    let body = json!({"current_password": PASSWORD, "new_password": NEW}).to_string();
    assert_eq!(send(&service, "POST", "/password/change/", &pair.access, &body).await.status, 200);
}
