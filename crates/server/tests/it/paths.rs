//! IN-07: which paths lead where.

use serde_json::json;
use testkit::app::TestApp;

#[tokio::test]
async fn every_spelling_of_a_route_answers_the_same_without_a_redirect() {
    let service = TestApp::start().await;
    for name in ["register", "login", "refresh", "verify"] {
        let mut answers = Vec::new();
        for path in
            [format!("/{name}/"), format!("/{name}"), format!("/auth/{name}/"), format!("/auth/{name}")]
        {
            let answer = service.post(&path, &json!({"username": "a b"})).await;
            answers.push((answer.status, answer.text(), answer.header("allow").map(str::to_owned)));
        }
        assert_eq!(answers[0].0, 400, "{name}");
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{name}: {answers:?}");
    }
}

// IN-07
#[tokio::test]
async fn odd_paths_lead_nowhere() {
    let service = TestApp::start().await;
    for path in [
        "/",
        "/auth",
        "/auth/",
        "//verify/",
        "/verify//",
        "/auth//verify/",
        "/./verify/",
        "/x/../verify/",
        "/%2e%2e/verify/",
        "/auth/..;/verify/",
        "/verify/;x",
        "/verify/..",
        "/VERIFY/",
        "/Auth/verify/",
        "/verify.json",
        "/verify/x",
        "/%2576erify/",
        "/verify%00/",
        "/verify/%00",
        "/verify%5c",
        "/%c0%afverify/",
        "/v\u{e9}rify/",
        "/auth/auth/verify/",
        "/auth/healthz",
        "/healthz/",
        "/debug",
        "/admin/",
        "/.env",
        "/.git/config",
    ] {
        let answer = service.post(path, &json!({"token": "x"})).await;
        assert_eq!((answer.status, answer.text().as_str()), (404, r#"{"detail":"Not found."}"#), "{path}");
    }
    for path in ["/%76erify/", "/verify%2F", "/%61uth/verify/?token=a%2Fb", "/verify/?a=b"] {
        assert_eq!(service.post(path, &json!({"token": "x"})).await.status, 400, "{path} is /verify/");
    }
}

// IN-07: a name with an underscore is another name, and a list of hop-by-hop headers takes nothing away.
#[tokio::test]
async fn smuggled_headers_change_nothing() {
    let service = TestApp::start().await;
    for headers in [
        &[("authorization_", "Bearer x")][..],
        &[("x-original-url", "/register/"), ("x-rewrite-url", "/register/")],
        &[("x-http-method-override", "GET")],
    ] {
        let answer = service.send("POST", "/register/", headers, b"").await;
        assert_eq!(answer.status, 400, "{headers:?}");
    }
    let spoilt = [("authorization", "Bearer x"), ("connection", "authorization")];
    assert_eq!(service.send("POST", "/register/", &spoilt, b"").await.status, 401);
}
