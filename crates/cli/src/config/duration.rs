//! Durations as people write them: `15m`, `7d`, `10s`, `500ms`, `1h30m`.

use std::time::Duration;

/// The units, in milliseconds. `ms` stands before `m` and `s` because the first that fits is taken.
const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a duration; a bare `0` is zero, any other number needs its unit.
///
/// # Errors
/// Says what is wrong with the text.
pub(crate) fn parse(text: &str) -> Result<Duration, &'static str> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err("is empty");
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err("is not a duration");
        }
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| "is too long")?;
        if after.is_empty() {
            return Err("does not say its unit");
        }
        let Some((unit, factor)) = UNITS.iter().find(|(unit, _)| after.starts_with(unit)) else {
            return Err("is not a duration");
        };
        total = number.checked_mul(*factor).and_then(|part| total.checked_add(part)).ok_or("is too long")?;
        rest = &after[unit.len()..];
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration as `parse` reads it, in the largest units that are exact.
pub(crate) fn show(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in UNITS.iter().rev() {
        let number = rest / factor;
        rest %= factor;
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit_and_sums_of_them() {
        let cases = [
            ("500ms", 500),
            ("10s", 10_000),
            ("15m", 900_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
            ("1m500ms", 60_500),
            (" 10s ", 10_000),
            ("0", 0),
            ("0s", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in [
            "",
            " ",
            "900",
            "m",
            "15 minutes",
            "-5s",
            "1.5h",
            "1e3s",
            "15M",
            "10sec",
            "7d ago",
            "99999999999999999999s",
            "99999999999999999d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shows_what_it_reads() {
        for text in ["500ms", "10s", "15m", "7d", "1h30m", "30d", "0"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
        assert_eq!(show(Duration::from_secs(90)), "1m30s");
    }
}
