//! Standard output. A reader that closes it early (`| head`) is no failure; `println!` would panic.

use std::io::{self, Write};

/// Writes a text to standard output.
///
/// # Errors
/// Those of writing.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
