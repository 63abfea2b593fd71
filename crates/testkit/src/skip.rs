//! Tests that cannot run on this machine say so by name.

use std::io::Write;

/// Names a test that did not run and why: on standard error, and in the file that `./test` prints at its end
/// (`BOOKSTORE_AUTH_SKIPPED`).
pub fn skipped(test: &str, reason: &str) {
    eprintln!("skipped: {test}: {reason}");
    let Some(path) = std::env::var_os("BOOKSTORE_AUTH_SKIPPED") else { return };
    if let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path) {
        // A lost note only makes the closing summary shorter.
        let _ = file.write_all(format!("{test}: {reason}\n").as_bytes());
    }
}

/// Whether the full fault counts were asked for (`./test --full`).
pub fn full() -> bool {
    std::env::var_os("BOOKSTORE_AUTH_FULL").is_some_and(|value| value == "1")
}

/// The count of rounds for a fault test: `short` by default, `full` with `./test --full`.
pub fn rounds(short: usize, full_count: usize) -> usize {
    if full() { full_count } else { short }
}
