//! Public keys and the libraries of the neighbours, who follow them over HTTP (TK-09, TK-10, KY-05).

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};
use testkit::process::{Process, SECRET_KEY};
use testkit::wait::{self, Deadline};

use crate::{foreign, turn};

const PASSWORD: &str = "violet-umbrella-42";
pub(crate) const KEY_ENCRYPTION_KEY: &str = "7YzR3mQx0LwK9vTdJ5bNcHs1GfPa8EuV";
/// The service promises one second; a loaded machine gets more before the test gives up.
const LIMIT: Duration = Duration::from_secs(15);
/// How long the verifiers keep the keys, in seconds: less than a key is published ahead, as by default.
const KEEP: u32 = 2;

/// A neighbour's program that checks tokens and follows the published keys.
pub(crate) struct Verifier {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Verifier {
    fn start(name: &'static str, mut command: Command, service: SocketAddr) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let uri = format!("http://{service}/.well-known/jwks.json");
        writeln!(input, "{}", json!({"jwks_uri": uri, "secret": SECRET_KEY, "keep": KEEP}))
            .expect("it reads");
        Self { name, child, input, output }
    }

    /// PyJWT's PyJWKClient, as the catalog pins it and the latest, and jose's createRemoteJWKSet.
    pub(crate) fn all(environment: &Path, service: SocketAddr) -> Vec<Self> {
        let pyjwt = |version: &str| {
            let mut command = foreign::python(environment);
            command.arg(foreign::scripts().join("bridge.py")).env("PYTHONPATH", environment.join(version));
            command
        };
        let mut node = Command::new("node");
        node.arg(environment.join("node/bridge.mjs"));
        vec![
            Self::start("PyJWT of the catalog", pyjwt("pyjwt-catalog"), service),
            Self::start("PyJWT latest", pyjwt("pyjwt-latest"), service),
            Self::start("jose", node, service),
        ]
    }

