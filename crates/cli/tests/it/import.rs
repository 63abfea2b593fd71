//! `import django`: the report, and that a dry run leaves nothing.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::place::Place;

/// `wanderlust-42`, as Django stores it.
const HASH: &str = "pbkdf2_sha256$1000$NaClNaClNaClNaCl01$UvwbNXHJ9taEZuNuG74/3I856IGeAfjgQYOtcPHS3hQ=";

fn django(place: &Place) {
    let connection = Connection::open(place.path("db.sqlite3")).unwrap();
    let users = format!(
        "CREATE TABLE auth_user (id integer PRIMARY KEY AUTOINCREMENT, password, last_login, is_superuser, username,
             last_name, email, is_staff, is_active, date_joined, first_name);
         INSERT INTO auth_user VALUES (3, '{HASH}', NULL, 0, 'ann', '', 'ann@example.com', 0, 1, '2024-05-01 12:00:00', '');
         INSERT INTO auth_user VALUES (4, '{HASH}', NULL, 0, 'eve' || char(27) || '[2J', '', '', 0, 1, 'soon', '');"
    );
    connection.execute_batch(&users).unwrap();
}

#[test]
fn users_come_over_and_log_in() {
    let mut place = Place::production();
    django(&place);
    let dry = place.run(&["import", "django", "--database", "db.sqlite3", "--dry-run"]).ok();
    for part in [
        "2 users read: 1 would be created",
        "1 would be left out",
        "date_joined is not a time",
        "nothing was written",
    ] {
        assert!(dry.contains(part), "{dry}");
    }
    assert!(!dry.contains('\u{1b}'), "{dry:?}");
    assert!(!place.path("data").exists(), "a dry run makes no database");

    let report = place.run(&["import", "django", "--database", "db.sqlite3", "--json"]).ok();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        (&report["created"], &report["skipped"], &report["ids_reserved_to"]),
        (&json!(1), &json!(1), &json!(4))
    );
    let again = place.run(&["import", "django", "--database", "db.sqlite3"]).ok();
    assert!(again.contains("0 created, 0 updated, 1 unchanged, 1 left out"), "{again}");

    let running = place.start(&["serve"]);
    let credentials = json!({"username": "ann", "password": "wanderlust-42"});
    assert_eq!(running.client().post("/login/", &credentials).status, 200);
    drop(running);
    place.set("DATA_DIR", "other");
    assert!(
        place.run(&["import", "django", "--database", "none.sqlite3"]).failed(1).contains("none.sqlite3")
    );
}
