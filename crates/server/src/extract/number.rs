//! JSON numbers, and how Python prints them: a client may send a number where a text is wanted.

use std::borrow::Cow;

/// Python reads no longer integers from text (its guard against quadratic time).
const MAX_INT_DIGITS: usize = 4300;

/// A number at the start of a text.
pub(crate) struct Scanned {
    /// Its length in bytes.
    pub(crate) length: usize,
    /// Whether it has a fraction or an exponent.
    pub(crate) is_float: bool,
}

/// Finds the longest number (RFC 8259 section 6) at the start of `text`.
pub(crate) fn scan(text: &str) -> Option<Scanned> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let mut length = match bytes.get(sign)? {
        b'0' => sign + 1,
        b'1'..=b'9' => sign + digits(sign),
        _ => return None,
    };
    let mut is_float = false;
    if bytes.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
        is_float = true;
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = length + 1 + sign;
        if exponent < bytes.len() && digits(exponent) > 0 {
            length = exponent + digits(exponent);
            is_float = true;
        }
    }
    Some(Scanned { length, is_float })
}

/// `str(int(literal))`.
///
/// # Errors
/// Python's words about a literal that is too long.
pub(crate) fn int_text(literal: &str) -> Result<Cow<'_, str>, String> {
    let digits = literal.trim_start_matches('-').len();
    if digits > MAX_INT_DIGITS {
        return Err(format!(
            "Exceeds the limit ({MAX_INT_DIGITS} digits) for integer string conversion: value has {digits} digits"
        ));
    }
    Ok(Cow::Borrowed(if literal == "-0" { "0" } else { literal }))
}

/// `str(float(literal))`: the shortest digits that give the number back, with an exponent below 1e-4 and from 1e16 on.
pub(crate) fn float_text(literal: &str) -> String {
    let Ok(number) = literal.parse::<f64>() else { return literal.to_owned() };
    if !number.is_finite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{number:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_as_much_as_is_a_number() {
        for (text, length, is_float) in [
            ("0", 1, false),
            ("01", 1, false),
            ("-12]", 3, false),
            ("1.", 1, false),
            ("1.5e", 3, true),
            ("1e5,", 3, true),
            ("1E+05", 5, true),
            ("1e+", 1, false),
            ("-0.0", 4, true),
        ] {
            let found = scan(text).expect(text);
            assert_eq!((found.length, found.is_float), (length, is_float), "{text}");
        }
        for text in ["-", "", ".5", "+1", "a"] {
            assert!(scan(text).is_none(), "{text}");
        }
    }

    /// Printed by Python: `print(str(float("...")))`.
    #[test]
    fn floats_print_as_in_python() {
        for (literal, text) in [
            ("1.5", "1.5"),
            ("1.0", "1.0"),
            ("-0.0", "-0.0"),
            ("1e3", "1000.0"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("123456789012345678.0", "1.2345678901234568e+17"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1.5e-7", "1.5e-07"),
            ("1e-400", "0.0"),
            ("1e999", "inf"),
            ("-1e999", "-inf"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("0.1e1", "1.0"),
        ] {
            assert_eq!(float_text(literal), text, "{literal}");
        }
    }

    #[test]
    fn integers_of_any_size_keep_their_digits() {
        assert_eq!(int_text("-0").as_deref(), Ok("0"));
        assert_eq!(int_text("-7").as_deref(), Ok("-7"));
        let long = "9".repeat(MAX_INT_DIGITS);
        assert_eq!(int_text(&long).as_deref(), Ok(long.as_str()));
        assert!(int_text(&"9".repeat(MAX_INT_DIGITS + 1)).is_err());
    }
}
