//! This binary once more, as another process.

use std::path::{Path, PathBuf};
use std::process::Command;

const DATABASE: &str = "STORE_TEST_DATABASE";

/// Runs one ignored test of this binary on a database.
pub(crate) fn command(test: &str, database: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(DATABASE, database);
    command
}

/// The same, started by a shell that does something first.
pub(crate) fn shell(before: &str, test: &str, database: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\"")).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(DATABASE, database);
    command
}

/// In the child: the database it was given; none when somebody runs ignored tests by hand.
pub(crate) fn database() -> Option<PathBuf> {
    std::env::var_os(DATABASE).map(PathBuf::from)
}

/// Runs a child to its end, which must be a good one.
pub(crate) fn succeed(mut command: Command) {
    let output = command.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
