//! The store as its callers see it, on real files.
//!
//! Tests that need another process run this binary again: `child::command` starts one test of it, which is marked
//! `ignore` and does nothing when it was not started so.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backup;
mod cancellation;
mod child;
mod copy;
mod crash;
mod disk;
mod files;
mod given;
mod grouping;
mod migrations;
mod nouns;
mod processes;
mod transactions;
