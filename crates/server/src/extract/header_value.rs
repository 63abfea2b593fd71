//! Header values with parameters, such as `application/json; charset=utf-8`, read as Django reads them.

use std::borrow::Cow;

/// A header value: what stands before the first semicolon in lower case, and the parameters behind it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HeaderValueParts<'a> {
    /// In lower case.
    pub(crate) main: String,
    parameters: Vec<(String, Cow<'a, str>)>,
}

impl<'a> HeaderValueParts<'a> {
    /// Reads a header value. Nothing is an error: what cannot be read is left out.
    pub(crate) fn parse(line: &'a str) -> Self {
        let mut pieces = Pieces { rest: line };
        let main = pieces.next().unwrap_or_default().to_lowercase();
        let parameters = pieces.filter_map(parameter).collect();
        Self { main, parameters }
    }

    /// The value of a parameter; the last one wins.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }
}

fn parameter(piece: &str) -> Option<(String, Cow<'_, str>)> {
    let (name, value) = piece.split_once('=')?;
    let mut name = name.trim().to_lowercase();
    let value = unquote(value.trim());
    if name.ends_with('*') {
        name.pop();
        // RFC 2231 section 4: charset'language'percent-encoded text
        if piece.matches('\'').count() == 2 {
            let encoded = value.rsplit('\'').next().unwrap_or_default();
            let bytes = super::percent::decode(encoded.as_bytes());
            return Some((name, String::from_utf8_lossy(&bytes).into_owned().into()));
        }
    }
    Some((name, value))
}

fn unquote(value: &str) -> Cow<'_, str> {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if inner.contains('\\') => inner.replace("\\\\", "\\").replace("\\\"", "\"").into(),
        Some(inner) => inner.into(),
        None => value.into(),
    }
}

/// The pieces between semicolons; semicolons within quotes do not count.
struct Pieces<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (mut quoted, mut escaped) = (false, false);
        let end = self.rest.bytes().position(|byte| {
            if byte == b'"' && !escaped {
                quoted = !quoted;
            }
            escaped = byte == b'\\';
            byte == b';' && !quoted
        });
        let (piece, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, ""),
        };
        self.rest = rest;
        Some(piece.trim())
    }
}

/// Whether a parser or renderer of the plain type `ours` (`application/json`) serves what a header asks for; the header
/// may hold wildcards and parameters.
pub(crate) fn serves(ours: &str, asked: &str) -> bool {
    let asked_main = asked.split(';').next().unwrap_or_default().trim();
    let (our_type, our_subtype) = ours.split_once('/').unwrap_or((ours, ""));
    let (asked_type, asked_subtype) = asked_main.split_once('/').unwrap_or((asked_main, ""));
    (asked_subtype == "*" || asked_subtype.eq_ignore_ascii_case(our_subtype))
        && (asked_type == "*" || asked_type.eq_ignore_ascii_case(our_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_parameters() {
        let parts =
            HeaderValueParts::parse(r#"Form-Data; NAME="a;b\"c"; x; filename*=utf-8''%C3%A9; y = 1; y=2"#);
        assert_eq!(parts.main, "form-data");
        assert_eq!(parts.parameter("name"), Some("a;b\"c"));
        assert_eq!(parts.parameter("filename"), Some("é"));
        assert_eq!(parts.parameter("y"), Some("2"));
        assert_eq!(parts.parameter("x"), None);
        assert_eq!(HeaderValueParts::parse("").main, "");
    }

    #[test]
    fn wildcards_and_parameters_are_understood() {
        for asked in ["application/json", "APPLICATION/JSON; charset=utf-8", "*/*", "application/*", "*/json"]
        {
            assert!(serves("application/json", asked), "{asked}");
        }
        for asked in ["", "*", "json", "text/json", "application/json-seq", "application/json, text/plain"] {
            assert!(!serves("application/json", asked), "{asked}");
        }
    }
}
