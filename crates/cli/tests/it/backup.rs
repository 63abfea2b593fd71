//! `backup` and `restore` as commands; the store's own tests look at the files.

use serde_json::json;

use crate::place::{Place, mode_of};

fn create(place: &Place, name: &str) {
    place.run_with_input(&["user", "create", name, "--password-stdin"], "violet-umbrella-42").ok();
}

#[test]
fn a_backup_comes_back() {
    let place = Place::production();
    assert!(place.run(&["backup", "copy.db"]).failed(1).contains("no database at"));
    create(&place, "ann");
    let running = place.start(&["serve"]);
    assert!(place.run(&["backup", "copy.db"]).ok().contains("copy.db"));
    assert_eq!(mode_of(&place.path("copy.db")), 0o600);
    place.run(&["restore", "copy.db"]).failed(1);
    assert_eq!(running.stop().code, 0);
    create(&place, "bob");

    let said = place.run(&["restore", "copy.db"]).ok();
    assert!(said.contains("is kept as"), "{said}");
    let running = place.start(&["serve"]);
    let log_in = |name: &str| {
        running.client().post("/login/", &json!({"username": name, "password": "violet-umbrella-42"})).status
    };
    assert_eq!((log_in("ann"), log_in("bob")), (200, 401));
    place.run(&["restore", "missing.db"]).failed(1);
}
