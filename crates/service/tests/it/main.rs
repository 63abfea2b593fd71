//! The use cases on a real database, with a clock that is moved by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod account;
mod audit;
mod audit_chain;
mod audit_walk;
mod audit_writers;
mod concurrent;
mod feed;
mod harness;
mod import;
mod keys;
mod keys_life;
mod legacy;
mod login;
mod logout;
mod pooler;
mod refresh;
mod register;
mod session;
mod sharing;
mod status_list;
mod stop;
mod storm;
mod throttle;
mod tokens;
