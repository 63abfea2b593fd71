//! What the tests share. Development only: nothing of it is in the binary.
//!
//! * [`app`]: the service in this process: a temporary database, a clock to move, the real router without a socket;
//! * [`process`]: the real binary on loopback: started, killed, ended, started again on the same data;
//! * [`http`]: the blocking client that talks to it;
//! * [`wait`]: waiting for conditions; [`skip`]: naming tests that cannot run here.
//!
//! Helpers panic: what fails in a helper is a failed test.
//!
//! A new helper belongs here once two crates need it; before that it lives beside its test.

#![expect(clippy::missing_panics_doc, reason = "helpers panic, as the crate's documentation says")]

pub mod app;
pub mod http;
pub mod process;
pub mod skip;
pub mod wait;
