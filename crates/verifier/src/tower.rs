//! A tower layer that lets only requests with a good access token through.
//!
//! The token comes in the header `Authorization`, once (RFC 6750 section 2.1); never in an address or a form (TK-13).
//! The request then carries [`Claims`] among its extensions. Without a token the answer is 401 with
//! `WWW-Authenticate: Bearer`, with a bad one 401 and `error="invalid_token"` whatever is wrong with it (section 3.1),
//! and 503 with `Retry-After` when keys or status list cannot be had.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::claims::Claims;
use crate::refusal::Refusal;
use crate::verifier::Verifier;

/// The layer. See the [module](self).
#[derive(Debug, Clone)]
pub struct BearerLayer(Verifier);

/// The service that the layer makes.
#[derive(Debug, Clone)]
pub struct Bearer<S> {
    inner: S,
    verifier: Verifier,
}

/// Why a request does not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEntry {
    /// It has no bearer token.
    NoToken,
    /// Its token is not taken, or it has several.
    BadToken,
    /// Nobody can tell at the moment.
    Unavailable,
}

impl BearerLayer {
    /// A layer that checks with this verifier.
    pub fn new(verifier: Verifier) -> Self {
        Self(verifier)
    }
}

impl<S> Layer<S> for BearerLayer {
    type Service = Bearer<S>;

    fn layer(&self, inner: S) -> Bearer<S> {
        Bearer { inner, verifier: self.0.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for Bearer<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The service that was made ready goes into the future; its copy waits to be made ready.
        let copy = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, copy);
        let verifier = self.verifier.clone();
        Box::pin(async move {
            // Whatever came with the request is not ours.
            request.extensions_mut().remove::<Claims>();
            match admit(&verifier, request.headers()).await {
                Ok(claims) => {
                    request.extensions_mut().insert(claims);
                    inner.call(request).await
                }
                Err(reason) => Ok(reason.response()),
            }
        })
    }
}

/// The claims of the bearer token in these headers.
///
/// # Errors
/// Why there are none.
pub async fn admit(verifier: &Verifier, headers: &HeaderMap) -> Result<Claims, NoEntry> {
    let token = bearer(headers)?;
    verifier.check(token).await.map_err(Into::into)
}

/// The one bearer token (RFC 6750 section 2.1); the scheme is written in any case (RFC 9110 section 11.1).
fn bearer(headers: &HeaderMap) -> Result<&str, NoEntry> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(NoEntry::NoToken) };
    if values.next().is_some() {
        return Err(NoEntry::BadToken);
    }
    let value = value.to_str().map_err(|_| NoEntry::BadToken)?;
    let (scheme, token) = value.split_once(' ').ok_or(NoEntry::NoToken)?;
    if scheme.eq_ignore_ascii_case("Bearer") { Ok(token.trim_matches(' ')) } else { Err(NoEntry::NoToken) }
}

impl From<Refusal> for NoEntry {
    fn from(refusal: Refusal) -> Self {
        if refusal.is_unavailable() { Self::Unavailable } else { Self::BadToken }
    }
}

impl NoEntry {
    /// The answer, with an empty body.
    pub fn response<R: Default>(self) -> Response<R> {
        let mut response = Response::new(R::default());
        let (status, name, value) = match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, WWW_AUTHENTICATE, "Bearer"),
            Self::BadToken => (StatusCode::UNAUTHORIZED, WWW_AUTHENTICATE, "Bearer error=\"invalid_token\""),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, RETRY_AFTER, "1"),
        };
        *response.status_mut() = status;
        response.headers_mut().insert(name, HeaderValue::from_static(value));
        response
    }
}
