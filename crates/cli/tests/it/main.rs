//! The binary as an operator meets it: what it says, its exit codes, what it leaves on the disk.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod admin;
mod audit;
mod backup;
mod breached;
mod configuration;
mod copy;
mod export;
mod import;
mod place;
mod running;
mod user;
