//! `multipart/form-data` bodies. The whole body is in memory (it is small); the parts are found as Django finds them,
//! peculiarities included: what stands before the first boundary is a part like the others.

use std::borrow::Cow;

use super::header_value::HeaderValueParts;
use super::value::Value;

/// A part's headers must end within so many bytes.
const MAX_HEADER: usize = 1024;
/// RFC 2046 section 5.1.1 says 70; Django takes 200 and one.
const MAX_BOUNDARY: usize = 201;

/// The fields `names`; of a repeated field the last value counts. A file counts as a value that is no text.
///
/// # Errors
/// Django's words about what is wrong with the body.
pub(crate) fn read<'a, const N: usize>(
    body: &[u8],
    content_type: &str,
    names: [&str; N],
) -> Result<[Value<'a>; N], String> {
    let separator = [b"--", boundary(content_type)?.as_bytes()].concat();
    let mut fields = [const { Value::Missing }; N];
    let mut files = [false; N];
    // Django counts a file only when another part follows it: a file without an end is not complete.
    let mut unfinished = None;
    let mut rest = Some(body);
    while let Some(stream) = rest.filter(|stream| !stream.is_empty()) {
        if let Some(n) = Option::take(&mut unfinished) {
            files[n] = true;
        }
        let (part, tail) = split_at_boundary(stream, &separator);
        rest = tail;
        let Some(part) = Part::parse(part)? else { continue };
        let Some(n) = names.iter().position(|wanted| *wanted == part.name) else { continue };
        if part.is_file {
            unfinished = Some(n);
        } else {
            fields[n] = Cow::<str>::Owned(String::from_utf8_lossy(&part.content).into_owned()).into();
        }
    }
    for (n, _) in files.iter().enumerate().filter(|(_, is_file)| **is_file) {
        fields[n] = Value::NotText;
    }
    Ok(fields)
}

fn boundary(content_type: &str) -> Result<String, String> {
    if !content_type.starts_with("multipart/") {
        return Err(format!("Invalid Content-Type: {content_type}"));
    }
    if !content_type.is_ascii() {
        return Err(format!("Invalid non-ASCII Content-Type in multipart: {content_type}"));
    }
    let parts = HeaderValueParts::parse(content_type);
    let boundary = parts.parameter("boundary").unwrap_or("None");
    let printable = boundary.bytes().all(|b| (b' '..=b'~').contains(&b)) && !boundary.ends_with(' ');
    if parts.parameter("boundary").is_none_or(str::is_empty) || !printable || boundary.len() > MAX_BOUNDARY {
        return Err(format!("Invalid boundary in multipart: {boundary}"));
    }
    Ok(boundary.to_owned())
}

/// What stands before the next boundary, without the line end that belongs to it, and what stands behind.
fn split_at_boundary<'b>(stream: &'b [u8], separator: &[u8]) -> (&'b [u8], Option<&'b [u8]>) {
    let Some(at) = find(stream, separator) else { return (stream, None) };
    let mut part = &stream[..at];
    part = part.strip_suffix(b"\n").unwrap_or(part);
    part = part.strip_suffix(b"\r").unwrap_or(part);
    (part, Some(&stream[at + separator.len()..]))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

struct Part<'b> {
    name: String,
    is_file: bool,
    content: Cow<'b, [u8]>,
}

impl<'b> Part<'b> {
    /// A part that names a field; others are of no interest.
    fn parse(part: &'b [u8]) -> Result<Option<Self>, String> {
        let Some(end) = find(&part[..part.len().min(MAX_HEADER)], b"\r\n\r\n") else {
            if part.len() < MAX_HEADER {
                return Ok(None);
            }
            return Err("Request max total header size exceeded.".to_owned());
        };
        let mut field = None;
        let mut is_base64 = false;
        let mut headers = &part[..end];
        while !headers.is_empty() {
            let line_end = find(headers, b"\r\n").unwrap_or(headers.len());
            let line = std::str::from_utf8(&headers[..line_end]).unwrap_or_default();
            headers = headers.get(line_end + 2..).unwrap_or_default();
            let parts = HeaderValueParts::parse(line);
            match parts.main.split_once(':') {
                Some(("content-disposition", _)) => {
                    let is_file = parts.parameter("filename").is_some_and(|name| !name.is_empty());
                    field = parts.parameter("name").map(|name| (name.trim().to_owned(), is_file));
                }
                Some(("content-transfer-encoding", value)) => is_base64 = value.trim() == "base64",
                _ => {}
            }
        }
        let content = &part[end + 4..];
        let decoded = if is_base64 { decode_base64(content) } else { None };
        Ok(field.map(|(name, is_file)| Self {
            name,
            is_file,
            content: decoded.map_or(Cow::Borrowed(content), Cow::Owned),
        }))
    }
}

