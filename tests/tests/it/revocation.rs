//! TK-14, SE-03, SE-09, RF-07, A01: commands of another process reach a running service.

use std::time::Duration;

use testkit::process::{Pair, Process};
use testkit::wait;

use crate::turn;

const PASSWORD: &str = "violet-umbrella-42";
/// The service promises one second; a loaded machine gets more before the test gives up.
const LIMIT: Duration = Duration::from_secs(15);

fn run(service: &Process, arguments: &[&str], input: &str) {
    let output = service.run_command(arguments, input);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

/// Waits until the access token is refused, and then demands that nothing else of that login is good.
fn assert_ended(service: &Process, pair: &Pair) {
    let took = wait::until("the access token is refused", LIMIT, || service.verify(&pair.access) == 400);
    println!("seen by the running service after {took:?}");
    assert_eq!(service.refresh(&pair.refresh).status, 401);
    assert_eq!(service.verify(&pair.refresh), 400);
}

fn two_users(service: &Process) -> [Pair; 2] {
    ["reader", "other"].map(|name| {
        service.register(name, PASSWORD);
        service.login(name, PASSWORD)
    })
}

#[test]
fn disabling_a_user_reaches_a_running_service() {
    let _turn = turn::beside_others();
    let service = Process::start(&[]);
    let [reader, other] = two_users(&service);
    assert_eq!(service.verify(&reader.access), 200);
    run(&service, &["user", "disable", "reader"], "");
    assert_ended(&service, &reader);
    let (disabled, unknown) = (service.try_login("reader", PASSWORD), service.try_login("nobody", PASSWORD));
    assert_eq!((disabled.status, disabled.text()), (401, unknown.text()), "LG-01: told from nobody");
    assert_eq!(service.verify(&other.access), 200, "another user's token");

    run(&service, &["user", "enable", "reader"], "");
    wait::until("the account logs in again", LIMIT, || service.try_login("reader", PASSWORD).status == 200);
    assert_eq!(service.verify(&reader.access), 400, "sessions that ended do not come back");
    assert_eq!(service.refresh(&reader.refresh).status, 401);
}

#[test]
fn a_new_password_ends_the_sessions_of_the_old_one() {
    let _turn = turn::beside_others();
    let service = Process::start(&[]);
    let [reader, other] = two_users(&service);
    run(&service, &["user", "set-password", "reader", "--password-stdin"], "amber-telescope-77\n");
    assert_ended(&service, &reader);
    assert_eq!(service.try_login("reader", PASSWORD).status, 401);
    let again = service.login("reader", "amber-telescope-77");
    assert_eq!(service.verify(&again.access), 200);
    assert_eq!(service.verify(&other.access), 200, "another user's token");
}

// LG-12: the id of a deleted account is never issued again, not after a restart either.
#[test]
fn deleting_a_user_reaches_a_running_service() {
    let _turn = turn::beside_others();
    let mut service = Process::start(&[]);
    let [_, other] = two_users(&service);
    let last = service.register("last", PASSWORD);
    let pair = service.login("last", PASSWORD);
    run(&service, &["user", "delete", "last", "--yes"], "");
    assert_ended(&service, &pair);
    assert_eq!(service.try_login("last", PASSWORD).status, 401);
    service.restart();
    assert!(service.register("last", PASSWORD) > last, "the name is free, the id is not");
    assert_eq!(service.verify(&other.access), 200, "another user's token");
    assert_eq!(service.verify(&pair.access), 400);
}
