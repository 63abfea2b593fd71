//! `dev` and `serve`: how they start, what they say, how they stop.

use std::net::TcpListener;

use serde_json::{Value, json};
use testkit::process::registration;

use crate::place::{KEY, Place, mode_of};

const DEV: &[(&str, &str)] = &[("BIND", "127.0.0.1:0")];

#[test]
fn development_starts_with_nothing_and_says_so_in_one_line() {
    let place = Place::new(DEV);
    let running = place.start(&["dev"]);
    let (line, address) = (running.start_line.clone(), running.address());
    for part in
        ["development mode", &format!("http://{address}"), "data/auth.db", &format!("http://{address}/docs")]
    {
        assert!(line.contains(part), "{line}");
    }
    let mut client = running.client();
    assert_eq!(client.get("/healthz").status, 200);
    assert_eq!(client.get("/openapi.json").status, 200);
    let example = json!({"username": "username", "email": "user@example.com", "password": "password"});
    assert_eq!(client.post("/register/", &example).status, 201);
    let token = client.post("/login/", &example).member("access");
    assert_eq!((mode_of(&place.path("data")), mode_of(&place.path("data/dev-secret"))), (0o700, 0o600));
    assert_eq!(mode_of(&place.path("data/auth.db")), 0o600);
    let ended = running.stop();
    assert_eq!(ended.code, 0, "{ended:?}");

    let again = place.start(&["dev"]);
    assert_eq!(again.client().post("/verify/", &json!({"token": token})).status, 200, "the key is kept");
    assert_eq!(again.stop().code, 0);
}

// KY-01, LA-02, LA-03: at the most talkative level every line is one JSON object, and none holds a secret.
#[test]
fn logs_are_json_lines_without_secrets() {
    let mut place = Place::production();
    place.set("LOG_FORMAT", "json");
    place.set("LOG_LEVEL", "trace");
    let running = place.start(&["serve"]);
    assert!(!running.arguments().contains(KEY));
    let mut client = running.client();
    let password = "violet-CANARY-umbrella";
    assert_eq!(client.post("/register/", &registration("ann", password)).status, 201);
    let pair = client.post("/login/", &json!({"username": "ann", "password": password})).json();
    client.post("/login/", &json!({"username": "bob\n{\u{202e}\u{1b}[2J", "password": "CANARY-guess"}));
    client.post("/refresh/", &json!({"refresh": pair["refresh"]}));
    client.post("/verify/", &json!({"token": pair["access"]}));
    let ended = running.stop();
    let text = format!("{}{}", ended.out, ended.err);
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(value.is_object(), "{line}");
    }
    let first: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(
        (&first["mode"], &first["database"], &first["docs"]),
        (&json!("serve"), &json!("data/auth.db"), &json!(null))
    );
    let signature = |name: &str| pair[name].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
    for secret in ["CANARY", KEY, &signature("access"), &signature("refresh")] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(text.contains("\"stopped\""), "{text}");
}

// KY-02: accounts of the development mode do not slip into production.
#[test]
fn development_and_production_do_not_share_a_database() {
    let mut place = Place::new(DEV);
    assert_eq!(place.start(&["dev"]).stop().code, 0);
    place.set("SECRET_KEY", KEY);
    let said = place.run(&["serve"]).failed(2);
    assert!(said.contains("made by `bookstore-auth dev`") && said.contains("--adopt-dev-database"), "{said}");
    assert_eq!(place.start(&["serve", "--adopt-dev-database"]).stop().code, 0);
    assert_eq!(place.start(&["serve"]).stop().code, 0, "adopted for good");
    let said = place.run(&["dev"]).failed(2);
    assert!(said.contains("one of production"), "{said}");
}

// KY-02: production never takes the key of the development mode.
#[test]
fn the_development_key_is_refused_in_production() {
    let mut place = Place::new(DEV);
    assert_eq!(place.start(&["dev"]).stop().code, 0);
    place.set("SECRET_KEY_FILE", "data/dev-secret");
    place.set("DATA_DIR", "production");
    let said = place.run(&["serve"]).failed(2);
    assert!(said.contains("made by `bookstore-auth dev`"), "{said}");
}

