//! What PostgreSQL's errors mean for us.
//!
//! A server's message names columns and tables; its detail quotes rows. Only the message goes on, so that no password
//! hash ever reaches a log.

use std::error::Error as _;
use std::sync::Arc;

use tokio_postgres::error::SqlState;

use crate::error::chain;
use crate::{Cause, Error};

/// What is told when something between us and the server gives one server process to many clients.
pub(super) const POOLER: &str = "connections share processes of the database server: a connection pooler in transaction \
    or statement mode is in between (PgBouncer's pool_mode), and settings and prepared statements do not survive that; \
    use pool_mode = session, or connect to PostgreSQL itself";

/// What is told when an answer did not come in time.
pub(super) const NO_ANSWER: &str = "the database server does not answer";

/// What the server, or the way to it, said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

fn unavailable(text: String) -> Error {
    Error::Unavailable(Arc::new(Said(text)))
}

/// The meaning of an error.
pub(super) fn of(error: &tokio_postgres::Error) -> Error {
    if let Some(db) = error.as_db_error() {
        return of_code(db.code(), db.message());
    }
    let is_io = error.source().is_some_and(|source| source.is::<std::io::Error>());
    if error.is_closed() || is_io {
        return unavailable(chain(error));
    }
    // What is left are values that do not fit their parameters or columns, and answers that nobody understands.
    Error::Statement(chain(error).into())
}

/// The meaning of an error while connecting: whatever it is, there is no database for now.
pub(super) fn of_connecting(error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(db) => unavailable(format!("{} ({})", db.message(), db.code().code())),
        None => unavailable(chain(error)),
    }
}

/// The meaning of a code (appendix A of PostgreSQL's manual) with its message.
fn of_code(code: &SqlState, message: &str) -> Error {
    let text = format!("{message} ({})", code.code());
    match code.code() {
        "23505" => Error::Conflict,
        // A prepared statement that is there already, or not: it was another client's.
        "42P05" | "26000" => Error::Refused(POOLER.into()),
        "40001" | "40P01" => Error::Contention,
        // A lock or a statement took longer than our limits.
        "55P03" | "57014" => Error::Busy,
        // 25006: the server has become a standby. 25P03: we held a transaction open without using it.
        "25006" | "25P03" => unavailable(text),
        "XX001" | "XX002" => Error::Corrupt(text.into()),
        // Connections, resources (memory, disk, connections), shutdown and start, and the system below.
        other if ["08", "53", "57", "58"].iter().any(|class| other.starts_with(class)) => unavailable(text),
        other if other.starts_with("23") => Error::Constraint(Arc::new(Said(text))),
        _ => Error::Statement(text.into()),
    }
}

/// Whether the server said nothing for as long as we wait.
pub(super) fn is_silence(cause: &Cause) -> bool {
    cause.to_string() == NO_ANSWER
}

/// Whether a change was refused because the transaction, or all of the server, may only read.
pub(super) fn is_read_only(cause: &Cause) -> bool {
    cause.to_string().ends_with("(25006)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_what_callers_act_on() {
        let of = |code: &str| of_code(&SqlState::from_code(code), "a message");
        assert!(matches!(of("23505"), Error::Conflict));
        for code in ["23502", "23503", "23514"] {
            assert!(matches!(of(code), Error::Constraint(_)), "{code}");
        }
        for code in ["40001", "40P01"] {
            assert!(matches!(of(code), Error::Contention) && of(code).is_transient(), "{code}");
        }
        for code in ["55P03", "57014"] {
            assert!(matches!(of(code), Error::Busy), "{code}");
        }
        // DB-06: what happens to a server is a reason to answer 503, not 500.
        for code in ["08006", "53100", "53300", "57P01", "57P02", "57P03", "58030", "25006", "25P03"] {
            assert!(matches!(of(code), Error::Unavailable(_)) && of(code).is_transient(), "{code}");
        }
        assert!(matches!(of("XX001"), Error::Corrupt(_)));
        for code in ["42P05", "26000"] {
            assert!(matches!(of(code), Error::Refused(text) if text.contains("PgBouncer")), "{code}");
        }
        for code in ["42601", "42P01", "42501", "22021"] {
            assert!(matches!(of(code), Error::Statement(_)), "{code}");
        }
    }
}
