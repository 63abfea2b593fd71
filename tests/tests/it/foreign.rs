//! The foreign libraries: Python and Node programs of `tests/foreign`, installed by `./test`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::process::SECRET_KEY;
use testkit::skip::skipped;

/// The folder with the installed libraries, or `None` with a named skip. Under `./test` it is always there.
pub(crate) fn environment(test: &str) -> Option<PathBuf> {
    let folder = match std::env::var_os("BOOKSTORE_AUTH_TEST_ENV") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let executable = std::env::current_exe().expect("this test has a path");
            executable.ancestors().nth(3).expect("target/PROFILE/deps/TEST").join("test-env")
        }
    };
    if !folder.join("stamp").is_file() {
        skipped(test, "the foreign libraries are not installed; ./test installs them");
        return None;
    }
    Some(folder)
}

/// Where the programs stand.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign")
}

/// The Python of that environment.
pub(crate) fn python(environment: &Path) -> Command {
    let mut command = Command::new(environment.join("venv/bin/python"));
    command.arg("-B"); // leaves no compiled files in the source tree
    command
}

/// Runs a program with `request` on its standard input and reads its answer as JSON.
pub(crate) fn ask(mut command: Command, request: &Value) -> Value {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("piped").write_all(request.to_string().as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it answers JSON")
}

/// Tokens as the replaced Django service and forgers make them; the orders are described in `mint.py`.
pub(crate) fn mint(environment: &Path, orders: &[Value]) -> Vec<String> {
    let mut command = python(environment);
    command.arg(scripts().join("mint.py"));
    let answer = ask(command, &json!({"secret": SECRET_KEY, "orders": orders}));
    serde_json::from_value(answer).expect("a list of tokens")
}

/// What every foreign verifier says of each token: `(name of the verifier, {"ok", "claims" or "error"})`.
pub(crate) fn verdicts(environment: &Path, secret: &str, tokens: &[&str]) -> Vec<Vec<(String, Value)>> {
    let request = json!({"secret": secret, "tokens": tokens});
    let mut all: Vec<Vec<(String, Value)>> = vec![Vec::new(); tokens.len()];
    for version in ["pyjwt-catalog", "pyjwt-latest"] {
        let mut command = python(environment);
        command.arg(scripts().join("verify.py")).env("PYTHONPATH", environment.join(version));
        let answer = ask(command, &request);
        for (verdicts, said) in all.iter_mut().zip(answer.as_array().expect("a list")) {
            verdicts.push((format!("PyJWT {}", said["version"].as_str().expect("a version")), said.clone()));
        }
    }
    let mut command = Command::new("node");
    command.arg(environment.join("node/verify.mjs"));
    let answer = ask(command, &request);
    for (verdicts, said) in all.iter_mut().zip(answer.as_array().expect("a list")) {
        for name in ["jsonwebtoken", "jose"] {
            verdicts.push((name.to_owned(), said[name].clone()));
        }
    }
    all
}
