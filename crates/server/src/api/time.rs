//! Times in answers.

use domain::time::Timestamp;

/// As RFC 3339 writes it, in UTC: `2026-01-01T00:00:00.5Z`. Empty beyond the year 9999.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.micros()).map_or_else(|_| String::new(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc() {
        assert_eq!(rfc3339(Timestamp::from_micros(1_767_225_600_500_000)), "2026-01-01T00:00:00.5Z");
        assert_eq!(rfc3339(Timestamp::from_micros(i64::MAX)), "");
    }
}
