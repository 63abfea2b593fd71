//! `bootstrap-token`, `api-key ...` and ADMIN_API: beside a running server.

use serde_json::{Value, json};

use crate::place::Place;

const PASSWORD: &str = "violet-umbrella-42";

// LG-09: once, while there is no superuser; the routes are there only when they are asked for (AD-02).
#[test]
fn the_first_administrator_is_made_from_afar() {
    let mut place = Place::production();
    let running = place.start(&["serve"]);
    assert_eq!(running.client().get("/admin/api/users/").status, 404);
    drop(running);
    place.set("ADMIN_API", "on");
    let running = place.start(&["serve"]);
    let made: Value = serde_json::from_str(&place.run(&["bootstrap-token", "--json"]).ok()).unwrap();
    let first = json!({"token": made["token"], "username": "root", "email": "", "password": PASSWORD});
    let mut client = running.client();
    assert_eq!(client.post("/admin/api/bootstrap/", &first).status, 201);
    assert_eq!(client.post("/admin/api/bootstrap/", &first).status, 403);
    assert!(place.run(&["bootstrap-token"]).failed(1).contains("superuser already"));
}

// AD-07
#[test]
fn a_key_is_made_shown_once_used_and_revoked() {
    let place = Place::production();
    let input = format!("{PASSWORD}\n");
    place.run_with_input(&["user", "create", "machine", "--password-stdin"], &input).ok();
    let running = place.start(&["serve"]);
    let made =
        place.run(&["api-key", "create", "machine", "--name", "nightly", "--scope", "shop.view_book"]).ok();
    let key = made.trim();
    let id = key.split('_').nth(1).unwrap();
    let body = format!("grant_type=client_credentials&client_id={id}&client_secret={key}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let mut client = running.client();
    let mut exchange = || client.send("POST", "/token/", &form, body.as_bytes()).unwrap().status;
    assert_eq!(exchange(), 200);
    let listed = place.run(&["api-key", "list", "--user", "machine"]).ok();
    assert!(listed.contains(id) && listed.contains("nightly") && !listed.contains(&key[21..]), "{listed}");
    assert!(place.run(&["api-key", "revoke", id]).ok().contains("is revoked"));
    assert_eq!(exchange(), 401);
    assert!(place.run(&["api-key", "revoke", id]).ok().contains("no key that was good"));
    place.run(&["api-key", "revoke", "nonsense"]).failed(2);
    place.run(&["api-key", "create", "machine", "--name", "x", "--days", "400"]).failed(1);
}
