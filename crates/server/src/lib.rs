//! HTTP in and out: routes, extraction of requests, shapes of answers, and the loop that serves connections.
//!
//! | module | subject |
//! |---|---|
//! | `routes` | every path, on one page |
//! | `api` | the handlers, one file each: extract, one use case, shape the answer |
//! | `call` | a request that is ready for its use case, and who asks |
//! | `endpoint` | what the routes of the API document have in common |
//! | `extract`, `negotiate` | request bodies and the Accept header, as Django REST framework reads them |
//! | `client_auth`, `forwarded` | which service asks; what a proxy tells of a request |
//! | `error`, `answer` | the only mapping from failures to answers |
//! | `edge` | before and after every handler: limits, names, CORS, headers, metrics, log, panics |
//! | `client`, `host`, `path`, `cors`, `headers`, `request_id` | the parts of the edge |
//! | `serve` | connections: accepting, time limits, caps, draining |
//! | `metrics`, `openapi` | for those who run it |
//!
//! To add an endpoint: the use case in `service`; a file in `api` with the handler, its types and `#[utoipa::path]`; a
//! line in `routes` and in `openapi` (a test compares the two).
#![warn(missing_docs)]

mod answer;
mod api;
mod call;
mod client;
mod client_auth;
mod cors;
mod edge;
mod endpoint;
mod error;
mod extract;
mod forwarded;
mod headers;
mod host;
mod metrics;
mod negotiate;
mod openapi;
mod path;
mod request_id;
mod routes;
mod serve;
mod settings;

pub use edge::Edge;
pub use metrics::metrics_router;
pub use openapi::document as openapi;
pub use routes::{admin_router, router};
pub use serve::serve;
pub use settings::{Cors, Limits, ServerSettings};
