//! [`Claims`] as an extractor of axum, behind [`BearerLayer`](crate::tower::BearerLayer).
//!
//! ```
//! use axum::{Router, routing::get};
//! use verifier::{Claims, Verifier, tower::BearerLayer};
//!
//! async fn orders(claims: Claims) -> String {
//!     format!("the orders of {}", claims.subject())
//! }
//!
//! # fn main() -> Result<(), verifier::BuildError> {
//! let verifier = Verifier::builder("http://auth.internal/.well-known/jwks.json").build()?;
//! let app: Router = Router::new().route("/orders", get(orders)).layer(BearerLayer::new(verifier));
//! # Ok(())
//! # }
//! ```

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::claims::Claims;
use crate::tower::NoEntry;

impl<S: Sync> FromRequestParts<S> for Claims {
    type Rejection = NoEntry;

    /// The claims that the layer left. On a route without the layer every request is refused.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoEntry> {
        parts.extensions.get::<Claims>().cloned().ok_or(NoEntry::NoToken)
    }
}

impl IntoResponse for NoEntry {
    fn into_response(self) -> Response {
        self.response()
    }
}
