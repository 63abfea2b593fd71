//! Which JOSE headers are taken (RFC 7515 section 4).
//!
//! A JSON object without duplicate members, whose `alg` is exactly the key's algorithm. `typ` and `kid` are strings
//! where present. A shared secret has no key id and ignores both, as the service we replace did; keys of our own are
//! looked up by `kid`. Members that would change how the token is to be read, or bring a key of their own, are refused:
//!
//! * `crit`: we understand no extension, so whatever it lists is not understood (RFC 7515 section 4.1.11);
//! * `zip`, `cty`: compressed or nested content, which we never mint (RFC 8725 section 2.4, 3.11);
//! * `jwk`, `jku`, `x5u`, `x5c`: keys brought along, or where to fetch some (TK-02);
//! * `b64` other than `true`, its default: an unencoded payload (RFC 7797).
//!
//! Other members are ignored as RFC 7515 section 4 demands.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::JwsFault;

/// Members whose mere presence refuses the token.
const REFUSED: [&str; 7] = ["crit", "zip", "cty", "jwk", "jku", "x5u", "x5c"];

/// More members than any real header has; keeps the search for duplicates linear in the size of the token.
const MAX_MEMBERS: usize = 32;

/// Checks an encoded header against the one algorithm that is taken.
///
/// # Errors
/// [`JwsFault::Malformed`] when it is not base64url, [`JwsFault::Header`] when it is not such an object,
/// [`JwsFault::Algorithm`] when `alg` is another string.
pub(super) fn check(encoded: &[u8], algorithm: &str) -> Result<(), JwsFault> {
    if read(encoded)?.algorithm == algorithm { Ok(()) } else { Err(JwsFault::Algorithm) }
}

/// Reads an encoded header.
///
/// # Errors
/// [`JwsFault::Malformed`] when it is not base64url, [`JwsFault::Header`] when it is not such an object.
pub(super) fn read(encoded: &[u8]) -> Result<Header, JwsFault> {
    let json = BASE64URL.decode(encoded).map_err(|_| JwsFault::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| JwsFault::Header)
}

/// What is left of a header that obeys the rules above.
pub(super) struct Header {
    /// `alg`.
    pub(super) algorithm: String,
    /// `typ`.
    pub(super) kind: Option<String>,
    /// `kid`.
    pub(super) key_id: Option<String>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JOSE header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Header, A::Error> {
        let (mut algorithm, mut kind, mut key_id) = (None, None, None);
        let mut seen: Vec<String> = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            if seen.contains(&name) || seen.len() == MAX_MEMBERS {
                return Err(A::Error::custom("duplicate or too many members"));
            }
            match name.as_str() {
                "alg" => algorithm = Some(members.next_value::<String>()?),
                "typ" => kind = Some(members.next_value::<String>()?),
                "kid" => key_id = Some(members.next_value::<String>()?),
                "b64" if !members.next_value::<bool>()? => return Err(A::Error::custom("unencoded payload")),
                "b64" => {}
                refused if REFUSED.contains(&refused) => return Err(A::Error::custom("refused member")),
                // Read fully, not skipped: skipping would take lone surrogates and any depth.
                _ => drop(members.next_value::<serde_json::Value>()?),
            }
            seen.push(name);
        }
        let algorithm = algorithm.ok_or_else(|| A::Error::missing_field("alg"))?;
        Ok(Header { algorithm, kind, key_id })
    }
}

#[cfg(test)]
mod tests {
    use super::{BASE64URL, JwsFault, check};
    use base64::Engine as _;

    fn checked(json: &str) -> Result<(), JwsFault> {
        check(BASE64URL.encode(json).as_bytes(), "HS256")
    }

