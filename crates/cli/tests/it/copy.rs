//! `copy` as far as it comes without a server; tests/tests/it/moving.rs has the rest.

use rusqlite::Connection;

use crate::place::Place;

const NOBODY: &str = "postgres://ann:CANARY@127.0.0.1:1/auth";

#[test]
fn wrong_usage_is_told_without_the_password() {
    let place = Place::production();
    for (arguments, part) in [
        (&["copy"][..], "--to"),
        (&["copy", "--to", "sqlite:other.db"], "--to is to be postgres://"),
        (&["copy", "--to", "postgres://ann:CANARY@db"], "does not name a database"),
        (&["copy", "--to", "ann:CANARY@db"], "does not begin with"),
        (&["copy", "--from", NOBODY, "--to", NOBODY], "--from is to be the embedded database"),
        (&["copy", "--from", "auth.db", "--to", NOBODY], "--from does not begin with sqlite:"),
    ] {
        let said = place.run(arguments).failed(2);
        assert!(said.contains(part) && !said.contains("CANARY"), "{said}");
    }
}

#[test]
fn a_server_that_is_not_there_changes_nothing() {
    let mut place = Place::production();
    place.set("COPY_TO", NOBODY);
    assert!(place.run(&["copy"]).failed(1).contains("there is no database at data/auth.db"));
    place.run_with_input(&["user", "create", "ann", "--password-stdin"], "violet-umbrella-42").ok();
    let running = place.start(&["serve"]);
    let said = place.run(&["copy"]).failed(1);
    assert!(said.contains("postgres://ann@127.0.0.1:1/auth") && !said.contains("CANARY"), "{said}");
    assert_eq!(running.client().get("/readyz").status, 200);
    assert!(place.run(&["copy", "--final"]).failed(1).contains("the database is in use"));
    assert_eq!(running.stop().code, 0);
    assert_eq!(place.start(&["serve"]).stop().code, 0);
}

#[test]
fn a_database_that_has_moved_is_refused_unless_it_is_taken_back() {
    let place = Place::production();
    assert_eq!(place.start(&["serve"]).stop().code, 0);
    let database = Connection::open(place.path("data/auth.db")).unwrap();
    let mark = "INSERT INTO meta (key, value) VALUES ('moved_to', 'postgres://ann@db.example/auth')";
    database.execute(mark, []).unwrap();
    for arguments in [&["serve"][..], &["user", "list"]] {
        let said = place.run(arguments).failed(2);
        assert!(said.contains("was copied to postgres://ann@db.example/auth"), "{said}");
        assert!(said.contains("--take-back-moved-database"), "{said}");
    }
    assert!(place.run(&["backup", "copy.db"]).ok().contains("copy.db"));
    assert_eq!(place.start(&["serve", "--take-back-moved-database"]).stop().code, 0);
    assert_eq!(place.start(&["serve"]).stop().code, 0);
    database.execute("INSERT INTO meta (key, value) VALUES ('copying_from', 'x')", []).unwrap();
    assert!(place.run(&["serve"]).failed(2).contains("not complete"));
}