#[test]
fn a_port_in_use_is_said_plainly() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut place = Place::production();
    place.set("BIND", &taken.local_addr().unwrap().to_string());
    let said = place.run(&["serve"]).failed(1);
    assert!(said.contains("is another program using it?"), "{said}");
    assert!(!place.path("data").exists(), "nothing is made before the address is sure");
}

#[test]
fn the_schema_is_left_alone_where_migrating_is_switched_off() {
    let mut place = Place::production();
    place.set("MIGRATE", "never");
    assert!(place.run(&["serve"]).failed(1).contains("migrate"));
    assert!(place.run(&["migrate", "--check"]).failed(1).is_empty());
    assert!(place.run(&["migrate"]).ok().contains("applied: 0001_initial"));
    assert!(place.run(&["migrate"]).ok().contains("up to date"));
    place.run(&["migrate", "--check"]).ok();
    assert_eq!(place.start(&["serve"]).stop().code, 0);
}

// KY-06: the documentation is a setting in production, and metrics have their own listener.
#[test]
fn metrics_and_documentation_are_where_they_are_asked_for() {
    let mut place = Place::production();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    place.set("METRICS_BIND", &free.to_string());
    let running = place.start(&["serve"]);
    let mut client = running.client();
    for path in ["/docs", "/openapi.json", "/metrics"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    let metrics = testkit::http::Client::new(free).get("/metrics");
    assert!(metrics.status == 200 && metrics.text().contains("http_requests"), "{metrics:?}");
    assert_eq!(running.stop().code, 0);
    place.set("DOCS", "on");
    let running = place.start(&["serve"]);
    assert_eq!(running.client().get("/openapi.json").status, 200);
    assert_eq!(running.stop().code, 0);
}

// AD-02: administration may have a listener of its own, and is nowhere else then.
#[test]
fn administration_is_where_it_is_asked_for() {
    let mut place = Place::production();
    let [admin, metrics] =
        [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).map(|free| free.local_addr().unwrap());
    place.set("ADMIN_API", "on");
    place.set("ADMIN_BIND", &admin.to_string());
    place.set("METRICS_BIND", &metrics.to_string());
    place.set("DOCS", "on");
    let running = place.start(&["serve"]);
    let (mut public, mut private) = (running.client(), testkit::http::Client::new(admin));
    for path in ["/admin/api/users/", "/auth/admin/api/audit/", "/admin/api/bootstrap/"] {
        assert_eq!(public.get(path).status, 404, "{path}");
        assert_ne!(private.get(path).status, 404, "{path}");
    }
    assert_eq!(private.get("/admin/api/users/").status, 401);
    for (client, is_told) in [(&mut public, false), (&mut private, true)] {
        assert_eq!(client.get("/openapi.json").text().contains("/admin/api/users/"), is_told);
        assert_eq!(client.get("/healthz").status, 200);
    }
    let counted = testkit::http::Client::new(metrics).get("/metrics").text();
    assert!(
        counted.lines().any(|line| line.contains("/admin/api/users/") && line.contains("401")),
        "{counted}"
    );
    assert_eq!(running.stop().code, 0);
}

#[test]
fn healthcheck_asks_the_running_service() {
    let mut place = Place::production();
    let running = place.start(&["serve"]);
    place.set("BIND", &running.address());
    assert_eq!(place.run(&["healthcheck"]).ok(), "");
    assert_eq!(running.stop().code, 0);
    assert!(place.run(&["healthcheck"]).failed(1).contains("does not answer"));
}

#[test]
fn an_earlier_key_still_verifies_while_it_is_a_fallback() {
    let mut place = Place::production();
    let running = place.start(&["serve"]);
    let mut client = running.client();
    client.post("/register/", &registration("ann", "violet-umbrella-42"));
    let token = client
        .post("/login/", &json!({"username": "ann", "password": "violet-umbrella-42"}))
        .member("access");
    assert_eq!(running.stop().code, 0);

    place.set("SECRET_KEY", "9d3fa1c47be05682f1d94c3ab8e76f20aa41c8d2");
    for (fallbacks, status) in [(KEY, 200), ("", 400)] {
        place.set("SECRET_KEY_FALLBACKS", fallbacks);
        let running = place.start(&["serve"]);
        assert_eq!(running.client().post("/verify/", &json!({"token": token})).status, status);
        assert_eq!(running.stop().code, 0);
    }
}
