//! The use cases: what the service does, free of HTTP.
//!
//! Each use case is a function that reads like a story: `login::login(app, caller, input)`. Only this crate opens
//! transactions. The rules that decide stand in `domain` and know neither database nor clock; the statements stand in
//! `store`; this crate reads, lets the domain decide, writes, commits, and answers.
//!
//! To add a use case: write the rule in `domain`, the statements in `store` under the same noun, and a file here with
//! one public function that takes [`App`], [`Caller`] and its input.
#![warn(missing_docs)]

mod action;
pub mod admin;
pub mod api_key;
mod app;
pub mod audit;
mod caller;
pub mod clock;
pub mod credential;
pub mod cursor;
pub mod email;
mod error;
pub mod export;
pub mod feed;
pub mod forward_auth;
mod grants;
pub mod group;
pub mod health;
pub mod import;
pub mod introspection;
mod keyring;
pub mod login;
pub mod logout;
pub mod mail;
pub mod me;
mod names;
pub mod password;
mod password_policy;
mod reauth;
pub mod recovery;
pub mod refresh;
pub mod register;
mod retry;
pub mod session;
pub mod settings;
pub mod signing_key;
pub mod status_list;
mod stop;
mod throttle;
mod token;
mod unproved;
pub mod user;
pub mod verify;
pub mod worker;

pub use app::{App, Counters, Parts};
pub use caller::Caller;
pub use error::{Error, Kind, Result};
pub use keyring::PublishedKeys;
pub use token::TokenPair;
