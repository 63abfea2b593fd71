//! `export` and `import csv|jsonl`, `group` and `user show`.

use serde_json::{Value, json};

use crate::place::{Place, mode_of};

#[test]
fn users_go_out_and_come_in_elsewhere() {
    let place = Place::production();
    let made = place.run_with_input(&["user", "create", "ann", "--password-stdin"], "violet-umbrella-42\n");
    made.ok();
    place.run(&["group", "create", "Editors"]).ok();
    assert!(place.run(&["group", "add", "Editors", "ann"]).ok().contains("has been added to Editors"));
    assert!(place.run(&["group", "list"]).ok().contains("1  Editors"));
    let out = place.run(&["export", "csv", "users.csv"]);
    // AD-06: it says loudly what it holds, and is for its owner alone.
    assert!(out.err.contains("PASSWORD HASHES") && out.err.contains("1 users written"), "{out:?}");
    assert_eq!(mode_of(&place.path("users.csv")), 0o600);
    assert!(
        place.run(&["export", "csv", "users.csv"]).failed(1).contains("cannot be made"),
        "nothing is overwritten"
    );
    let without = place.run(&["export", "jsonl", "-", "--without-passwords"]);
    assert!(!without.err.contains("PASSWORD"), "{without:?}");
    let line: Value = serde_json::from_str(&without.ok()).unwrap();
    assert_eq!(
        (&line["username"], &line["groups"], &line["password_hash"]),
        (&json!("ann"), &json!(["Editors"]), &Value::Null)
    );

    let text = std::fs::read_to_string(place.path("users.csv")).unwrap();
    let other = Place::production();
    let dry = other.run_with_input(&["import", "csv", "-", "--dry-run"], &text).ok();
    assert!(dry.contains("1 would be created") && !other.path("data").exists(), "{dry}");
    let report = other.run_with_input(&["import", "csv", "-", "--json", "--notes", "notes"], &text).ok();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["created"], &report["groups"]["created"]), (&json!(1), &json!(1)));
    assert_eq!(mode_of(&other.path("notes")), 0o600);
    assert_eq!(other.run(&["export", "csv", "-"]).ok(), text);
    let shown: Value = serde_json::from_str(&other.run(&["user", "show", "ann", "--json"]).ok()).unwrap();
    assert_eq!((&shown["groups"], &shown["all_permissions"]), (&json!(["Editors"]), &json!(false)));
    let running = other.start(&["serve"]);
    let credentials = json!({"username": "ann", "password": "violet-umbrella-42"});
    assert_eq!(running.client().post("/login/", &credentials).status, 200);
}

#[test]
fn a_source_that_is_none_is_refused_by_name() {
    let mut place = Place::production();
    place.run(&["import", "django"]).failed(2);
    assert!(place.run(&["import", "django", "--from", "mysql://x/y"]).failed(2).contains("postgres://"));
    place.set("IMPORT_FROM", "postgres://ann:CANARY@/nowhere");
    let err = place.run(&["import", "django"]).failed(2);
    assert!(err.contains("does not name a host") && !err.contains("CANARY"), "{err}");
}
