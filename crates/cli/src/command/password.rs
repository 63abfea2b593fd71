//! Passwords come by prompt or by standard input, never by argument (KY-01).

use std::io::{self, IsTerminal, Read};

use anyhow::Context;
use crypto::secret::Secret;

use crate::args::PasswordSource;
use crate::failure::Usage;

/// Longest password that is read, in bytes; the rule of 128 characters comes later, with its message.
const MAX: u64 = 4096;

/// Asks for a new password, twice, or reads it from standard input.
///
/// # Errors
/// When it cannot be read, or the two differ.
pub(super) fn read(source: &PasswordSource) -> anyhow::Result<Secret> {
    let first = read_from(source.password_stdin, "--password-stdin")?;
    if !source.password_stdin && first != prompt("Again: ")? {
        return Err(Usage("the passwords differ; nothing was changed".to_owned()).into());
    }
    Ok(first)
}

/// Asks for a password that there is already, or reads it from standard input.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read_once(from_stdin: bool) -> anyhow::Result<Secret> {
    read_from(from_stdin, "--stdin")
}

fn read_from(stdin: bool, option: &str) -> anyhow::Result<Secret> {
    if stdin {
        return from_reader(io::stdin().lock());
    }
    if !io::stdin().is_terminal() {
        let words = format!("there is no terminal to ask for the password: use {option}");
        return Err(Usage(words).into());
    }
    prompt("Password: ")
}

fn prompt(words: &str) -> anyhow::Result<Secret> {
    Ok(Secret::from(rpassword::prompt_password(words).context("the password cannot be read")?))
}

/// Everything up to the end; one newline there is not part of it.
fn from_reader(input: impl Read) -> anyhow::Result<Secret> {
    let mut bytes = Vec::with_capacity(MAX as usize + 1);
    input.take(MAX + 1).read_to_end(&mut bytes).context("the password cannot be read")?;
    if bytes.len() as u64 > MAX {
        return Err(Usage(format!("the password on standard input is longer than {MAX} bytes")).into());
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(Secret::new(bytes))
}

/// The text of a password.
///
/// # Errors
/// When it is not UTF-8.
pub(super) fn text(password: &Secret) -> anyhow::Result<&str> {
    std::str::from_utf8(password.as_bytes()).map_err(|_| Usage("the password is not UTF-8".to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    // PW-03: nothing but the line's end is taken away.
    #[test]
    fn one_newline_at_the_end_is_not_the_password() {
        for (input, expected) in [("a b ", "a b "), ("x\n", "x"), ("x\r\n", "x"), ("x\n\n", "x\n"), ("", "")]
        {
            assert_eq!(text(&from_reader(input.as_bytes()).unwrap()).unwrap(), expected);
        }
        assert!(from_reader("x".repeat(5000).as_bytes()).unwrap_err().is::<Usage>());
        assert!(text(&Secret::new(vec![0xff])).is_err());
    }
}
