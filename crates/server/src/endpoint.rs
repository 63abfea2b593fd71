//! What the four routes of the API document have in common, in the order in which Django REST framework does it:
//! negotiation (406), the Authorization header where it counts (401), the method (405, or the description of the route
//! for OPTIONS), the body (413, 415, 400), and then the route's own work.

use std::ops::Deref;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, AUTHORIZATION};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde::Serialize;
use service::{App, Caller};

use crate::answer::Answer;
use crate::call::{self, Call};
use crate::edge::Context;
use crate::error::Error;
use crate::extract::body::{Incoming, Oversize};
use crate::negotiate;
use crate::settings::ServerSettings;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Api(Arc<Shared>);

/// The inside of an [`Api`].
pub(crate) struct Shared {
    pub(crate) app: App,
    pub(crate) settings: ServerSettings,
}

impl Api {
    pub(crate) fn new(app: App, settings: ServerSettings) -> Self {
        Self(Arc::new(Shared { app, settings }))
    }
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// How a route presents itself.
pub(crate) struct About {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// Whether a bad Authorization header spoils the request. The other routes ignore it.
    pub(crate) reads_bearer: bool,
    /// What becomes of a body that is too large.
    pub(crate) oversize: Oversize,
}

/// What a request to a route of the API document comes to.
pub(crate) enum Admitted {
    /// A POST that is ready for its use case.
    Call(Call),
    /// The answer, without any use case.
    Answered(Response),
}

impl Admitted {
    /// The response, once the use case has been asked.
    pub(crate) fn respond(call: Call, result: Result<Answer, Error>) -> Response {
        with_allow(call.respond(result))
    }
}

/// Looks at everything about a request but its use case.
pub(crate) async fn admit<B: Incoming>(
    api: &Api,
    about: &About,
    context: Context,
    request: Request<B>,
) -> Admitted {
    match admitted(api, about, context, request).await {
        Ok(Some(call)) => Admitted::Call(call),
        Ok(None) => Admitted::Answered(with_allow(describe(about).into_response())),
        Err(error) => Admitted::Answered(with_allow(error.into_response())),
    }
}

fn with_allow(mut response: Response) -> Response {
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    response
}

/// The call that a POST makes; an OPTIONS makes none and is answered by a description.
async fn admitted<B: Incoming>(
    api: &Api,
    about: &About,
    context: Context,
    request: Request<B>,
) -> Result<Option<Call>, Error> {
    let (parts, body) = request.into_parts();
    negotiate::accept(&parts.headers, parts.uri.query())?;
    let caller = call::caller(&api.app, context, &parts);
    if about.reads_bearer && parts.headers.contains_key(AUTHORIZATION) {
        Box::pin(check_bearer(&api.app, &caller, &parts.headers)).await?;
    }
    if parts.method == Method::OPTIONS {
        return Ok(None);
    }
    if parts.method != Method::POST {
        return Err(Error::MethodNotAllowed(parts.method.to_string()));
    }
    Call::read(api, caller, parts.headers, body, about.oversize).await.map(Some)
}

/// SimpleJWT's reading of the header: the scheme is `Bearer`, spelt so; other schemes are somebody else's business.
async fn check_bearer(app: &App, caller: &Caller, headers: &HeaderMap) -> Result<(), Error> {
    let values: Vec<&[u8]> = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
    let header = values.join(&b","[..]);
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0xb;
    let mut words = header.split(is_space).filter(|word| !word.is_empty());
    if words.next() != Some(b"Bearer") {
        return Ok(());
    }
    let (Some(token), None) = (words.next(), words.next()) else { return Err(Error::BadAuthorizationHeader) };
    service::verify::bearer(app, caller, &String::from_utf8_lossy(token)).await?;
    Ok(())
}

#[derive(Serialize)]
struct Description {
    name: &'static str,
    description: &'static str,
    renders: [&'static str; 1],
    parses: [&'static str; 3],
}

fn describe(about: &About) -> Answer {
    let description = Description {
        name: about.name,
        description: about.description,
        renders: ["application/json"],
        parses: ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
    };
    Answer::json(StatusCode::OK, &description)
}
