//! Names of requests: 16 lower-case hex digits, unique for practical purposes.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName};

/// The header that carries the name.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer names are not taken from proxies.
const MAX_LENGTH: usize = 64;

/// Makes names: a counter from a random start, scattered by a bijection, so that no name occurs twice in a process.
pub(crate) struct RequestIds(AtomicU64);

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one("request ids")))
    }

    pub(crate) fn next(&self) -> String {
        hex(scatter(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

/// The name that a trusted proxy gave, when it is harmless in logs and headers (LA-03).
pub(crate) fn given(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(X_REQUEST_ID)?.to_str().ok()?;
    let harmless = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (!name.is_empty() && name.len() <= MAX_LENGTH && name.bytes().all(harmless)).then(|| name.to_owned())
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection.
fn scatter(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn hex(n: u64) -> String {
    let mut text = String::with_capacity(16);
    for shift in (0..16).rev() {
        let digit = (n >> (4 * shift) & 0xf) as usize;
        text.push(char::from(b"0123456789abcdef"[digit]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn names_are_hex_and_differ() {
        let ids = RequestIds::new();
        let names: std::collections::HashSet<String> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit())));
        assert_eq!(hex(0x0123_4567_89ab_cdef), "0123456789abcdef");
    }

    // LA-03
    #[test]
    fn only_harmless_names_are_taken_over() {
        let given = |name: &str| {
            given(&HeaderMap::from_iter([(
                X_REQUEST_ID,
                HeaderValue::from_str(name).expect("a header value"),
            )]))
        };
        assert_eq!(given("req-1.A_b").as_deref(), Some("req-1.A_b"));
        for name in ["", "a b", "a\tb", "\"", "{}", &"a".repeat(65)] {
            assert_eq!(given(name), None, "{name}");
        }
    }
}
