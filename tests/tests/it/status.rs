//! Revocation that reaches services which check tokens by themselves (SE-10, SE-09): the verifier crate and the examples of the
//! documentation, against the real binary.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use testkit::process::Process;
use testkit::wait;
use verifier::{Refusal, Verifier};

use crate::{foreign, turn};

const PASSWORD: &str = "violet-umbrella-42";
const KEY_ENCRYPTION_KEY: &str = "7YzR3mQx0LwK9vTdJ5bNcHs1GfPa8EuV";

fn start() -> Process {
    let mut service = Process::prepare(&[
        ("SIGNING_ALG", "EdDSA"),
        ("KEY_ENCRYPTION_KEY", KEY_ENCRYPTION_KEY),
        ("STATUS_LIST_TTL", "1s"),
    ]);
    let url = format!("http://{}", service.choose_address());
    service.set("PUBLIC_URL", &url);
    service.run();
    service
}

fn keys(service: &Process) -> String {
    format!("http://{}/.well-known/jwks.json", service.address())
}

/// A token that was given for an API key of the account `reader`.
fn token_of_key(service: &Process) -> String {
    let made = service.run_command(&["api-key", "create", "reader", "--name", "tests", "--json"], "");
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let (id, key) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a key"));
    let body = format!("grant_type=client_credentials&client_id={id}&client_secret={key}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let given = service.client().send("POST", "/token/", &form, body.as_bytes()).expect("an answer");
    given.json()["access_token"].as_str().expect("a token").to_owned()
}

#[test]
fn a_logout_reaches_a_service_that_asks_nobody() {
    let _turn = turn::beside_others();
    let service = start();
    service.register("reader", PASSWORD);
    let (ended, other) = (service.login("reader", PASSWORD), service.login("reader", PASSWORD));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let verifier = Verifier::builder(keys(&service)).require_status(true).build().expect("a verifier");
    let check = |token: &str| runtime.block_on(verifier.check(token));
    assert_eq!(check(&ended.access).expect("a good token").user_id(), Some(1));
    assert!(check(&ended.refresh).is_err(), "TK-03: a refresh token is nothing to other services");
    let of_key = token_of_key(&service);
    assert_eq!(check(&of_key).map(drop), Err(Refusal::ApiKey), "AD-07");
    let aware = Verifier::builder(keys(&service)).accept_api_keys().build().expect("a verifier");
    assert!(runtime.block_on(aware.check(&of_key)).expect("a good token").api_key().is_some());
    let answer = service.client().post("/logout/", &json!({"access": ended.access}));
    assert_eq!(answer.status, 200);
    let took =
        wait::until("the logout is heard of", Duration::from_secs(30), || check(&ended.access).is_err());
    println!("heard of after {took:?}, with a time to live of 1 s");
    assert!(check(&other.access).is_ok(), "the other session goes on");
    // It needs no service to go on, for a while.
    drop(service);
    assert!(check(&ended.access).is_err());
}

#[test]
fn the_examples_of_the_documentation_follow_keys_and_lists() {
    let Some(environment) =
        foreign::environment("status::the_examples_of_the_documentation_follow_keys_and_lists")
    else {
        return;
    };
    let _turn = turn::beside_others();
    let service = start();
    service.register("reader", PASSWORD);
    let (ended, other) = (service.login("reader", PASSWORD), service.login("reader", PASSWORD));
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    let python = || {
        let mut command = foreign::python(&environment);
        command.arg(examples.join("check_token.py")).env("PYTHONPATH", environment.join("pyjwt-latest"));
        command
    };
    let node = || {
        // The example finds its library beside itself.
        let copy = environment.join("node/check_token.mjs");
        std::fs::copy(examples.join("check_token.mjs"), &copy).expect("a copy");
        let mut command = Command::new("node");
        command.arg(copy);
        command
    };
    let passes = |mut command: Command, token: &str| {
        let output = command.args([keys(&service).as_str(), "-", token]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(!output.status.success() || said == "1", "{output:?}");
        output.status.success()
    };
    for token in [&ended.access, &other.access] {
        assert!(passes(python(), token) && passes(node(), token));
    }
    assert!(!passes(python(), &ended.refresh) && !passes(node(), &ended.refresh), "TK-03");
    let of_key = token_of_key(&service);
    assert!(!passes(python(), &of_key) && !passes(node(), &of_key), "AD-07");
    assert_eq!(service.client().post("/logout/", &json!({"access": ended.access})).status, 200);
    wait::until("Python hears of it", Duration::from_secs(30), || !passes(python(), &ended.access));
    wait::until("Node hears of it", Duration::from_secs(30), || !passes(node(), &ended.access));
    assert!(passes(python(), &other.access) && passes(node(), &other.access));
}
