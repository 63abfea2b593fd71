//! The database: one SQL text on every engine.
//!
//! A use case opens a transaction with [`Db::begin`] (to write) or [`Db::read`], calls the functions of a noun with it
//! and commits. What `commit` has acknowledged survives a power cut. Dropping a [`Tx`] takes everything in it back.
//!
//! # Layout
//! * one file a noun: [`api_key`], [`audit`], [`user`], [`group`], [`group_permission`], [`session`], [`change`], [`imported_user`], [`imported_group`], [`login_count`],
//!   [`meta`], [`network_rate`], [`refused_token`], [`role`], [`signing_key`], [`status_list`], [`unknown_name`], [`user_search`]: its statements and the functions
//!   that run them;
//! * [`Db`], [`Tx`]: what callers see of an engine; [`Param`], [`Row`]: what goes in and out; [`Error`];
//! * `sqlite/`: the embedded engine, with grouped commits; `postgres/`: the engine for more than one machine;
//! * [`migrate`]: the schema; [`backup`]: copies of the database, and the way back; [`mod@copy`]: the move to a server.
//!
//! # How to add a statement
//! Write it as a `const` of its noun's file with `$1`, `$2`, ... for values, in SQL that SQLite and PostgreSQL both
//! read, name it in that file's `STATEMENTS` (a test prepares them all), and call it from a function that takes
//! `&mut Tx`.
#![warn(missing_docs)]

pub mod account;
pub mod action_token;
pub mod api_key;
pub mod audit;
pub mod backup;
pub mod change;
pub mod copy;
mod db;
mod error;
pub mod group;
pub mod group_permission;
pub mod imported_group;
pub mod imported_user;
pub mod login_count;
pub mod mail;
pub mod meta;
pub mod migrate;
pub mod network_rate;
mod param;
mod postgres;
pub mod recovery_request;
pub mod refused_token;
pub mod role;
pub mod session;
pub mod signing_key;
mod sqlite;
pub mod status_list;
pub mod unknown_name;
pub mod user;
pub mod user_search;

pub use db::{Announcements, Db, DbStats, Dialect, SqliteOptions, Tx, prepare_all};
pub use error::{Cause, Error, Result};
pub use param::{Param, Row};
pub use postgres::{Foreign, PostgresOptions};
