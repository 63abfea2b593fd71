//! `application/x-www-form-urlencoded` bodies, as Django's `QueryDict` takes them.

use std::borrow::Cow;

use super::percent;
use super::value::Value;

/// Django takes no more fields.
const MAX_FIELDS: usize = 1000;

/// The fields `names`; of a repeated field the last value counts.
///
/// # Errors
/// When there are too many fields.
pub(crate) fn read<'a, const N: usize>(
    body: &[u8],
    names: [&str; N],
) -> Result<[Value<'a>; N], &'static str> {
    // Text that is not UTF-8 is taken as Latin-1, as Django does.
    let text = match std::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(body.iter().map(|byte| char::from(*byte)).collect()),
    };
    if text.bytes().filter(|b| *b == b'&').count() >= MAX_FIELDS {
        return Err("The number of fields exceeded 1000.");
    }
    let mut values = [const { Value::Missing }; N];
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name);
        if let Some(n) = names.iter().position(|wanted| *wanted == name) {
            values[n] = Cow::<str>::Owned(decode(value)).into();
        }
    }
    Ok(values)
}

/// The fields `names`, each at most once (RFC 6749 section 3.2).
///
/// # Errors
/// When one of them is repeated, or there are too many fields.
pub(crate) fn read_once<'a, const N: usize>(
    body: &[u8],
    names: [&str; N],
) -> Result<[Value<'a>; N], &'static str> {
    let values = read(body, names)?;
    let mut seen = [0; N];
    for pair in String::from_utf8_lossy(body).split('&') {
        let name = decode(pair.split_once('=').unwrap_or((pair, "")).0);
        if let Some(n) = names.iter().position(|wanted| *wanted == name) {
            seen[n] += 1;
        }
    }
    if seen.iter().any(|count| *count > 1) {
        return Err("A parameter is repeated.");
    }
    Ok(values)
}

fn decode(text: &str) -> String {
    let bytes = percent::decode(text.replace('+', " ").as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|fault| String::from_utf8_lossy(fault.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(body: &[u8]) -> Option<String> {
        match read(body, ["token"]) {
            Ok([Value::Text(text)]) => Some(text.text.into_owned()),
            Ok([Value::Missing]) => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_fields_as_django_does() {
        for (body, value) in [
            (&b"token=a+b%20c"[..], Some("a b c")),
            (b"token=a&&token=&x=1", Some("")),
            (b"token", Some("")),
            (b"t%6fken=x=y", Some("x=y")),
            (b"token=%zz", Some("%zz")),
            (b"token=%ff", Some("\u{fffd}")),
            (b"token=%ed%a0%80", Some("\u{fffd}\u{fffd}\u{fffd}")),
            (b"token=%C3%A9", Some("é")),
            (b"token=\xe9", Some("é")),
            (b"token=%00", Some("\0")),
            (b"a=1;token=x", None),
            (b"token[]=x", None),
            (b"{\"token\":\"x\"}", None),
            (b"", None),
        ] {
            assert_eq!(token(body).as_deref(), value, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn there_is_an_end_to_fields() {
        assert_eq!(token(&b"a&".repeat(999)), None);
        assert!(read(&b"a&".repeat(1000), ["token"]).is_err());
    }
}
