//! The use cases on a real database, with a clock that is moved by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod account;
mod admin;
mod api_key;
mod audit;
mod audit_attack;
mod audit_chain;
mod audit_walk;
mod audit_writers;
mod concurrent;
mod email;
mod feed;
mod group;
mod harness;
mod import;
mod keys;
mod keys_life;
mod legacy;
mod login;
mod logout;
mod mail;
mod mailbox;
mod me;
mod pooler;
mod recovery;
mod refresh;
mod register;
mod roles;
mod session;
mod sharing;
mod status_list;
mod stop;
mod storm;
mod throttle;
mod tokens;
mod unproved;