    fn check(&mut self, token: &str) -> Value {
        writeln!(self.input, "{}", json!(token)).expect("it reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).expect("it answers JSON")
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn service(more: &[(&str, &str)]) -> Process {
    let mut settings = vec![("KEY_ENCRYPTION_KEY", KEY_ENCRYPTION_KEY), ("KEY_PUBLISH_AHEAD", "5s")];
    settings.extend(more);
    Process::start(&settings)
}

pub(crate) fn header(token: &str) -> Value {
    let bytes = BASE64URL.decode(token.split('.').next().expect("a header")).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn run(service: &Process, arguments: &[&str]) -> String {
    let output = service.run_command(arguments, "");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

pub(crate) fn assert_good(verifiers: &mut [Verifier], token: &str, when: &str) {
    for verifier in verifiers {
        let said = verifier.check(token);
        assert_eq!(said["ok"], true, "{}, {when}: {said}", verifier.name);
    }
}

// TK-10: 0 failures through a rotation.
#[test]
fn foreign_clients_follow_a_rotation_without_a_failure() {
    let Some(environment) = foreign::environment("foreign_clients_follow_a_rotation_without_a_failure")
    else {
        return;
    };
    let _turn = turn::beside_others();
    let service = service(&[("SIGNING_ALG", "EdDSA")]);
    service.register("reader", PASSWORD);
    let mut pair = service.login("reader", PASSWORD);
    let first = pair.access.clone();
    let mut verifiers = Verifier::all(&environment, service.address());
    assert_good(&mut verifiers, &first, "before the rotation");
    run(&service, &["key", "rotate"]);
    let (mut ids, mut checked, deadline) = (BTreeSet::new(), 0, Deadline::after(Duration::from_secs(60)));
    while ids.len() < 2 || checked < 40 {
        assert!(!deadline.passed(), "no rotation within a minute: {ids:?}");
        let answer = service.refresh(&pair.refresh);
        assert_eq!(answer.status, 200, "{answer:?}");
        (pair.access, pair.refresh) = (answer.member("access"), answer.member("refresh"));
        ids.insert(header(&pair.access)["kid"].as_str().expect("an id").to_owned());
        assert_good(&mut verifiers, &pair.access, "during the rotation");
        assert_good(&mut verifiers, &first, "a token of the key before");
        assert_eq!((service.verify(&pair.access), service.verify(&first)), (200, 200));
        checked += 1;
        wait::pause(Duration::from_millis(100));
    }
    println!("{checked} pairs of tokens, {} keys, {} verifiers, 0 refused", ids.len(), verifiers.len());
}

// TK-10, KY-05: an emergency: refused here within the bound, elsewhere when the keys are read again.
#[test]
fn foreign_clients_lose_a_dropped_key() {
    let Some(environment) = foreign::environment("foreign_clients_lose_a_dropped_key") else { return };
    let _turn = turn::beside_others();
    let service = service(&[("SIGNING_ALG", "ES256")]);
    service.register("reader", PASSWORD);
    let old = service.login("reader", PASSWORD);
    let mut verifiers = Verifier::all(&environment, service.address());
    assert_good(&mut verifiers, &old.access, "before");
    let id = header(&old.access)["kid"].as_str().expect("an id").to_owned();
    assert!(run(&service, &["key", "list"]).contains(&id));
    let refused = service.run_command(&["key", "drop", &id], "");
    assert!(!refused.status.success(), "it asks first");
    assert_eq!(service.verify(&old.access), 200);
    run(&service, &["key", "drop", &id, "--yes"]);
    let took = wait::until("the token is refused", LIMIT, || service.verify(&old.access) == 400);
    println!("refused by the service after {took:?}");
    let answer = service.refresh(&old.refresh);
    assert_eq!(answer.status, 200, "the login goes on: {answer:?}");
    let new = answer.member("access");
    assert_ne!(header(&new)["kid"], *id);
    for verifier in &mut verifiers {
        let name = verifier.name;
        let took = wait::until(name, LIMIT, || verifier.check(&old.access)["ok"] == false);
        println!("refused by {name} after {took:?}");
        let said = verifier.check(&new);
        assert_eq!(said["ok"], true, "{name}: {said}");
    }
}

// KY-05: docs/bridge.md, step by step; its code is the verifiers'.
#[test]
fn the_bridge_loses_nobody() {
    let Some(environment) = foreign::environment("the_bridge_loses_nobody") else { return };
    let _turn = turn::beside_others();
    let mut service = service(&[]);
    let id = service.register("reader", PASSWORD);
    let old = service.login("reader", PASSWORD);
    assert_eq!(header(&old.access)["alg"], "HS256");
    service.set("SIGNING_ALG", "EdDSA");
    service.restart();
    let mut verifiers = Verifier::all(&environment, service.address());
    assert_good(&mut verifiers, &old.access, "a token of the secret");
    assert_eq!((service.verify(&old.access), service.verify(&old.refresh)), (200, 200));
    let next = service.refresh(&old.refresh);
    assert_eq!(next.status, 200, "{next:?}");
    let access = next.member("access");
    assert_eq!(header(&access)["alg"], "EdDSA");
    assert_good(&mut verifiers, &access, "a token of the key");
    for verifier in &mut verifiers {
        assert_eq!(verifier.check(&access)["claims"]["user_id"], id);
        let refresh = verifier.check(&next.member("refresh"));
        assert_eq!(refresh["ok"], false, "TK-03: no service takes a refresh token: {}", verifier.name);
    }
    // The last step: the secret counts no more.
    service.set("HS256_VERIFY_UNTIL", "off");
    service.restart();
    assert_eq!((service.verify(&old.access), service.verify(&access)), (400, 200));
    assert_eq!(service.refresh(&next.member("refresh")).status, 200);
    service.set("SECRET_KEY", "");
    service.restart();
    assert_eq!(service.verify(&access), 200);
}

// KY-02, KY-03: the wrong key-encryption key does not start, and says why.
#[test]
fn another_key_encryption_key_does_not_start() {
    let _turn = turn::beside_others();
    let mut service = service(&[("SIGNING_ALG", "EdDSA")]);
    service.kill();
    service.set("KEY_ENCRYPTION_KEY", "Qm4vX9cT2nLb7RkW0zHsYp6JdGfE3aUo");
    let output = service.run_command(&["serve"], "");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("KEY_ENCRYPTION_KEY does not open the stored signing keys"), "{text}");
    run(&service, &["key", "drop", "--all", "--yes"]);
    service.run();
}
