//! Sessions seen and ended by their owner, and logging out.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::app::TestApp;
use testkit::http::Answer;

const PASSWORD: &str = "violet-umbrella-42";
const JSON: (&str, &str) = ("content-type", "application/json");

async fn send(service: &TestApp, method: &str, path: &str, token: &str) -> Answer {
    service.send(method, path, &[("authorization", &format!("Bearer {token}"))], b"").await
}

async fn sessions(service: &TestApp, token: &str) -> Vec<Value> {
    let answer = send(service, "GET", "/sessions/", token).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["sessions"].as_array().unwrap().clone()
}

// SE-04
#[tokio::test]
async fn a_user_sees_the_sessions_that_are_good_and_no_others() {
    let service = TestApp::start().await;
    service.register("ann", PASSWORD).await;
    service.register("bob", PASSWORD).await;
    let first = service.login("ann", PASSWORD).await;
    service.pass(Duration::from_secs(60)).await;
    let second = service.login("ann", PASSWORD).await;
    service.login("bob", PASSWORD).await;
    service.pass(Duration::from_secs(60)).await;
    assert_eq!(service.refresh(&first.refresh).await.status, 200);
    let seen = sessions(&service, &second.access).await;
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!((&seen[0]["current"], &seen[1]["current"]), (&json!(true), &json!(false)));
    assert_eq!(seen[0]["created_at"], "2026-01-01T00:01:00.5Z");
    assert_eq!(seen[0]["expires_at"], "2026-01-08T00:01:00.5Z");
    assert_eq!(seen[1]["last_used_at"], "2026-01-01T00:02:00.5Z", "a refresh is a use");
    assert_eq!((&seen[0]["address"], seen[0]["user_agent"].is_string()), (&json!("127.0.0.1"), true));
    assert!(!seen.iter().any(|one| one.to_string().contains("jti")), "nothing usable is shown");
    // Those that expire are not seen any more: the second first, since nothing has refreshed it.
    service.pass(Duration::from_secs(7 * 24 * 3600 - 30)).await;
    let third = service.login("ann", PASSWORD).await;
    assert_eq!(sessions(&service, &third.access).await.len(), 2);
    service.pass(Duration::from_secs(60)).await;
    assert_eq!(sessions(&service, &third.access).await.len(), 1);
}

// SE-04, SE-03, TK-14
#[tokio::test]
async fn ending_a_session_ends_its_tokens_at_once_and_no_others() {
    let service = TestApp::start().await;
    service.register("ann", PASSWORD).await;
    service.register("bob", PASSWORD).await;
    let (phone, laptop) = (service.login("ann", PASSWORD).await, service.login("ann", PASSWORD).await);
    let bob = service.login("bob", PASSWORD).await;
    let listed = sessions(&service, &phone.access).await;
    let other = listed.iter().find(|one| one["current"] == false).unwrap()["id"].as_str().unwrap().to_owned();
    let path = format!("/sessions/{other}/");
    let refused = send(&service, "DELETE", &path, &bob.access).await;
    assert_eq!((refused.status, service.verify(&laptop.access).await), (404, 200), "AD-01: not bob's");
    assert_eq!(send(&service, "DELETE", &path, &phone.access).await.status, 204);
    assert_eq!((service.verify(&laptop.access).await, service.verify(&laptop.refresh).await), (400, 400));
    assert_eq!(service.refresh(&laptop.refresh).await.status, 401);
    assert_eq!((service.verify(&phone.access).await, service.verify(&bob.access).await), (200, 200));
    assert_eq!(send(&service, "DELETE", &path, &phone.access).await.status, 404, "it has ended");
    let stranger = service.send("DELETE", "/sessions/%ff/", &[], b"").await;
    assert_eq!(stranger.status, 401, "strangers are not told what a session looks like");
    for path in
        ["/sessions/x/", "/sessions/%ff/", "/sessions/00000000000000000000000000000000/", "/sessions/%00/"]
    {
        assert_eq!(send(&service, "DELETE", path, &phone.access).await.status, 404, "{path}");
    }
    assert_eq!(sessions(&service, &phone.access).await.len(), 1);
}

