//! The use cases on a real database, with a clock that is moved by hand.

mod account;
mod harness;
mod import;
mod legacy;
mod login;
mod refresh;
mod throttle;
