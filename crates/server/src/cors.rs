//! Cross-origin requests (Fetch standard, HB-03), in the manner of django-cors-headers.
//!
//! Every preflight is answered with 200; whether it permits anything is in the headers. With any origin allowed the
//! answers say `*`, never the origin of the request; with a list they name an origin only when it is listed, exactly.
//! `null` is never listed. Credentials are never allowed.

use std::net::Ipv6Addr;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Method};

use crate::settings::Cors;

/// A policy, ready for use.
#[derive(Clone, Debug)]
pub(crate) enum Policy {
    Any,
    /// Allowed origins, as browsers write them.
    List(Vec<HeaderValue>),
}

impl Policy {
    /// Origins that no browser could send are left out.
    pub(crate) fn new(cors: &Cors) -> Self {
        match cors {
            Cors::AnyOrigin => Self::Any,
            Cors::List(origins) => Self::List(origins.iter().filter_map(|origin| as_sent(origin)).collect()),
        }
    }

    /// Whether an answer to this origin may be read, and what it then says.
    fn allows(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match self {
            Self::Any => is_readable(origin).then(|| HeaderValue::from_static("*")),
            Self::List(origins) => origins.iter().find(|allowed| *allowed == origin).cloned(),
        }
    }

    /// Adds what the answer to a request says about its origin.
    pub(crate) fn apply(&self, method: &Method, origin: &HeaderValue, answer: &mut HeaderMap) {
        let Some(allowed) = self.allows(origin) else { return };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if method == Method::OPTIONS {
            let (headers, methods) = match self {
                Self::Any => ("*", "*"),
                Self::List(_) => {
                    ("accept, authorization, content-type", "GET, POST, PUT, PATCH, DELETE, OPTIONS")
                }
            };
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(headers));
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
            answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        }
    }
}

/// Whether a browser asks if it may send a request.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The origin of a request.
pub(crate) fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(ORIGIN).filter(|origin| !origin.is_empty())
}

/// A configured origin as browsers write it: in lower case, without a slash.
fn as_sent(origin: &str) -> Option<HeaderValue> {
    let origin = origin.trim().trim_end_matches('/').to_ascii_lowercase();
    let sendable = origin.contains("://") && origin != "null" && !origin.contains('*');
    sendable.then(|| HeaderValue::from_str(&origin).ok()).flatten()
}

/// Whether Python's `urlsplit` reads the origin: brackets must hold an IPv6 address.
fn is_readable(origin: &HeaderValue) -> bool {
    let Ok(text) = origin.to_str() else { return true };
    let Some((_, rest)) = text.split_once("//") else { return true };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match (host.split_once('['), host.contains(']')) {
        (None, closed) => !closed,
        (Some((_, inner)), true) => is_ip_literal(inner.split(']').next().unwrap_or_default()),
        (Some(_), false) => false,
    }
}

/// RFC 3986 section 3.2.2: an IPv6 address, perhaps with a zone, or an address of the future.
fn is_ip_literal(text: &str) -> bool {
    let (address, _zone) = text.split_once('%').unwrap_or((text, ""));
    address.starts_with(['v', 'V']) || address.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(policy: &Policy, method: &Method, origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        policy.apply(method, &HeaderValue::from_str(origin).expect("a header value"), &mut headers);
        headers
    }

    fn allowed(policy: &Policy, origin: &str) -> Option<String> {
        let headers = answer(policy, &Method::POST, origin);
        headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().expect("text").to_owned())
    }

    // HB-03
    #[test]
    fn only_listed_origins_are_allowed() {
        let list = [
            "https://shop.example/",
            "HTTP://Localhost:5173",
            "null",
            "*",
            "shop.example",
            "https://*.example",
        ];
        let policy = Policy::new(&Cors::List(list.map(str::to_owned).to_vec()));
        assert_eq!(allowed(&policy, "https://shop.example").as_deref(), Some("https://shop.example"));
        assert_eq!(allowed(&policy, "http://localhost:5173").as_deref(), Some("http://localhost:5173"));
        for origin in [
            "null",
            "*",
            "http://shop.example",
            "https://shop.example.evil.example",
            "https://evil.example",
            "https://a.shop.example",
            "https://shop.example:8443",
            "https://shop.example/",
            "https://Shop.Example",
            "https://evilshop.example",
            "https://x.example",
            "https://shop.example, https://evil.example",
            "shop.example",
        ] {
            assert_eq!(allowed(&policy, origin), None, "{origin}");
        }
    }

    // HB-03
    #[test]
    fn any_origin_is_a_star_never_a_reflection() {
        let policy = Policy::new(&Cors::AnyOrigin);
        for origin in ["https://evil.example", "null", "not a url", "http://[::1]:80"] {
            assert_eq!(allowed(&policy, origin).as_deref(), Some("*"), "{origin}");
        }
        for origin in ["http://[1", "http://1]", "http://[1]"] {
            assert_eq!(allowed(&policy, origin), None, "{origin}");
        }
    }

    #[test]
    fn options_say_what_may_be_sent() {
        let headers = answer(&Policy::Any, &Method::OPTIONS, "https://a.example");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_HEADERS], "*");
        assert_eq!(headers[ACCESS_CONTROL_MAX_AGE], "86400");
        assert!(!headers.contains_key("access-control-allow-credentials"));
        let list = Policy::new(&Cors::List(vec!["https://a.example".to_owned()]));
        let headers = answer(&list, &Method::OPTIONS, "https://a.example");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], "GET, POST, PUT, PATCH, DELETE, OPTIONS");
        assert!(answer(&list, &Method::OPTIONS, "https://b.example").is_empty());
    }
}
