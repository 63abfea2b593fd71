#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod builder;
mod cached;
mod claims;
mod clock;
mod fetch;
mod jose;
mod json;
mod jwks;
mod key;
mod key_set;
mod limits;
mod lists;
mod refusal;
mod seen;
mod status_list;
mod verifier;

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "tower")]
pub mod tower;

pub use builder::{BuildError, Builder};
pub use claims::{Claims, Profile};
pub use clock::Clock;
pub use fetch::{FETCH_TIMEOUT, Fetch, FetchError, FetchFuture, FetchRequest, Fetched};
pub use limits::Limits;
pub use refusal::Refusal;
pub use verifier::{MAX_TOKEN, Verifier};

#[cfg(test)]
mod wycheproof;
