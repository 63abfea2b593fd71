//! A request that is ready for its use case: who asks, and the fields of the body.

use axum::body::Body;
use axum::extract::FromRequest;
use axum::response::{IntoResponse, Response};
use domain::field::FieldErrors;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request};
use service::admin::Administrator;
use service::verify::Identity;
use service::{App, Caller};

use crate::answer::Answer;
use crate::edge::Context;
use crate::endpoint::Api;
use crate::error::Error;
use crate::extract::body::{Incoming, Oversize, Received};
use crate::extract::value::Value;
use crate::extract::{self, body};

/// A request whose body is in.
pub(crate) struct Call {
    pub(crate) caller: Caller,
    headers: HeaderMap,
    query: Option<String>,
    body: Received,
}

impl Call {
    /// Takes the body in. The client decides when it is complete; nothing is judged by the time before.
    pub(crate) async fn read<B: Incoming>(
        api: &Api,
        mut caller: Caller,
        headers: HeaderMap,
        body: B,
        oversize: Oversize,
    ) -> Result<Self, Error> {
        let body = body::read(&headers, body, oversize, api.settings.body_timeout).await?;
        caller.now = api.app.clock.now();
        Ok(Self { caller, headers, query: None, body })
    }

    /// The fields of a body of any type that the replaced service read, in the order of the names.
    pub(crate) fn fields<const N: usize>(&self, names: [&str; N]) -> Result<[Value<'_>; N], Error> {
        extract::fields(&self.headers, self.bytes(), names)
    }

    /// The members of a JSON body that has no others, in the order of the names.
    pub(crate) fn members<const N: usize>(&self, names: [&str; N]) -> Result<[Value<'_>; N], Error> {
        extract::json_only(&self.headers, self.bytes(), names)
    }

    /// The parameters of a form body, each at most once, in the order of the names.
    pub(crate) fn parameters<const N: usize>(&self, names: [&str; N]) -> Result<[Value<'_>; N], Error> {
        extract::parameters(&self.headers, self.bytes(), names)
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
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

    /// The parameters of the query, in the order of the names; others are ignored.
    pub(crate) fn query<const N: usize>(
        &self,
        names: [&'static str; N],
    ) -> Result<[Option<String>; N], Error> {
        extract::query(self.query.as_deref().unwrap_or_default(), names)
    }

    /// The token of the Authorization header (RFC 6750 section 2.1), if there is such a header.
    pub(crate) fn bearer_token(&self) -> Result<Option<String>, Error> {
        bearer_token(&self.headers)
    }

    /// The response to the call.
    pub(crate) fn respond(self, result: Result<Answer, Error>) -> Response {
        match result {
            // The headers of the request are done with; their map has the room that those of the response need.
            Ok(answer) => answer.into_response_in(self.headers),
            Err(error) => error.into_response(),
        }
    }

    fn bytes(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }
}

/// Who asks, as far as the head of a request tells.
pub(crate) fn caller(app: &App, context: Context, parts: &Parts) -> Caller {
    let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    Caller {
        now: app.clock.now(),
        request_id: context.request_id,
        address: context.client,
        user_agent: user_agent.unwrap_or_default().to_owned(),
    }
}

impl FromRequest<Api> for Call {
    type Rejection = Error;

    async fn from_request(request: Request<Body>, api: &Api) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let caller = caller_of(api, &mut parts)?;
        let call = Self::read(api, caller, parts.headers, body, Oversize::Refuse).await?;
        Ok(Self { query: parts.uri.query().map(str::to_owned), ..call })
    }
}

/// A call with a good access token in its Authorization header: a handler that takes it is for users alone.
pub(crate) struct UserCall {
    pub(crate) who: Identity,
    pub(crate) call: Call,
}

impl FromRequest<Api> for UserCall {
    type Rejection = Error;

    async fn from_request(request: Request<Body>, api: &Api) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let caller = caller_of(api, &mut parts)?;
        // Strangers are not even listened to.
        let who = identify(api, &caller, &parts.headers).await?;
        let call = Call::read(api, caller, parts.headers, body, Oversize::Refuse).await?;
        let query = parts.uri.query().map(str::to_owned);
        Ok(Self { who, call: Call { query, ..call } })
    }
}

