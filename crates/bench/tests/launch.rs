//! Children of the bench end with it, even when it is killed.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Starts `sleep` through the `launch` command and says its process id.
const PARENT: &str = r#""$BENCH" launch $$ sleep 120 & echo $!; wait"#;
/// Succeeds when the process ends within ten seconds (a zombie has ended).
const HAS_ENDED: &str = r#"
for attempt in $(seq 100); do
    grep -q '^State:[[:space:]]*[^ZX]' /proc/$1/status 2>/dev/null || exit 0
    sleep 0.1
done
exit 1"#;

#[test]
fn a_child_ends_when_its_bench_is_killed() {
    let mut parent = Command::new("sh")
        .args(["-c", PARENT])
        .env("BENCH", env!("CARGO_BIN_EXE_bench"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let child = line.trim();
    assert!(wait_for_name(child, "sleep"), "the launched process did not become the program");

    parent.kill().unwrap();
    parent.wait().unwrap();
    let ended = Command::new("sh").args(["-c", HAS_ENDED, "sh", child]).status().unwrap();
    assert!(ended.success(), "process {child} outlived its parent");
}

#[test]
fn a_launch_for_a_bench_that_is_gone_does_nothing() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_bench")).args(["launch", "1", "echo", "started"]).output().unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
}

/// The launch and the change of program take a moment; the name tells when.
fn wait_for_name(pid: &str, name: &str) -> bool {
    let script = r#"for attempt in $(seq 100); do [ "$(cat /proc/$1/comm)" = "$2" ] && exit 0; sleep 0.1; done; exit 1"#;
    Command::new("sh").args(["-c", script, "sh", pid, name]).status().is_ok_and(|status| status.success())
}
