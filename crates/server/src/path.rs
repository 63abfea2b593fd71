//! One spelling for every path (IN-07): `/%76erify/` is `/verify/`, as it was for the replaced service.

use http::Uri;
use http::uri::PathAndQuery;

use crate::extract::percent;

/// Undoes percent-encoding where that gives a plain path. Whatever does not is left as it is and finds no route; in
/// particular nothing is decoded twice, and `..` is a name like any other.
pub(crate) fn normalise(uri: &mut Uri) {
    if !uri.path().contains('%') {
        return;
    }
    let decoded = percent::decode(uri.path().as_bytes());
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'.');
    if !decoded.iter().all(plain) {
        return;
    }
    let Ok(mut text) = String::from_utf8(decoded) else { return };
    if let Some(query) = uri.query() {
        text.push('?');
        text.push_str(query);
    }
    let Ok(path) = text.parse::<PathAndQuery>() else { return };
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(path);
    if let Ok(changed) = Uri::from_parts(parts) {
        *uri = changed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(uri: &str) -> String {
        let mut uri: Uri = uri.parse().expect("a URI");
        normalise(&mut uri);
        uri.to_string()
    }

    // IN-07
    #[test]
    fn escapes_are_undone_once_and_only_to_plain_paths() {
        for (given, expected) in [
            ("/verify/", "/verify/"),
            ("/%76erify%2F?a=%2F", "/verify/?a=%2F"),
            ("/%2e%2e/verify/", "/../verify/"),
            ("/%2576erify/", "/%2576erify/"),
            ("/verify/%00", "/verify/%00"),
            ("/verify%3Fx/", "/verify%3Fx/"),
            ("/v%C3%A9rify/", "/v%C3%A9rify/"),
            ("/verify/%", "/verify/%"),
            ("http://a.example/%76erify/", "http://a.example/verify/"),
        ] {
            assert_eq!(normal(given), expected, "{given}");
        }
    }
}
