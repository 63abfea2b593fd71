//! The binary as an operator meets it: what it says, its exit codes, what it leaves on the disk.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod audit;
mod backup;
mod configuration;
mod copy;
mod import;
mod place;
mod running;
mod user;
