//! Compact JWS (RFC 7515): one spelling of a token, one algorithm per key.
//!
//! Nothing in a token supplies a key or says where one is; `kid` only picks from the key set (TK-02). The payload is not
//! looked at before the signature is known to be right.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Map, Value};

use crate::json;
use crate::jwks::Keys;
use crate::key::Key;
use crate::refusal::Refusal;

/// Header members that would change how a token is to be read, or bring a key of their own. We understand no extension,
/// so whatever `crit` lists is not understood (RFC 7515 section 4.1.11); `b64` is RFC 7797, `zip` and `enc` are JWE's.
const REFUSED: [&str; 9] = ["crit", "b64", "zip", "enc", "cty", "jwk", "jku", "x5u", "x5c"];

/// More members than any real header has.
const MAX_MEMBERS: usize = 32;

/// The longest key id that is looked up, in bytes; ours have 43 (RFC 7638 thumbprints).
pub(crate) const MAX_KID: usize = 256;

/// A token whose header and segments are well formed. Nothing is known about its signature.
pub(crate) struct Unverified<'a> {
    /// `header.payload`, what the signature is about.
    signed: &'a [u8],
    payload: &'a [u8],
    signature: Vec<u8>,
    algorithm: String,
    kid: String,
    typ: Option<String>,
}

/// What a key has signed: the `typ` of the header and the members of the payload.
pub(crate) struct Verified {
    pub(crate) typ: Option<String>,
    pub(crate) payload: Map<String, Value>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`Refusal::TooLong`] above `limit` bytes, [`Refusal::Malformed`], [`Refusal::Header`].
    pub(crate) fn parse(token: &'a str, limit: usize) -> Result<Self, Refusal> {
        if token.len() > limit {
            return Err(Refusal::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        // A further dot would stand inside the payload, and base64url knows no dot.
        let (header, payload) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        let header = BASE64URL.decode(header).map_err(|_| Refusal::Malformed)?;
        let signature = BASE64URL.decode(signature).map_err(|_| Refusal::Malformed)?;
        let header = json::object(&header).ok_or(Refusal::Header)?;
        let (algorithm, kid, typ) = read_header(header).ok_or(Refusal::Header)?;
        Ok(Self { signed: signed.as_bytes(), payload: payload.as_bytes(), signature, algorithm, kid, typ })
    }

    /// Picks the key and checks the signature with it.
    ///
    /// # Errors
    /// [`Refusal::UnknownKey`], [`Refusal::Algorithm`], [`Refusal::Signature`], [`Refusal::Malformed`].
    pub(crate) fn verify(self, keys: &Keys) -> Result<(Verified, &Key), Refusal> {
        let (payload, key) = self.verify_bytes(keys)?;
        let payload = json::object(&payload).ok_or(Refusal::Malformed)?;
        Ok((Verified { typ: self.typ, payload }, key))
    }

    /// [`Self::verify`] for any payload.
    pub(crate) fn verify_bytes<'k>(&self, keys: &'k Keys) -> Result<(Vec<u8>, &'k Key), Refusal> {
        let key = keys.get(&self.kid).ok_or(Refusal::UnknownKey)?;
        if self.algorithm != key.algorithm().name() {
            return Err(Refusal::Algorithm);
        }
        if !key.made(self.signed, &self.signature) {
            return Err(Refusal::Signature);
        }
        let payload = BASE64URL.decode(self.payload).map_err(|_| Refusal::Malformed)?;
        Ok((payload, key))
    }
}

/// `alg`, `kid` and `typ` of an acceptable header. Members that we do not know are ignored (RFC 7515 section 4).
fn read_header(mut header: Map<String, Value>) -> Option<(String, String, Option<String>)> {
    if header.len() > MAX_MEMBERS || REFUSED.iter().any(|name| header.contains_key(*name)) {
        return None;
    }
    let algorithm = text(header.remove("alg")?)?;
    let kid = text(header.remove("kid")?).filter(|kid| !kid.is_empty() && kid.len() <= MAX_KID)?;
    let typ = match header.remove("typ") {
        Some(typ) => Some(text(typ)?),
        None => None,
    };
    Some((algorithm, kid, typ))
}

fn text(value: Value) -> Option<String> {
    if let Value::String(text) = value { Some(text) } else { None }
}

#[cfg(test)]
mod tests {
    use super::{BASE64URL, Unverified};
    use crate::refusal::Refusal;
    use base64::Engine as _;

    fn parsed(header: &str) -> Result<(), Refusal> {
        let token = format!("{}.e30.AAAA", BASE64URL.encode(header));
        Unverified::parse(&token, 16 * 1024).map(drop)
    }

    // TK-01, TK-02
    #[test]
    fn headers_that_bring_keys_or_change_the_reading_are_refused() {
        for member in [
            r#""crit":[]"#,
            r#""crit":["exp"]"#,
            r#""zip":"DEF""#,
            r#""enc":"A128GCM""#,
            r#""cty":"JWT""#,
            r#""jwk":{"kty":"OKP"}"#,
            r#""jku":"http://localhost/""#,
            r#""x5u":"http://localhost/""#,
            r#""x5c":[]"#,
            r#""b64":false"#,
            r#""b64":true"#,
            r#""typ":1"#,
            r#""typ":null"#,
            r#""kid":"b""#,
        ] {
            let header = format!(r#"{{"alg":"EdDSA","kid":"a",{member}}}"#);
            assert_eq!(parsed(&header), Err(Refusal::Header), "{member}");
        }
        assert_eq!(parsed(r#"{"alg":"EdDSA","kid":"a","other":{"x":[1]}}"#), Ok(()));
    }

    // TK-02
    #[test]
    fn a_key_id_is_a_short_string_and_required() {
        let long = format!(r#""{}""#, "k".repeat(10_000));
        for kid in ["1", "null", r#"["a"]"#, r#"{"a":1}"#, r#""""#, &long] {
            assert_eq!(
                parsed(&format!(r#"{{"alg":"EdDSA","kid":{kid}}}"#)),
                Err(Refusal::Header),
                "{kid:.40}"
            );
        }
        assert_eq!(parsed(r#"{"alg":"EdDSA"}"#), Err(Refusal::Header));
        assert_eq!(parsed(r#"{"kid":"a"}"#), Err(Refusal::Header));
    }

    // TK-11
    #[test]
    fn a_token_has_one_spelling() {
        let header = BASE64URL.encode(r#"{"alg":"EdDSA","kid":"a"}"#);
        assert!(Unverified::parse(&format!("{header}.e30.AAAA"), 16 * 1024).is_ok());
        for token in [
            String::new(),
            ".".into(),
            "..".into(),
            header.clone(),
            format!("{header}.e30"),
            format!("{header}=.e30.AAAA"),
            format!("{header}.e30.AAAA="),
            format!("{header}.e30.AAA/"),
            format!("{header}.e30.AAB"),
            format!("{header}.e30.AA\n"),
            format!(" {header}.e30.AAAA"),
        ] {
            assert!(Unverified::parse(&token, 16 * 1024).is_err(), "{token}");
        }
        let long = format!("{header}.{}.AAAA", "A".repeat(16 * 1024));
        assert_eq!(Unverified::parse(&long, 16 * 1024).map(drop), Err(Refusal::TooLong));
    }
}
