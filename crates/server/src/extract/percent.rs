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
}
