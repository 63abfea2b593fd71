//! The service through its router: what every answer must have, and what no request may do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod accounts;
mod addresses;
mod admin;
mod answers;
mod bodies;
mod cross_origin;
mod documentation;
mod limits;
mod logs;
mod metrics;
mod paths;
mod register;
mod services;
mod serving;
mod sessions;
mod strange;
mod token;
mod well_known;
