//! What the four routes of the API document have in common, in the order in which Django REST framework does it:
//! negotiation (406), the Authorization header where it counts (401), the method (405, or the description of the route
//! for OPTIONS), the body (413, 415, 400), and then the route's own work.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use domain::field::FieldErrors;
use http::header::{ALLOW, AUTHORIZATION, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;
use service::{App, Caller};

use crate::edge::Context;
use crate::error::Error;
use crate::extract::body::{Oversize, Received};
use crate::extract::value::Value;
use crate::extract::{self, body};
use crate::settings::ServerSettings;
use crate::{answer, negotiate};

/// What handlers share. It is cloned several times for each request, so there is one count to keep, not two.
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

/// A request that is ready for its use case.
pub(crate) struct Call {
    pub(crate) caller: Caller,
    headers: HeaderMap,
    body: Received,
}

impl Call {
    /// The fields of the body, in the order of the names.
    pub(crate) fn fields<const N: usize>(&self, names: [&str; N]) -> Result<[Value<'_>; N], Error> {
        extract::fields(&self.headers, self.body.as_deref().unwrap_or_default(), names)
    }

    /// A field that is to hold a token. A body that was thrown away held none that could be good; the empty text stands
    /// for whatever it was.
    pub(crate) fn token(&self, name: &'static str) -> Result<String, Error> {
        if self.body.is_none() {
            return Ok(String::new());
        }
        let [token] = self.fields([name])?;
        token.char_field().map_err(|messages| FieldErrors::of(name, messages).into())
    }
}

/// Answers a request to a route that takes POST.
pub(crate) async fn post<F, W>(api: Api, about: &About, request: Request, work: F) -> Response
where
    F: FnOnce(Api, Call) -> W,
    W: Future<Output = Result<Response, Error>>,
{
    let mut response = match admit(&api, about, request).await {
        Ok(Some(call)) => work(api, call).await.unwrap_or_else(Error::into_response),
        Ok(None) => describe(about),
        Err(error) => error.into_response(),
    };
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    response
}

/// The call that a POST makes; an OPTIONS makes none and is answered by a description.
async fn admit(api: &Api, about: &About, request: Request) -> Result<Option<Call>, Error> {
    let (mut parts, body) = request.into_parts();
    negotiate::accept(&parts.headers, parts.uri.query())?;
    let mut caller = caller(&api.app, &mut parts);
    if about.reads_bearer && parts.headers.contains_key(AUTHORIZATION) {
        check_bearer(&api.app, &caller, &parts.headers).await?;
    }
    if parts.method == Method::OPTIONS {
        return Ok(None);
    }
    if parts.method != Method::POST {
        return Err(Error::MethodNotAllowed(parts.method.to_string()));
    }
    let body = body::read(&parts.headers, body, about.oversize, api.settings.body_timeout).await?;
    // The client decides when the body is in; nothing is judged by the time before.
    caller.now = api.app.clock.now();
    Ok(Some(Call { caller, headers: parts.headers, body }))
}

/// Who asks. The time is read again when the body is in, and then holds for the whole request.
fn caller(app: &App, parts: &mut Parts) -> Caller {
    let context = parts.extensions.remove::<Context>().unwrap_or_else(Context::unknown);
    let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    Caller {
        now: app.clock.now(),
        request_id: context.request_id,
        address: context.client,
        user_agent: user_agent.unwrap_or_default().to_owned(),
    }
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

fn describe(about: &About) -> Response {
    let description = Description {
        name: about.name,
        description: about.description,
        renders: ["application/json"],
        parses: ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
    };
    answer::json(StatusCode::OK, &description)
}