/// Base64 as Python's `b64decode` takes it: foreign characters are skipped. `None` when its end is missing.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' if count >= 2 => return Some(bytes),
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count = (count + 1) % 4;
        if count != 1 {
            // Two letters give a byte, and each of the next two another one.
            let shift = 2 * (4 - if count == 0 { 4 } else { count });
            bytes.push((bits >> shift & 0xff) as u8);
        }
    }
    (count == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=BB";

    fn token(body: &str, content_type: &str) -> Result<Option<String>, String> {
        read(body.as_bytes(), content_type, ["token"]).map(|[value]| match value {
            Value::Text(text) => Some(text.text.into_owned()),
            Value::Missing => None,
            other => Some(format!("{other:?}")),
        })
    }

    fn part(headers: &str, content: &str) -> String {
        format!("--BB\r\nContent-Disposition: form-data; name=\"token\"{headers}\r\n\r\n{content}\r\n")
    }

    #[test]
    fn reads_fields() {
        let body = part("", "x\r\ny") + "--BB--\r\n";
        assert_eq!(token(&body, TYPE), Ok(Some("x\r\ny".to_owned())));
        let body = part("", "x") + &part("", "") + "--BB--";
        assert_eq!(token(&body, "multipart/form-data; boundary=\"BB\"; x=y"), Ok(Some(String::new())));
        assert_eq!(token("--BB--\r\n", TYPE), Ok(None));
    }

    #[test]
    fn peculiar_bodies_are_read_as_django_reads_them() {
        // Without its boundary the body is one part, whose first header line is none.
        let body = part("", "x") + "--BB--\r\n";
        assert_eq!(token(&body, "multipart/form-data; boundary=ZZ"), Ok(Some("x\r\n--BB--\r\n".to_owned())));
        assert_eq!(token("--BB\r\nContent-Disposition: form-data; na", TYPE), Ok(None));
        assert_eq!(token(&body.replace("\r\n", "\n"), TYPE), Ok(None));
    }

    #[test]
    fn boundaries_must_be_sound() {
        let invalid = |boundary: &str| Err(format!("Invalid boundary in multipart: {boundary}"));
        assert_eq!(token("x", "multipart/form-data"), invalid("None"));
        assert_eq!(token("x", "multipart/form-data; boundary="), invalid(""));
        assert_eq!(
            token("x", &format!("multipart/form-data; boundary={}", "b".repeat(202))),
            invalid(&"b".repeat(202))
        );
        assert_eq!(
            token("x", "multipart/form-data; boundary=BéB"),
            Err("Invalid non-ASCII Content-Type in multipart: multipart/form-data; boundary=BéB".to_owned())
        );
        assert_eq!(token(&"x".repeat(1024), TYPE), Err("Request max total header size exceeded.".to_owned()));
    }

    #[test]
    fn files_are_no_texts_and_count_when_complete() {
        let file = part("; filename=\"a.txt\"", "x");
        assert_eq!(token(&(file.clone() + "--BB--\r\n"), TYPE), Ok(Some("NotText".to_owned())));
        assert_eq!(token(&file, TYPE), Ok(None));
        assert_eq!(token(&(part("; filename=\"\"", "x") + "--BB--"), TYPE), Ok(Some("x".to_owned())));
    }

    #[test]
    fn base64_is_undone() {
        let encoded = |content| part("\r\nContent-Transfer-Encoding: base64", content) + "--BB--";
        assert_eq!(token(&encoded("aGVs\r\nbG8="), TYPE), Ok(Some("hello".to_owned())));
        assert_eq!(
            token(&encoded("aGVsbG8"), TYPE),
            Ok(Some("aGVsbG8".to_owned())),
            "left as it is without its end"
        );
        assert_eq!(decode_base64(b"aGVsbG9v"), Some(b"helloo".to_vec()));
        assert_eq!(decode_base64(b"aA=="), Some(b"h".to_vec()));
    }
}