/// A call of an administrator: a handler that takes it is for them alone. What they may do is asked for by each use case.
pub(crate) struct AdminCall {
    pub(crate) admin: Administrator,
    pub(crate) call: Call,
}

impl FromRequest<Api> for AdminCall {
    type Rejection = Error;

    async fn from_request(request: Request<Body>, api: &Api) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let caller = caller_of(api, &mut parts)?;
        let who = identify(api, &caller, &parts.headers).await?;
        let admin = Administrator::of(&api.app, &caller, who).await.map_err(Error::of_bearer)?;
        let call = Call::read(api, caller, parts.headers, body, Oversize::Refuse).await?;
        let query = parts.uri.query().map(str::to_owned);
        Ok(Self { admin, call: Call { query, ..call } })
    }
}

/// A request whose body does not matter.
pub(crate) struct HeadCall {
    pub(crate) caller: Caller,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

impl HeadCall {
    /// As [`Call::bearer_token`].
    pub(crate) fn bearer_token(&self) -> Result<Option<String>, Error> {
        bearer_token(&self.headers)
    }
}

impl FromRequest<Api> for HeadCall {
    type Rejection = Error;

    async fn from_request(request: Request<Body>, api: &Api) -> Result<Self, Error> {
        let (mut parts, _) = request.into_parts();
        let caller = caller_of(api, &mut parts)?;
        let path = parts.uri.path().to_owned();
        Ok(Self { caller, method: parts.method, path, headers: parts.headers })
    }
}

/// Who the token of the Authorization header speaks for. What is wrong with a bad one is not said (TK-13).
async fn identify(api: &Api, caller: &Caller, headers: &HeaderMap) -> Result<Identity, Error> {
    let token = bearer_token(headers)?.ok_or(Error::NoCredentials)?;
    login_of(api, caller, &token).await
}

/// Who a token speaks for, if it is of a login: one of an API key stands for none.
pub(crate) async fn login_of(api: &Api, caller: &Caller, token: &str) -> Result<Identity, Error> {
    let who = service::verify::bearer(&api.app, caller, token).await.map_err(Error::of_bearer)?;
    if who.by_key { Err(Error::ForLoginsOnly) } else { Ok(who) }
}

fn caller_of(api: &Api, parts: &mut Parts) -> Result<Caller, Error> {
    let context = parts.extensions.remove::<Context>().ok_or(Error::NotFound)?;
    Ok(caller(&api.app, context, parts))
}

/// RFC 6750 section 2.1: one header, the scheme (in any case, RFC 9110 section 11.1), one token.
fn bearer_token(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Error::InvalidToken);
    }
    let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Err(Error::InvalidToken);
    };
    let token = token.trim_matches(' ');
    let one_word = !token.is_empty() && !token.contains([' ', '\t', ',']);
    if !scheme.eq_ignore_ascii_case("bearer") || !one_word {
        return Err(Error::InvalidToken);
    }
    Ok(Some(token.to_owned()))
}

/// The challenge of RFC 6750 section 3.
pub(crate) const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"api\", error=\"invalid_token\"");

#[cfg(test)]
mod tests {
    use super::*;

    fn token(values: &[&str]) -> Option<Option<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).expect("a header value"));
        }
        bearer_token(&headers).ok()
    }

    // TK-13
    #[test]
    fn a_token_comes_in_one_header_and_in_one_word() {
        assert_eq!(token(&[]), Some(None));
        for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(token(&[good]), Some(Some("abc".to_owned())), "{good}");
        }
        for bad in ["", "Bearer", "Bearer ", "Basic abc", "Bearer a b", "Bearer a,b", "abc", "Bearer\tabc"] {
            assert_eq!(token(&[bad]), None, "{bad}");
        }
        assert_eq!(token(&["Bearer abc", "Bearer abc"]), None);
    }
}