// SE-03
#[tokio::test]
async fn logging_out_takes_any_token_of_the_session() {
    let service = TestApp::start().await;
    service.register("ann", PASSWORD).await;
    let other = service.login("ann", PASSWORD).await;
    for way in ["refresh", "spent refresh", "access", "header"] {
        let mut pair = service.login("ann", PASSWORD).await;
        if way == "spent refresh" {
            pair.access = service.refresh(&pair.refresh).await.member("access");
        }
        let out = match way {
            "access" => service.post("/logout/", &json!({"access": pair.access})).await,
            "header" => send(&service, "POST", "/auth/logout", &pair.access).await,
            _ => service.post("/logout/", &json!({"refresh": pair.refresh})).await,
        };
        assert_eq!((out.status, out.text().as_str()), (200, "{}"), "{way}");
        assert_eq!(service.verify(&pair.access).await, 400, "{way}");
        assert_eq!(service.refresh(&pair.refresh).await.status, 401, "{way}");
        let again = service.post("/logout/", &json!({"refresh": pair.refresh})).await;
        assert_eq!(again.status, 200, "ending what has ended is no failure");
    }
    assert_eq!(service.verify(&other.access).await, 200, "other sessions go on");
}

// SE-03
#[tokio::test]
async fn logging_out_everywhere_ends_all_sessions_of_the_user_for_good() {
    let service = TestApp::start().await;
    service.register("ann", PASSWORD).await;
    service.register("bob", PASSWORD).await;
    let (phone, laptop) = (service.login("ann", PASSWORD).await, service.login("ann", PASSWORD).await);
    let bob = service.login("bob", PASSWORD).await;
    assert_eq!(send(&service, "POST", "/logout/all/", &phone.access).await.status, 200);
    for token in [&phone.access, &laptop.access, &phone.refresh, &laptop.refresh] {
        assert_eq!(service.verify(token).await, 400);
    }
    for token in [&phone.refresh, &laptop.refresh] {
        assert_eq!(service.refresh(token).await.status, 401);
    }
    assert_eq!(send(&service, "POST", "/logout/all/", &laptop.access).await.status, 401, "it has ended");
    assert_eq!(service.verify(&bob.access).await, 200);
    let new = service.login("ann", PASSWORD).await;
    assert_eq!(service.verify(&new.access).await, 200);
    assert_eq!(sessions(&service, &new.access).await.len(), 1);
}

/// Every route for users alone: one that is new belongs here, and a test compares the list with the document.
const FOR_USERS: [(&str, &str); 14] = [
    ("GET", "/me/"),
    ("PATCH", "/me/"),
    ("DELETE", "/me/"),
    ("GET", "/me/export/"),
    ("POST", "/email/verify/"),
    ("POST", "/email/change/"),
    ("POST", "/password/change/"),
    ("GET", "/sessions/"),
    ("DELETE", "/sessions/00000000000000000000000000000000/"),
    ("GET", "/forward-auth"),
    ("POST", "/forward-auth"),
    ("PUT", "/forward-auth"),
    ("PATCH", "/forward-auth"),
    ("DELETE", "/forward-auth"),
];

