//! What a reverse proxy tells of the request that it asks about.

use http::header::{COOKIE, HOST, ORIGIN, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, HeaderValue, Method};

/// There are several values where there must be one, or the value cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous;

/// The value of a cookie (RFC 6265 section 5.4), if there is one of that name.
///
/// # Errors
/// When there are several, or the header cannot be read: nobody can tell which one the application would take.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Result<Option<String>, Ambiguous> {
    let mut found = None;
    for header in headers.get_all(COOKIE) {
        let text = header.to_str().map_err(|_| Ambiguous)?;
        for pair in text.split(';') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if key.trim() == name && found.replace(value.trim().trim_matches('"').to_owned()).is_some() {
                return Err(Ambiguous);
            }
        }
    }
    Ok(found)
}

/// The method of the request that the proxy asks about, if that is known: some proxies say it in a header, some
/// ask with the same method and path, and one that asks with GET whatever the method was and says nothing tells nothing.
pub(crate) fn method(own: &Method, headers: &HeaderMap, path: &str) -> Option<Method> {
    let mut named =
        ["x-forwarded-method", "x-original-method"].iter().flat_map(|name| headers.get_all(*name)).peekable();
    if named.peek().is_none() {
        let same_path = path.split_once("/forward-auth/").is_some_and(|(_, below)| !below.is_empty());
        return (same_path || *own != Method::GET).then(|| own.clone());
    }
    let first = named.next()?;
    let agreed = named.all(|other| other == first);
    agreed.then(|| Method::from_bytes(first.as_bytes()).ok()).flatten()
}

/// Whether the request opens a WebSocket (RFC 6455 section 4.1). Proxies keep different parts of that from us.
pub(crate) fn opens_websocket(headers: &HeaderMap) -> bool {
    let mode = headers.get_all("sec-fetch-mode").iter().any(|mode| mode == "websocket");
    mode || headers.contains_key(UPGRADE) || headers.contains_key(SEC_WEBSOCKET_KEY)
}

/// Whether a browser says that a page of the same site made the request (Fetch metadata), or the page's origin is the
/// host that was asked. Without a word from the browser the answer is no.
pub(crate) fn same_site(headers: &HeaderMap) -> bool {
    if let Some(site) = one(headers, "sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"same-site" | b"none");
    }
    if headers.contains_key("sec-fetch-site") {
        return false;
    }
    let host = one(headers, "x-forwarded-host").or_else(|| one(headers, HOST.as_str()));
    let (Some(origin), Some(host)) = (one(headers, ORIGIN.as_str()), host) else { return false };
    let (Ok(origin), Ok(host)) = (origin.to_str(), host.to_str()) else { return false };
    origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

/// The value of a header that occurs once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)))
            .collect()
    }

    fn appended(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    // A41
    #[test]
    fn a_cookie_is_one_or_none() {
        let found = |value| cookie(&headers(&[("cookie", value)]), "access");
        assert_eq!(found("access=a.b.c"), Ok(Some("a.b.c".to_owned())));
        assert_eq!(found("x=1; access=\"a.b.c\" ; y=2"), Ok(Some("a.b.c".to_owned())));
        assert_eq!(found("accessx=1; xaccess=2; Access=3"), Ok(None));
        assert_eq!(found("access=a; access=a"), Err(Ambiguous));
        assert_eq!(found("access"), Ok(Some(String::new())));
        assert_eq!(
            cookie(&appended(&[("cookie", "access=a"), ("cookie", "access=b")]), "access"),
            Err(Ambiguous)
        );
        let mut unreadable = HeaderMap::new();
        unreadable.insert(COOKIE, HeaderValue::from_bytes(b"access=\xe9").expect("obs-text is allowed"));
        assert_eq!(cookie(&unreadable, "access"), Err(Ambiguous));
    }

    // HB-02
    #[test]
    fn the_method_is_what_the_proxy_says_or_unknown() {
        let said = |pairs: &[_], path| method(&Method::GET, &appended(pairs), path);
        assert_eq!(said(&[], "/forward-auth"), None);
        assert_eq!(said(&[], "/forward-auth/"), None);
        assert_eq!(said(&[], "/forward-auth/shop/1"), Some(Method::GET));
        assert_eq!(said(&[("x-forwarded-method", "POST")], "/forward-auth"), Some(Method::POST));
        let two = [("x-forwarded-method", "GET"), ("x-original-method", "POST")];
        assert_eq!(said(&two, "/forward-auth"), None);
        assert_eq!(method(&Method::DELETE, &HeaderMap::new(), "/forward-auth"), Some(Method::DELETE));
    }

    // HB-02
    #[test]
    fn the_same_site_is_what_the_browser_says() {
        for (pairs, same) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://shop.example"),
                    ("host", "shop.example"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")], false),
            (&[("origin", "https://shop.example"), ("host", "shop.example")], true),
            (
                &[("origin", "https://shop.example"), ("host", "auth"), ("x-forwarded-host", "shop.example")],
                true,
            ),
            (&[("origin", "https://shop.example.evil"), ("host", "shop.example")], false),
            (&[("origin", "null"), ("host", "null")], false),
            (&[("host", "shop.example")], false),
            (&[], false),
        ] {
            assert_eq!(same_site(&appended(pairs)), same, "{pairs:?}");
        }
    }
}
