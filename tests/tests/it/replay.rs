//! The recorded behaviour of the replaced service (tests/contract): every case, twice on the same database.

use std::path::Path;
use std::process::Command;

use testkit::process::{Process, SECRET_KEY};
use testkit::skip::skipped;

use crate::turn;

#[test]
fn recorded_cases_have_no_unexplained_difference() {
    let test = "recorded_cases_have_no_unexplained_difference";
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract/replay.py");
    assert!(program.is_file(), "{} is part of the project", program.display());
    if Command::new("python3").arg("--version").output().is_err() {
        return skipped(test, "there is no python3");
    }
    let _turn = turn::alone();
    // As the replaced service was set up: its lifetimes, any origin, no policy.
    let service = Process::start(&[
        ("PASSWORD_MIN_LENGTH", "1"),
        ("PASSWORD_POLICY", "length"),
        ("ACCESS_TOKEN_LIFETIME", "7d"),
        ("REFRESH_TOKEN_LIFETIME", "1d"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("LOG_LEVEL", "warn"),
    ]);
    for run in ["first", "second"] {
        let output = Command::new("python3")
            .arg("-B")
            .arg(&program)
            .args(["--base-url", &format!("http://{}", service.address())])
            .args(["--prefix", "/auth", "--profile", "intended", "--limit", "10"])
            .env("SECRET_KEY", SECRET_KEY)
            .output()
            .expect("Python runs");
        let said = String::from_utf8_lossy(&output.stdout);
        // The differences come first, the counts of each family last.
        let shown: Vec<&str> =
            said.lines().filter(|line| !line.starts_with("explained by")).take(120).collect();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "the {run} run: {}\n{}\n{complaints}",
            output.status,
            shown.join("\n")
        );
        println!("the {run} run: {}", said.lines().last().unwrap_or_default());
    }
}