// TK-03, TK-13: no credentials, bad ones, a refresh token, an ended session.
#[tokio::test]
async fn strangers_get_nothing_and_are_not_told_why() {
    let service = TestApp::start().await;
    service.register("ann", PASSWORD).await;
    let ended = service.login("ann", PASSWORD).await;
    assert_eq!(service.post("/logout/", &json!({"access": ended.access})).await.status, 200);
    let live = service.login("ann", PASSWORD).await;
    let expired = live.access.clone();
    service.pass(Duration::from_secs(15 * 60)).await;
    for (method, path) in FOR_USERS {
        let bare = service.send(method, path, &[], b"").await;
        assert_eq!((bare.status, bare.header("www-authenticate")), (401, Some("Bearer realm=\"api\"")));
        let mut answers = Vec::new();
        for token in [ended.access.as_str(), &live.refresh, &expired, "x", "a.b.c"] {
            answers.push(send(&service, method, path, token).await);
        }
        let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
        answers.push(service.send(method, path, &twice, b"").await);
        answers.push(service.send(method, path, &[("authorization", "Basic YTpi")], b"").await);
        answers.push(service.send(method, &format!("{path}?access_token={expired}"), &twice, b"").await);
        for answer in answers {
            assert_eq!((answer.status, answer.text().as_str()), (401, BAD_TOKEN), "{method} {path}");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.ends_with("error=\"invalid_token\""), "{challenge}");
        }
    }
    let document = serde_json::to_value(server::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let users = paths.filter(|(path, _)| !path.starts_with("/admin/")); // access.rs has those
    let secured = users.flat_map(|(_, path)| path.as_object().unwrap());
    let secured = secured.filter(|(_, operation)| operation["security"] == json!([{"bearer": []}]));
    assert_eq!(secured.count(), FOR_USERS.len(), "every route for users is tested here");
}

const BAD_TOKEN: &str = r#"{"detail":"Token is invalid","code":"token_not_valid"}"#;

// TK-13: whatever is wrong with a token, the answer is the same.
#[tokio::test]
async fn logging_out_does_not_say_what_is_wrong_with_a_token() {
    let service = TestApp::start().await;
    service.register("ann", PASSWORD).await;
    let pair = service.login("ann", PASSWORD).await;
    let expired = pair.access.clone();
    service.pass(Duration::from_secs(15 * 60)).await;
    for path in ["/logout/", "/logout/all/"] {
        let mut answers = Vec::new();
        for token in ["x", "a.b.c", &expired, &format!("{}x", pair.refresh)] {
            answers.push(service.post(path, &json!({"access": token})).await);
            answers.push(service.post(path, &json!({"refresh": token})).await);
            answers.push(send(&service, "POST", path, token).await);
        }
        for answer in answers {
            assert_eq!((answer.status, answer.text().as_str()), (401, BAD_TOKEN), "{path}");
        }
    }
    assert_eq!(service.refresh(&pair.refresh).await.status, 200, "nothing has ended");
}

// IN-03, HB-02
#[tokio::test]
async fn new_routes_take_json_alone_and_no_unknown_members() {
    let service = TestApp::start().await;
    for path in ["/logout/", "/logout/all/"] {
        for (kind, body, status) in [
            ("application/json", "{}", 401),
            ("application/json", r#"{"refresh":"x"}"#, 401),
            ("application/json", r#"{"refresh":"x","access":"y"}"#, 400),
            ("application/json", r#"{"refresh":"x","other":1}"#, 400),
            ("application/json", r#"{"refresh":null}"#, 400),
            ("application/json", r#"{"refresh":["x"]}"#, 400),
            ("application/json", "[]", 400),
            ("application/json", "{", 400),
            ("application/x-www-form-urlencoded", "refresh=x", 415),
            ("text/plain", "x", 415),
        ] {
            let answer = service.send("POST", path, &[("content-type", kind)], body.as_bytes()).await;
            assert_eq!(answer.status, status, "{path} {kind} {body}: {answer:?}");
        }
        let long = vec![b' '; 17 * 1024];
        assert_eq!(service.send("POST", path, &[JSON], &long).await.status, 413);
        assert_eq!(service.get(path).await.status, 405);
    }
}

#[tokio::test]
async fn a_place_that_is_none_is_refused() {
    let service = TestApp::start().await;
    service.register("ann", PASSWORD).await;
    let pair = service.login("ann", PASSWORD).await;
    for place in ["1", "1-", "-5e0fd64d52f3a48f6dc72cbb00000000", "x-5e0fd64d52f3a48f6dc72cbb00000000"] {
        let answer = send(&service, "GET", &format!("/sessions/?after={place}"), &pair.access).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (400, r#"{"after":["Not a place in the list."]}"#)
        );
    }
    let before_all = "/sessions/?after=0-00000000000000000000000000000000";
    assert_eq!(
        send(&service, "GET", before_all, &pair.access).await.text(),
        r#"{"sessions":[],"next":null}"#
    );
}
