//! `user ...`: on a database alone, and beside a running server.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use testkit::wait;

use crate::place::{Ended, Place};

const GOOD: &str = "violet-umbrella-42\n";

fn create(place: &Place, name: &str, password: &str) -> Ended {
    let email = format!("{name}@example.com");
    place.run_with_input(&["user", "create", name, "--email", &email, "--password-stdin"], password)
}

fn list(place: &Place, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = ["user", "list", "--json"].iter().chain(arguments).copied().collect();
    serde_json::from_str(&place.run(&arguments).ok()).unwrap()
}

// LG-09: there is no default account; the first one is made here, before the first start.
#[test]
fn the_first_account_is_made_before_the_first_start() {
    let place = Place::production();
    let said = place.run(&["user", "list"]).failed(1);
    assert!(said.contains("no database at data/auth.db") && !place.path("data").exists(), "{said}");
    let arguments = ["user", "create", "root", "--staff", "--superuser", "--password-stdin", "--json"];
    let made: Value = serde_json::from_str(&place.run_with_input(&arguments, GOOD).ok()).unwrap();
    assert_eq!((&made["id"], &made["staff"], &made["superuser"]), (&json!(1), &json!(true), &json!(true)));
    let table = place.run(&["user", "list"]).ok();
    assert!(
        table.contains("root") && table.contains("active,staff,superuser") && table.contains("never"),
        "{table}"
    );
    let running = place.start(&["serve"]);
    let credentials = json!({"username": "root", "password": GOOD.trim()});
    assert_eq!(running.client().post("/login/", &credentials).status, 200);
}

#[test]
fn lists_come_in_pages() {
    let place = Place::production();
    for name in ["a1", "a2", "a3"] {
        assert_eq!(create(&place, name, GOOD).ok().trim(), format!("{name} (id {}) is created", &name[1..]));
    }
    let first = list(&place, &["--limit", "2"]);
    assert_eq!((first["users"].as_array().unwrap().len(), &first["next"]), (2, &json!(2)));
    let rest = list(&place, &["--limit", "2", "--after", "2"]);
    assert_eq!((&rest["users"][0]["username"], &rest["next"]), (&json!("a3"), &json!(null)));
    assert!(place.run(&["user", "list", "--limit", "2"]).err.contains("--after 2"));
}

// KY-01: passwords by prompt or standard input only, and never in what is said.
#[test]
fn faults_are_told_in_full_and_change_nothing() {
    let place = Place::production();
    let said = create(&place, "no spaces", "12345\n").failed(1);
    for part in [
        "username: Enter a valid username",
        "password: This password is too short",
        "password: This password is entirely numeric",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("12345"), "{said}");
    create(&place, "ann", GOOD).ok();
    assert!(create(&place, "ANN", GOOD).failed(1).contains("already exists"));
    assert!(place.run(&["user", "create", "bob"]).failed(2).contains("--password-stdin"));
    assert!(place.run(&["user", "disable", "nobody"]).failed(1).contains("no account \"nobody\""));
    assert!(place.run(&["user", "delete", "ann"]).failed(2).contains("--yes"));
    assert_eq!(list(&place, &[])["users"].as_array().unwrap().len(), 1);
}

#[test]
fn the_rules_are_those_of_the_mode_that_made_the_database() {
    let place = Place::new(&[("BIND", "127.0.0.1:0")]);
    assert_eq!(place.start(&["dev"]).stop().code, 0);
    create(&place, "ann", "password").ok();
    let place = Place::production();
    assert!(create(&place, "ann", "password").failed(1).contains("too common"));
}

#[test]
fn a_running_server_follows() {
    let place = Place::production();
    create(&place, "ann", GOOD).ok();
    let running = place.start(&["serve"]);
    let mut client = running.client();
    let mut log_in = |password: &str| {
        let answer = client.post("/login/", &json!({"username": "ann", "password": password}));
        (answer.status == 200).then(|| answer.member("access"))
    };
    let mut verifier = running.client();
    let mut is_refused = |token: &str| {
        let body = json!({"token": token});
        wait::until("the token is refused", Duration::from_secs(30), || {
            verifier.post("/verify/", &body).status == 400
        });
    };

    let token = log_in(GOOD.trim()).unwrap();
    assert!(place.run(&["user", "disable", "ann"]).ok().contains("ann (id 1) is disabled"));
    is_refused(&token);
    assert_eq!(log_in(GOOD.trim()), None);
    assert!(place.run(&["user", "disable", "1"]).ok().contains("already"));
    assert!(place.run(&["user", "enable", "ann"]).ok().contains("is enabled"));
    let token = log_in(GOOD.trim()).unwrap();

    place.run_with_input(&["user", "set-password", "ann", "--password-stdin"], "orange-lantern-77\n").ok();
    is_refused(&token);
    assert_eq!(log_in(GOOD.trim()), None);
    let token = log_in("orange-lantern-77").unwrap();

    assert!(place.run(&["user", "delete", "ann", "--yes"]).ok().contains("is deleted"));
    is_refused(&token);
    assert_eq!(log_in("orange-lantern-77"), None);
    create(&place, "ann", GOOD).ok();
    assert_eq!(list(&place, &[])["users"][0]["id"], 2, "an id is never issued again");
}

// The time for tokens of the replaced service begins with the first start, not with an import weeks before it.
#[test]
fn commands_do_not_count_as_the_first_start() {
    let place = Place::production();
    create(&place, "ann", GOOD).ok();
    let database = Connection::open(place.path("data/auth.db")).unwrap();
    database.execute("UPDATE meta SET value = '5' WHERE key = 'first_started_at'", []).unwrap();
    let first_start = || {
        assert_eq!(place.start(&["serve"]).stop().code, 0);
        let sql = "SELECT value FROM meta WHERE key = 'first_started_at'";
        database.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
    };
    let first = first_start();
    assert_ne!(first, "5");
    assert_eq!(first_start(), first, "a second start is not the first");
}
