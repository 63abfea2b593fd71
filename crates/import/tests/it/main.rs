//! Imports from SQLite files made here with the schema that Django's migrations make.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod django;
mod file;
mod source_file;
