//! `breached build|check`, and a service that uses the list.

use serde_json::json;

use crate::place::{KEY, Place};

const BREACHED: &str = "violet-umbrella-42";

// PW-05
#[test]
fn a_list_is_made_asked_and_used() {
    let place = Place::production();
    place.write("words.txt", &format!("{BREACHED}\nhunter2\n"));
    let said = place.run(&["breached", "build", "--plain", "--from", "words.txt", "--to", "list"]).ok();
    assert!(said.contains("2 passwords of 2 lines"), "{said}");
    let again = place.run(&["breached", "build", "--plain", "--from", "words.txt", "--to", "list"]).failed(1);
    assert!(again.contains("list exists already"), "{again}");

    let ask = |password| place.run_with_input(&["breached", "check", "--list", "list", "--stdin"], password);
    let known = ask("hunter2\n");
    assert!(known.code == 1 && known.out.contains("breached"), "{known:?}");
    assert!(ask("hunter3\n").ok().contains("not in the list (2 passwords)"));
    let said = place.run(&["breached", "check", "--stdin"]).failed(2);
    assert!(said.contains("BREACHED_PASSWORDS"), "{said}");

    let mut place = place;
    place.set("BREACHED_PASSWORDS", "list");
    let running = place.start(&["serve"]);
    let body = json!({"username": "ann", "email": "", "password": BREACHED});
    let refused = running.client().post("/register/", &body);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("data breach"), "{}", refused.text());
}

#[test]
fn a_file_that_is_no_list_forbids_the_start() {
    let place = Place::new(&[("SECRET_KEY", KEY), ("BREACHED_PASSWORDS", "words.txt")]);
    for content in [None, Some("not a list, however long it may be: it does not begin like one")] {
        if let Some(content) = content {
            place.write("words.txt", content);
        }
        let said = place.run(&["serve"]).failed(2);
        assert!(said.contains("BREACHED_PASSWORDS: words.txt") && said.contains("breached build"), "{said}");
    }
}

// Lines of Pwned Passwords, sorted by digest; `--at-least` leaves out what was hardly seen.
#[test]
fn digests_come_by_pipe() {
    let place = Place::production();
    let lines =
        "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:9659365\r\n7C4A8D09CA3762AF61E59520943DC26494F8941B:1\r\n";
    let build = ["breached", "build", "--from", "-", "--to", "list", "--at-least", "10"];
    assert!(place.run_with_input(&build, lines).ok().contains("1 passwords of 2 lines"));
    let ask = |password| place.run_with_input(&["breached", "check", "--list", "list", "--stdin"], password);
    ask("password").failed(1);
    ask("123456").ok();
    let reversed: String = lines.lines().rev().map(|line| format!("{line}\n")).collect();
    let build = ["breached", "build", "--from", "-", "--to", "other"];
    let said = place.run_with_input(&build, &reversed).failed(1);
    assert!(said.contains("line 2: not in the order") && !place.path("other").exists(), "{said}");
}
