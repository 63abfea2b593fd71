//! What the service knows before it touches the world: pure types and rules.
//!
//! Nothing here reads a clock, draws a random number, speaks SQL or HTTP, or waits: time and randomness are
//! arguments, so a rule is tested by calling it. Everything that decides about security is here.
//!
//! | module | subject |
//! |---|---|
//! | [`time`] | a moment: microseconds since 1970, UTC |
//! | [`audit`] | what is recorded, and the bytes by which it is chained |
//! | [`field`] | faults of input fields, in the shape and words of Django REST framework |
//! | [`action`] | what a link in a mail is for, and how long it lives |
//! | [`mail`] | when a mail is tried again, and when it is given up |
//! | [`user`] | ids, user names and their canonical keys, e-mail addresses |
//! | [`group`] | groups and permissions, and what a user may |
//! | [`password`] | the text that is hashed, and what a new one must satisfy |
//! | [`session`] | a login, and what presenting one of its refresh tokens means |
//! | [`signing_key`] | when a key is published, signs, checks and goes |
//! | [`throttle`] | growing delays after failed logins |
//! | [`token`] | the claims of a token, strictly read |
//!
//! To add a rule: a type that cannot be made wrong (`parse`), or a function of values and `now`; its tests, with
//! the id of the requirement, stand beside it.
#![warn(missing_docs)]

pub mod action;
pub mod admin;
pub mod api_key;
pub mod audit;
pub mod field;
pub mod group;
pub mod mail;
pub mod password;
pub mod session;
pub mod signing_key;
pub mod status;
pub mod throttle;
pub mod time;
pub mod token;
pub mod user;

mod text;
