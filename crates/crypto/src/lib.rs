//! Password hashing, signed tokens and keyed digests. This crate knows no users, no database and no HTTP.
//!
//! # Layout
//! | module | what |
//! |---|---|
//! | [`breached`] | lists of breached passwords: made, and asked |
//! | [`jws`] | compact JWS: the token check of the product, strict and allocation-poor |
//! | [`password`] | stored hash formats (ours and Django's): reading, checking, making, deciding on upgrades |
//! | [`hasher`] | the worker threads that do the work of `password`, with a bounded queue |
//! | [`keyed`] | digests under a key derived from the secret, plain SHA-256, constant-time comparison |
//! | [`random`] | the one source of randomness |
//! | [`secret`] | bytes that are not printed and are wiped |
//! | [`seal`] | private keys as they lie in a database |
//!
//! # How to add a stored hash format
//! 1. A variant of `password::scheme::Scheme` with its costs, its text form and its ceiling.
//! 2. How to read it: `password::stored`. How to compute it: `password::derive`.
//! 3. Vectors made by the real foreign program in `tests/stored_hashes.rs`.
//!
//! # How to add a signature algorithm
//! A variant of [`jws::Algorithm`] and of the pair in `jws/key.rs`, with signing; how others check in `jws/public.rs`; a known
//! answer in `self_test`. One key has one algorithm.
#![warn(missing_docs)]

pub mod breached;
pub mod hasher;
pub mod jws;
pub mod keyed;
pub mod password;
pub mod random;
pub mod seal;
pub mod secret;
mod self_test;

pub use self_test::{SelfTestFailed, self_test};
