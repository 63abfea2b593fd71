//! Imports from SQLite files made here with the schema that Django's migrations make.

mod django;
mod source_file;
