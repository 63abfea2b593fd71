//! Times in answers.

use domain::time::Timestamp;

/// As RFC 3339 writes it, in UTC: `2026-01-01T00:00:00.5Z`. Empty beyond the year 9999.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.micros()).map_or_else(|_| String::new(), |time| time.to_string())
}

/// Reads a time of RFC 3339, of any offset.
pub(crate) fn read_rfc3339(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_micros(time.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_any_offset() {
        let time = Some(Timestamp::from_micros(1_767_225_600_500_000));
        assert_eq!(read_rfc3339("2026-01-01T00:00:00.5Z"), time);
        assert_eq!(read_rfc3339("2026-01-01T01:00:00.5+01:00"), time);
        for bad in ["", "2026-01-01", "2026-01-01T00:00:00", "now", "1767225600"] {
            assert_eq!(read_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_are_in_utc() {
        assert_eq!(rfc3339(Timestamp::from_micros(1_767_225_600_500_000)), "2026-01-01T00:00:00.5Z");
        assert_eq!(rfc3339(Timestamp::from_micros(i64::MAX)), "");
    }
}