    #[test]
    fn headers_that_the_replaced_service_took_are_taken() {
        for json in [
            r#"{"alg":"HS256"}"#,
            r#"{"typ":"JWT","alg":"HS256"}"#,
            r#"{"alg":"HS256","typ":"JOSE"}"#,
            r#" { "alg" : "HS256" } "#,
            r#"{"alg":"HS256","kid":"k1"}"#,
            r#"{"alg":"HS256","b64":true}"#,
            r#"{"alg":"HS256","foo":{"bar":[1]}}"#,
            r#"{"\u0061lg":"HS256"}"#,
        ] {
            assert_eq!(checked(json), Ok(()), "{json}");
        }
    }

    // TK-01
    #[test]
    fn the_algorithm_must_be_the_one_of_the_key() {
        for name in
            ["none", "None", "NONE", "nOnE", "hs256", "HS512", "ES256", "RS256", "", "HS256 ", "HS256\\u0000"]
        {
            assert_eq!(checked(&format!(r#"{{"alg":"{name}"}}"#)), Err(JwsFault::Algorithm), "{name}");
        }
        for json in [
            r#"{"alg":null}"#,
            r#"{"alg":["HS256"]}"#,
            r#"{"alg":true}"#,
            r#"{"alg":{}}"#,
            r#"{"alg":1}"#,
            "{}",
        ] {
            assert_eq!(checked(json), Err(JwsFault::Header), "{json}");
        }
    }

    // TK-02
    #[test]
    fn members_that_bring_keys_or_change_the_reading_are_refused() {
        for member in [
            r#""crit":[]"#,
            r#""crit":["exp"],"exp":1"#,
            r#""zip":"DEF""#,
            r#""zip":null"#,
            r#""cty":"JWT""#,
            r#""jwk":{"kty":"oct","k":"AAAA"}"#,
            r#""jku":"http://evil.example/""#,
            r#""x5u":"http://evil.example/""#,
            r#""x5c":[]"#,
            r#""b64":false"#,
            r#""b64":null"#,
            r#""typ":1"#,
            r#""typ":null"#,
            r#""kid":1"#,
            r#""kid":["k"]"#,
            r#""kid":null"#,
        ] {
            assert_eq!(checked(&format!(r#"{{"alg":"HS256",{member}}}"#)), Err(JwsFault::Header), "{member}");
            assert_eq!(checked(&format!(r#"{{{member},"alg":"HS256"}}"#)), Err(JwsFault::Header), "{member}");
        }
    }

    // TK-11
    #[test]
    fn only_one_plain_json_object_is_taken() {
        let deep = format!(r#"{{"alg":"HS256","x":{}1{}}}"#, "[".repeat(4000), "]".repeat(4000));
        let many: String = (0..200).map(|n| format!(r#""m{n}":0,"#)).collect();
        let many = format!(r#"{{{many}"alg":"HS256"}}"#);
        for json in [
            "",
            "HS256",
            r#""HS256""#,
            r#"["HS256"]"#,
            "null",
            "\u{feff}{\"alg\":\"HS256\"}",
            r#"{"alg":"HS256"}{}"#,
            r#"{"alg":"HS256"}x"#,
            r#"{"alg":"HS256",}"#,
            r#"{"alg":"HS256","x":NaN}"#,
            r#"{"alg":"HS256","x":"\ud800"}"#,
            r#"{"alg":"HS256","alg":"HS256"}"#,
            r#"{"alg":"none","alg":"HS256"}"#,
            r#"{"alg":"HS256","x":1,"x":1}"#,
            r#"{"alg":"HS256","\u0061lg":"none"}"#,
            r#"{'alg':'HS256'}"#,
            deep.as_str(),
            many.as_str(),
        ] {
            assert_eq!(checked(json), Err(JwsFault::Header), "{json:.60}");
        }
        let invalid_utf8 = BASE64URL.encode(b"{\"alg\":\"HS256\",\"x\":\"\xff\"}");
        assert_eq!(check(invalid_utf8.as_bytes(), "HS256"), Err(JwsFault::Header));
    }
}
