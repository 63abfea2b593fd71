//! The move of a living installation from its file to PostgreSQL, by the command, as an operator does it.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use testdb::{Cluster, Place};
use testkit::process::{Pair, Process};
use testkit::skip::rounds;
use testkit::wait;

use crate::turn;

const PASSWORD: &str = "violet-umbrella-42";
const NEW_PASSWORD: &str = "amber-telescope-77";
const LIMIT: Duration = Duration::from_secs(60);
const FILE: (&str, &str) = ("DATABASE_URL", "sqlite:data/auth.db");

/// A service on its file, and the address of an empty database.
fn begin(settings: &[(&str, &str)]) -> (Process, Cluster, Place) {
    let cluster = Cluster::start_with("");
    let place = Place::blocking_on(cluster.url());
    let settings: Vec<_> = settings.iter().copied().chain([FILE]).collect();
    (Process::start(&settings), cluster, place)
}

fn copy(service: &Process, place: &Place, arguments: &[&str]) -> Output {
    let url = place.url();
    let arguments: Vec<&str> = ["copy", "--to", &url, "--json"].iter().chain(arguments).copied().collect();
    service.run_command(&arguments, "")
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("a report")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn rows(report: &Value, table: &str, what: &str) -> u64 {
    let tables = report["tables"].as_array().expect("tables");
    let found = tables.iter().find(|entry| entry["name"] == table).expect("the table");
    found[what].as_u64().expect("a number")
}

fn stop(service: &mut Process) {
    service.ask_to_end();
    assert!(service.await_end(LIMIT).success());
}

/// The same service on the server from now on.
fn start_there(service: &mut Process, place: &Place) {
    service.set("DATABASE_URL", &place.url());
    service.run();
}

/// Whether commands take the database.
fn is_usable(service: &Process, url: &str) -> bool {
    let mut command = service.command(&["user", "list", "--limit", "1"]);
    command.env("DATABASE_URL", url).output().expect("the binary runs").status.success()
}

/// What the test remembers of the old service.
struct Before {
    ann: Pair,
    ended: Pair,
    last_id: i64,
}

/// Opens and ends sessions between the runs of the copy.
fn live(service: &Process, place: &Place) -> Before {
    for name in ["ann", "bob", "cara", "dan"] {
        service.register(name, PASSWORD);
    }
    let (first, ended) = (service.login("ann", PASSWORD), service.login("ann", PASSWORD));
    let of_dan = service.login("dan", PASSWORD);
    assert_eq!(rows(&report(&copy(service, place, &[])), "sessions", "added"), 3);

    let rotated = service.refresh(&first.refresh);
    let ann = Pair { access: rotated.member("access"), refresh: rotated.member("refresh") };
    let body = json!({"refresh": ended.refresh});
    assert!(service.client().post("/logout/", &body).status < 300);
    let output = service.run_command(&["user", "set-password", "bob", "--password-stdin"], NEW_PASSWORD);
    assert!(output.status.success());
    assert!(service.run_command(&["user", "disable", "cara"], "").status.success());
    assert!(service.run_command(&["user", "delete", "dan", "--yes"], "").status.success());
    wait::until("the session has ended", LIMIT, || service.verify(&ended.access) == 400);
    let last_id = service.register("eve", PASSWORD);
    assert!(service.run_command(&["user", "delete", "eve", "--yes"], "").status.success());
    let second = report(&copy(service, place, &[]));
    assert_eq!((rows(&second, "users", "changed"), rows(&second, "users", "removed")), (2, 1));
    wait::until("the account is gone", LIMIT, || service.verify(&of_dan.access) == 400);
    Before { ann, ended, last_id }
}

fn assert_goes_on(service: &Process, before: &Before) {
    assert_eq!(service.verify(&before.ann.access), 200);
    assert_eq!(service.verify(&before.ended.access), 400, "a session that had ended");
    assert_eq!(service.refresh(&before.ended.refresh).status, 401);
    let next = service.refresh(&before.ann.refresh);
    assert_eq!(next.status, 200, "{next:?}");
    assert_eq!(service.verify(&next.member("access")), 200);
    service.login("ann", PASSWORD);
    service.login("bob", NEW_PASSWORD);
    for (name, password) in [("bob", PASSWORD), ("cara", PASSWORD), ("dan", PASSWORD)] {
        assert_eq!(service.try_login(name, password).status, 401, "{name}");
    }
    assert!(service.register("fred", PASSWORD) > before.last_id, "ids are not issued again");
}

fn moves(settings: &[(&str, &str)]) {
    let (mut service, _cluster, place) = begin(settings);
    let before = live(&service, &place);
    assert!(!is_usable(&service, &place.url()), "the copy is not complete");
    let output = copy(&service, &place, &["--final"]);
    assert!(!output.status.success() && said(&output).contains("in use"), "{output:?}");
    stop(&mut service);
    let last = report(&copy(&service, &place, &["--final"]));
    assert_eq!(last["moved"], true);
    assert!(last["tables"].as_array().expect("tables").iter().all(|table| table["sha256"].is_string()));

    let output = service.run_command(&["serve"], "");
    let text = said(&output);
    assert!(output.status.code() == Some(2) && text.contains("has moved"), "{output:?}");
    assert!(text.contains("postgres://tester@127.0.0.1"), "{text}");
    assert!(said(&copy(&service, &place, &["--final"])).contains("completed before"));
    start_there(&mut service, &place);
    assert_goes_on(&service, &before);
}

#[test]
fn moving_logs_nobody_out_and_brings_nothing_back() {
    let _turn = turn::beside_others();
    moves(&[]);
}

#[test]
fn keys_of_our_own_move_as_they_are_sealed() {
    let _turn = turn::beside_others();
    moves(&[("SIGNING_ALG", "EdDSA"), ("KEY_ENCRYPTION_KEY", "7YzR3mQx0LwK9vTdJ5bNcHs1GfPa8EuV")]);
}

#[test]
fn a_moved_file_can_be_taken_back() {
    let _turn = turn::beside_others();
    let (mut service, _cluster, place) = begin(&[]);
    service.register("ann", PASSWORD);
    stop(&mut service);
    report(&copy(&service, &place, &["--final"]));
    let mut serve = service.command(&["serve", "--take-back-moved-database"]);
    let mut child = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    wait::until("it is taken back", LIMIT, || is_usable(&service, FILE.1));
    child.kill().expect("our child");
    child.wait().expect("our child");
    assert!(said(&copy(&service, &place, &[])).contains("not empty"), "what is served there is left alone");
}

/// Thousands of accounts with a session each, so that there is time to be killed.
fn fill(service: &Process) {
    let sqlite = Connection::open(service.database()).expect("the database");
    sqlite
        .execute_batch(
            "BEGIN; WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO users (username, username_key, email, password_hash, password_scheme, created_at)
             SELECT 'filler' || i, 'filler' || i, '', 'none', 'argon2', i FROM n;
             INSERT INTO sessions (id, user_id, generation, jti, created_at, last_used_at, rotated_at, idle_expires_at,
             expires_at, keep_until, address, user_agent) SELECT randomblob(16), id, 0, randomblob(16), 1, 1, 1, 1, 1,
             9000000000000000, '::1', 'agent' FROM users; COMMIT",
        )
        .expect("rows");
}

/// Starts a copy and kills it a while after its first word; answers whether it was still at work.
fn kill_after(service: &Process, place: &Place, arguments: &[&str], time: Duration) -> bool {
    let url = place.url();
    let arguments: Vec<&str> = ["copy", "--to", &url].iter().chain(arguments).copied().collect();
    let mut command = service.command(&arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut words = BufReader::new(child.stderr.take().expect("a pipe"));
    words.read_line(&mut String::new()).expect("text");
    wait::pause(time);
    let was_running = child.try_wait().expect("our child").is_none();
    child.kill().expect("our child");
    child.wait().expect("our child");
    was_running
}

#[test]
fn a_copy_that_is_killed_is_run_again() {
    let _turn = turn::alone();
    let (mut service, _cluster, place) = begin(&[]);
    service.register("ann", PASSWORD);
    let pair = service.login("ann", PASSWORD);
    fill(&service);
    let mut killed = 0;
    for round in 0..rounds(6, 40) {
        let time = Duration::from_millis(10 + 30 * (round as u64 % 6));
        killed += usize::from(kill_after(&service, &place, &[], time));
        assert!(!is_usable(&service, &place.url()));
        assert_eq!(service.verify(&pair.access), 200, "the service goes on");
        service.register(&format!("reader{round}"), PASSWORD);
    }
    assert!(killed >= 3, "only {killed} runs were killed at work");
    let run = report(&copy(&service, &place, &[]));
    assert_eq!(rows(&run, "users", "rows"), 20_001 + rounds(6, 40) as u64);
    assert!(rows(&run, "users", "added") < 20_000, "what was copied before the kill is not copied again");
    stop(&mut service);
    for round in 0..rounds(4, 30) {
        kill_after(&service, &place, &["--final"], Duration::from_millis(100 + 250 * (round as u64 % 8)));
        let both = is_usable(&service, FILE.1) && is_usable(&service, &place.url());
        assert!(!both, "at no moment can both be served");
    }
    if !is_usable(&service, &place.url()) {
        assert_eq!(report(&copy(&service, &place, &["--final"]))["moved"], true);
    }
    start_there(&mut service, &place);
    assert_eq!(service.verify(&pair.access), 200);
    service.login("reader1", PASSWORD);
}
