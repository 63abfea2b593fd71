//! The service does what its OpenAPI document says, and says all that it does: schemathesis asks every operation with what the
//! document allows and with what it forbids, alone and in sequences, as a stranger, a user and a superuser (IN-05).
//!
//! What must hold of every answer are schemathesis' own checks, all of them: no 5xx, no status, type, header or body that is not in
//! the document, no refusal of what it allows, nothing taken that it forbids, no way around credentials, nothing left of what was
//! deleted. The few exceptions and their reasons are in `tests/foreign/fuzz_hooks.py`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;
use testkit::process::{Process, bound_to_parent};
use testkit::skip::{full, rounds};

use crate::mail::Sink;
use crate::{foreign, turn};

const PASSWORD: &str = "violet-umbrella-42";
const SERVICE: &str = "catalog:canary-of-the-catalog-service-0123456789";

/// What was answered: of each operation each status, and how often.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

#[test]
fn the_service_is_as_its_document_says() {
    let _turn = turn::alone();
    let Some(environment) = foreign::environment("the_service_is_as_its_document_says") else { return };
    // The same questions each time, but for the long runs.
    let seed = if full() { RandomState::new().hash_one(()) % 1_000_000 } else { 1 };
    let roles = ["superuser", "user", "none"];
    let [superuser, user, none] = thread::scope(|scope| {
        roles
            .map(|role| {
                scope.spawn({
                    let environment = &environment;
                    move || run(environment, role, seed)
                })
            })
            .map(|run| run.join().expect("the run found nothing"))
    });
    for counts in [&superuser.counts, &user.counts, &none.counts] {
        let asked: u64 = counts.values().flat_map(BTreeMap::values).sum();
        assert!(asked >= 1_000, "only {asked} requests: the runs are blind");
    }
    // A run in which everything is refused finds nothing. The first administrator cannot be made twice.
    let succeeded: BTreeSet<&String> = succeeded(&superuser.counts).chain(succeeded(&user.counts)).collect();
    let never: Vec<&String> = superuser
        .operations
        .iter()
        .filter(|name| !succeeded.contains(name) && *name != "adminBootstrap")
        .collect();
    assert!(never.is_empty(), "never done in any run (seed {seed}): {never:?}");
}

fn succeeded(counts: &Counts) -> impl Iterator<Item = &String> {
    let done = |statuses: &BTreeMap<String, u64>| statuses.keys().any(|status| status.starts_with('2'));
    counts.iter().filter(move |(_, statuses)| done(statuses)).map(|(name, _)| name)
}

/// What a run saw.
struct Seen {
    /// Names of all operations of the document.
    operations: Vec<String>,
    counts: Counts,
}

fn run(environment: &Path, role: &str, seed: u64) -> Seen {
    let (sink, folder) = (Sink::start(environment, "plain"), TempDir::new().expect("a folder"));
    let service = start(&sink);
    let known = Known::make(&service);
    let mut seen = Seen { operations: operations(&service), counts: Counts::new() };
    for (phases, examples) in [("examples,coverage,fuzzing", rounds(6, 150)), ("stateful", rounds(25, 500))] {
        let counts = folder.path().join("counts.json");
        let mut command = bound_to_parent(&environment.join("fuzz/bin/st"));
        command.current_dir(folder.path());
        let base = format!("http://{}", service.address());
        command.args(["run", &format!("{base}/openapi.json"), "--url", &base, "--phases", phases]);
        command.args(["--max-examples", &examples.to_string(), "--seed", &seed.to_string()]);
        command.args(["--checks", "all", "--continue-on-failure", "--generation-database", "none"]);
        // A busy machine is no fault of the service.
        command.args(["--suppress-health-check", "all", "--request-timeout", "60"]);
        command.args(["--warnings", "off", "--no-color"]);
        command.env("PYTHONPATH", foreign::scripts()).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("SCHEMATHESIS_HOOKS", "fuzz_hooks").env("FUZZ_ROLE", role).env("FUZZ_BASE", &base);
        command.env("FUZZ_MAILS", sink.folder()).env("FUZZ_COUNTS", &counts).env("FUZZ_KEPT", &known.kept);
        command.env("FUZZ_SERVICE", SERVICE).env("FUZZ_API_KEY", &known.api_key);
        let output = command.output().expect("schemathesis starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let fault = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "as {role}, with --seed {seed}:\n{said}\n{fault}");
        let text = fs::read_to_string(counts).expect("counts");
        let counts: Counts = serde_json::from_str(&text).expect("counts");
        for (name, statuses) in counts {
            let all = seen.counts.entry(name).or_default();
            statuses.into_iter().for_each(|(status, count)| *all.entry(status).or_default() += count);
        }
    }
    seen
}

/// A service with everything on that has routes.
fn start(sink: &Sink) -> Process {
    let mut settings = vec![
        ("DOCS", "on".to_owned()),
        ("ADMIN_API", "on".to_owned()),
        ("PASSWORD_POLICY", "length".to_owned()),
        ("SERVICE_CREDENTIALS", SERVICE.to_owned()),
        ("SIGNING_ALG", "EdDSA".to_owned()),
        ("KEY_ENCRYPTION_KEY", "canary-key-encryption-key-0123456789".to_owned()),
        ("ISSUER", "https://auth.example".to_owned()),
        ("PUBLIC_URL", "https://auth.example".to_owned()),
    ];
    settings.extend(sink.settings("off"));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Process::start(&settings)
}

/// What is there before the first question.
struct Known {
    /// Ids of what a run needs until its end.
    kept: String,
    /// An API key: id and key.
    api_key: String,
}

impl Known {
    fn make(service: &Process) -> Self {
        // So that small numbers name accounts that nobody needs.
        for name in ["one", "two", "three", "reader", "bystander"] {
            service.register(name, PASSWORD);
        }
        let robot = service.register("robot", PASSWORD);
        let arguments =
            ["user", "create", "root", "--email", "root@example.com", "--superuser", "--password-stdin"];
        let created = service.run_command(&arguments, PASSWORD);
        assert!(created.status.success(), "{created:?}");
        let made = service.run_command(&["api-key", "create", "robot", "--name", "tests", "--json"], "");
        assert!(made.status.success(), "{made:?}");
        let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
        let (id, key) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a key"));
        let bearer = format!("Bearer {}", service.login("root", PASSWORD).access);
        let answer = service.client().send("GET", "/me/", &[("authorization", &bearer)], b"");
        let root = &answer.expect("an answer").json()["id"];
        Self { kept: format!("{root} {robot} {id}"), api_key: format!("{id}:{key}") }
    }
}

fn operations(service: &Process) -> Vec<String> {
    let document = service.client().get("/openapi.json").json();
    let paths = document["paths"].as_object().expect("paths").values();
    let all = paths.flat_map(|path| path.as_object().expect("operations").values());
    all.map(|operation| operation["operationId"].as_str().expect("a name").to_owned()).collect()
}
