//! Percent-encoding, as Python's `urllib.parse.unquote` undoes it: what is no valid escape stays as it is.

/// The bytes behind the escapes.
pub(crate) fn decode(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    bytes
}

/// Text as its UTF-8 bytes, all but the unreserved characters of RFC 3986 section 2.3 escaped.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_escapes_are_undone() {
        assert_eq!(decode(b"%41%4a%zz%4%"), b"AJ%zz%4%");
        assert_eq!(decode(b"%2541"), b"%41");
        assert_eq!(decode(b""), b"");
    }

    #[test]
    fn all_but_plain_characters_are_escaped() {
        assert_eq!(encode("ann.b-c_d~9"), "ann.b-c_d~9");
        assert_eq!(encode("a@b+c d%é\r\n"), "a%40b%2Bc%20d%25%C3%A9%0D%0A");
        assert_eq!(decode(encode("ж@+ %").as_bytes()), "ж@+ %".as_bytes());
    }
}
