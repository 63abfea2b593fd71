//! The verifier against a small service on the loopback, with a clock that the tests move.

mod fetching;
mod http;
mod kinds;
mod oracle;
mod service;
mod signer;
mod status;
mod strict;
