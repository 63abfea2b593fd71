//! `audit ...`: beside a running server and on what it has left.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::place::Place;

const GOOD: &str = "violet-umbrella-42\n";

fn create(place: &Place, name: &str) {
    place.run_with_input(&["user", "create", name, "--password-stdin"], GOOD).ok();
}

// LA-01, LA-04
#[test]
fn the_trail_is_searched_exported_signed_and_checked() {
    let place = Place::production();
    create(&place, "ann");
    create(&place, "bob");
    {
        let running = place.start(&["serve"]);
        let mut client = running.client();
        assert_eq!(client.post("/login/", &json!({"username": "ann", "password": GOOD.trim()})).status, 200);
        assert_eq!(client.post("/login/", &json!({"username": "ann", "password": "no"})).status, 401);
        let said = place.run(&["audit", "verify"]).ok();
        assert!(said.contains("4 rows, 0 of them erased") && said.contains("is sound"), "{said}");
    }
    let found = place.run(&["audit", "search", "--user", "ann", "--kind", "login.failed"]).ok();
    assert_eq!(found.lines().count(), 1);
    assert!(
        found.contains("login.failed refused  by anonymous") && found.contains("from 127.0.0.1"),
        "{found}"
    );
    place.run(&["audit", "search", "--from", "2020-13-01"]).failed(2);
    let exported = place.run(&["audit", "export"]).ok();
    let kinds: Vec<Value> =
        exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone()).collect();
    assert_eq!(kinds, ["user.created", "user.created", "login.succeeded", "login.failed"]);
    let checkpoint = place.run(&["audit", "checkpoint"]).ok();
    std::fs::write(place.path("kept"), format!("{{\"audit.checkpoint\":\"{}\"}}\n", checkpoint.trim()))
        .unwrap();
    place.run(&["audit", "verify", "--checkpoint", "kept"]).ok();
    std::fs::write(place.path("empty"), "nothing").unwrap();
    place.run(&["audit", "verify", "--checkpoint", "empty"]).failed(2);
    let sqlite = Connection::open(place.path("data/auth.db")).unwrap();
    sqlite
        .execute_batch(
            "DELETE FROM audit_events WHERE position = 4; DELETE FROM audit_checkpoints;
             UPDATE audit_head SET position = 3, hash = (SELECT hash FROM audit_events WHERE position = 3)",
        )
        .unwrap();
    drop(sqlite);
    place.run(&["audit", "verify"]).ok();
    let ended = place.run(&["audit", "verify", "--json", "--checkpoint", "kept"]);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, &report["sound"], &report["wrong"]), (1, &json!(false), &json!(1)), "{report}");
    assert!(report["faults"][0].as_str().unwrap().starts_with("3: the end was cut off"), "{report}");
}

#[test]
fn a_development_database_is_checked_with_its_own_keys() {
    let place = Place::new(&[("BIND", "127.0.0.1:0")]);
    {
        let running = place.start(&["dev"]);
        let body = json!({"username": "ann", "email": "ann@example.com", "password": GOOD.trim()});
        assert_eq!(running.client().post("/register/", &body).status, 201);
    }
    place.run(&["audit", "checkpoint"]).ok();
    assert!(place.run(&["audit", "verify"]).ok().contains("checkpoints that agree: 1"));
}
