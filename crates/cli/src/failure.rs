//! What a person is told when a command fails, and with which exit code.

use std::fmt::Write;
use std::io;
use std::process::ExitCode;

use crate::config::Problems;

/// Wrong usage that the argument parser cannot see, with how to do it right.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Prints what went wrong and answers the exit code: 2 for usage and configuration, 1 for everything else.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS; // the reader of our output has seen enough
    }
    eprintln!("bookstore-auth: {}", explain(error).trim_end());
    ExitCode::from(if error.is::<Problems>() || error.is::<Usage>() { 2 } else { 1 })
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The message with its causes, or field by field.
fn explain(error: &anyhow::Error) -> String {
    if let Some(service::Error { kind: service::Kind::Invalid(fields), .. }) = error.downcast_ref() {
        let mut text = String::new();
        for (field, messages) in fields.iter() {
            for message in messages {
                _ = writeln!(text, "{field}: {message}");
            }
        }
        return text;
    }
    format!("{error:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use domain::field::FieldErrors;

    #[test]
    fn causes_and_fields_are_told() {
        let error = Err::<(), _>(io::Error::other("disk on fire")).context("cannot write").unwrap_err();
        assert_eq!(explain(&error), "cannot write: disk on fire");
        let mut fields = FieldErrors::default();
        fields.push("username", vec!["is taken".into(), "is long".into()]);
        assert_eq!(
            explain(&service::Error::invalid(fields).into()),
            "username: is taken\nusername: is long\n"
        );
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        assert!(is_closed_pipe(&io::Error::from(io::ErrorKind::BrokenPipe).into()));
        assert!(!is_closed_pipe(&io::Error::other("x").into()));
    }
}
