//! Which representation a client takes (RFC 9110 section 12), as Django REST framework decides it.
//!
//! The replaced service had two: JSON, and HTML pages for browsers. Ours answers JSON to both, so that whoever was served
//! before is served now; for other types the answer is 406, as it was.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};

use crate::error::Error;
use crate::extract::{header_value, percent};

/// What we answer to, and the names under which `?format=` knows them.
const RENDERED: [(&str, &str); 2] = [("json", "application/json"), ("api", "text/html")];

const MAX_ACCEPT: usize = 8192;
const MAX_TYPES: usize = 64;
const MAX_TYPE_LENGTH: usize = 256;

/// Whether a client takes what we have.
///
/// # Errors
/// 404 for an unknown `?format=`, 406 when nothing suits.
pub(crate) fn accept(headers: &HeaderMap, query: Option<&str>) -> Result<(), Error> {
    let format = query.and_then(format_parameter);
    if let Some(format) = &format
        && !RENDERED.iter().any(|(name, _)| name == format)
    {
        return Err(Error::NotFound);
    }
    let mut values = headers.get_all(ACCEPT).iter();
    let Some(first) = values.next() else { return Ok(()) };
    if format.is_none() && values.next().is_none() && (first == "*/*" || first == "application/json") {
        return Ok(());
    }
    let accept: Vec<&[u8]> = headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes).collect();
    let accept = String::from_utf8_lossy(&accept.join(&b","[..])).into_owned();
    if suits(&accept, format.as_deref()) { Ok(()) } else { Err(Error::NotAcceptable) }
}

fn suits(accept: &str, format: Option<&str>) -> bool {
    bounded(accept)
        .split(',')
        .map(str::trim)
        .filter(|asked| !asked.is_empty() && asked.len() <= MAX_TYPE_LENGTH)
        .take(MAX_TYPES)
        .any(|asked| {
            RENDERED
                .iter()
                .filter(|(name, _)| format.is_none_or(|format| format == *name))
                .any(|(_, ours)| header_value::serves(ours, asked))
        })
}

/// At most so much of the header as we look at, cut between two types.
fn bounded(accept: &str) -> &str {
    if accept.len() <= MAX_ACCEPT {
        return accept;
    }
    let end = accept.as_bytes()[..MAX_ACCEPT].iter().rposition(|byte| *byte == b',');
    &accept[..end.unwrap_or(0)]
}

/// The last `format` of a query, if it is not blank.
fn format_parameter(query: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let named = pairs.filter(|(name, _)| percent::decode(name.as_bytes()) == b"format");
    let value = named.map(|(_, value)| percent::decode(value.as_bytes())).next_back()?;
    let value = String::from_utf8_lossy(&value).into_owned();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(accept: &[&str], query: Option<&str>) -> u16 {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, HeaderValue::from_str(value).expect("a header value"));
        }
        match super::accept(&headers, query) {
            Ok(()) => 200,
            Err(Error::NotFound) => 404,
            Err(Error::NotAcceptable) => 406,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn whoever_was_served_is_served() {
        for accept in [
            "*/*",
            "application/json",
            "APPLICATION/JSON; indent=4",
            "application/json, text/plain, */*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/*",
            "application/*;q=0",
            "application/xml, */*;q=0.1",
            "text/html",
        ] {
            assert_eq!(answer(&[accept], None), 200, "{accept}");
        }
        assert_eq!(answer(&[], None), 200);
        assert_eq!(answer(&["application/xml", "application/json"], None), 200);
    }

    #[test]
    fn others_get_406() {
        for accept in
            ["application/xml", "image/png", "text/plain", "foo", "*", "", "application/json+x", ",,"]
        {
            assert_eq!(answer(&[accept], None), 406, "{accept}");
        }
        let late = format!("{}application/json", "text/plain,".repeat(64));
        assert_eq!(answer(&[&late], None), 406, "beyond the types we look at");
        let long = format!("text/plain;x={},application/json", "y".repeat(9000));
        assert_eq!(answer(&[&long], None), 406, "beyond the length we look at");
    }

    #[test]
    fn the_format_parameter_overrides() {
        assert_eq!(answer(&[], Some("format=xml")), 404);
        assert_eq!(answer(&[], Some("a=b&format=json")), 200);
        assert_eq!(answer(&["application/xml"], Some("format=json")), 406);
        assert_eq!(answer(&["text/html"], Some("format=json")), 406);
        assert_eq!(answer(&["text/html"], Some("format=api")), 200);
        assert_eq!(answer(&[], Some("format=")), 200);
        assert_eq!(answer(&[], Some("xformat=xml")), 200);
        assert_eq!(answer(&[], Some("%66ormat=x%6dl")), 404);
    }
}
