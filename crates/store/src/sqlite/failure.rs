//! What SQLite's errors mean for us.

use std::sync::Arc;

use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID, SQLITE_CONSTRAINT_UNIQUE};

use crate::Error;

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_error().copied() else {
            return Self::Statement(error.to_string().into());
        };
        match code.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::ConstraintViolation if is_unique(code.extended_code) => Self::Conflict,
            ErrorCode::ConstraintViolation => Self::Constraint(Arc::new(error)),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(error.to_string().into()),
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::OutOfMemory
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OperationInterrupted => Self::Unavailable(Arc::new(error)),
            _ => Self::Statement(error.to_string().into()),
        }
    }
}

fn is_unique(extended: i32) -> bool {
    [SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID].contains(&extended)
}

/// Whether a connection that answered this is not to be used any more: what it holds in memory may differ from the
/// disk, or a handle may have gone bad. A full disk or a refused row does no such harm.
pub(super) fn spoils_connection(error: &rusqlite::Error) -> bool {
    let Some(code) = error.sqlite_error() else { return false };
    matches!(
        code.code,
        ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::ApiMisuse
    )
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn of(code: i32) -> Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into()
    }

    #[test]
    fn codes_become_what_callers_act_on() {
        assert!(matches!(of(ffi::SQLITE_BUSY), Error::Busy));
        assert!(matches!(of(ffi::SQLITE_BUSY_SNAPSHOT), Error::Busy));
        assert!(matches!(of(SQLITE_CONSTRAINT_UNIQUE), Error::Conflict));
        assert!(matches!(of(SQLITE_CONSTRAINT_PRIMARYKEY), Error::Conflict));
        assert!(matches!(of(ffi::SQLITE_CONSTRAINT_FOREIGNKEY), Error::Constraint(_)));
        // CR-04: what a disk does to us is a reason to answer 503, not 500.
        for code in [
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_CANTOPEN,
        ] {
            assert!(matches!(of(code), Error::Unavailable(_)), "{code}");
            assert!(of(code).is_transient());
        }
        assert!(matches!(of(ffi::SQLITE_CORRUPT), Error::Corrupt(_)));
        assert!(matches!(of(ffi::SQLITE_ERROR), Error::Statement(_)));
    }
}
