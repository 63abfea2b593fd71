//! Tests that load the machine take turns, over all test processes; the light ones run beside each other.

use std::fs::File;

/// While this is held no other test of this kind runs.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "the lock goes when the file is closed")] File);

/// Waits until no other test runs: for tests that measure, or load every core.
pub(crate) fn alone() -> Turn {
    let file = lock_file();
    file.lock().expect("a lock");
    Turn(file)
}

/// Waits until no test runs that needs the machine for itself.
pub(crate) fn beside_others() -> Turn {
    let file = lock_file();
    file.lock_shared().expect("a lock");
    Turn(file)
}

fn lock_file() -> File {
    let executable = std::env::current_exe().expect("this test has a path");
    File::create(executable.with_extension("turn")).expect("a lock file")
}
