//! What an access token says, strictly read.
//!
//! A claim of the wrong type or range refuses the token; it never counts as absent (TK-05, CVE-2026-25537).

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::jose::Verified;
use crate::refusal::Refusal;

/// The last second of the year 9999: later times are a mistake or an attack.
const LAST_SECOND: u64 = 253_402_300_799;
/// The longest text that a claim of ours may be, in bytes.
const MAX_TEXT: usize = 1024;
/// The most audiences of one token.
const MAX_AUDIENCES: usize = 64;

/// `client_id` of tokens of a login.
const FIRST_PARTY: &str = "first-party";

/// A form of access token that the service issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// SimpleJWT's: `typ` is `JWT`, `token_type` is `access`, and `user_id` is a number. The service's default.
    SimpleJwt,
    /// RFC 9068: `typ` is `at+jwt`, and `iss`, `aud`, `sub` and `client_id` are there.
    Rfc9068,
}

/// Where a token's status is found (draft-ietf-oauth-status-list section 6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatusRef {
    pub(crate) uri: String,
    pub(crate) index: u64,
}

/// The claims of a token that was checked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Claims(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    profile: Profile,
    subject: String,
    user_id: Option<u64>,
    session: String,
    token_id: String,
    issued_at: u64,
    not_before: Option<u64>,
    expires_at: u64,
    issuer: Option<String>,
    audience: Vec<String>,
    client_id: Option<String>,
    status: Option<StatusRef>,
    all: Map<String, Value>,
}

impl Claims {
    /// The form of the token.
    pub fn profile(&self) -> Profile {
        self.0.profile
    }

    /// Whom the token is about: `sub`, or `user_id` in decimal.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The user's number: `user_id`, or `sub` where that is a plain decimal number.
    pub fn user_id(&self) -> Option<u64> {
        self.0.user_id
    }

    /// `sid`: the session (login) that the token belongs to.
    pub fn session(&self) -> &str {
        &self.0.session
    }

    /// `jti`.
    pub fn token_id(&self) -> &str {
        &self.0.token_id
    }

    /// `iat`, in seconds since 1970.
    pub fn issued_at(&self) -> u64 {
        self.0.issued_at
    }

    /// `exp`, in seconds since 1970: not accepted from then on.
    pub fn expires_at(&self) -> u64 {
        self.0.expires_at
    }

    /// `iss`.
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// `aud`, one or several; none where the token has none.
    pub fn audience(&self) -> &[String] {
        &self.0.audience
    }

    /// `client_id` (RFC 9068 section 2.2).
    pub fn client_id(&self) -> Option<&str> {
        self.0.client_id.as_deref()
    }

    /// The API key that the token was given for: `client_id`, unless the token is of a login. It speaks for the account that the key
    /// belongs to, and only as far as [`Self::allows`] says.
    pub fn api_key(&self) -> Option<&str> {
        self.client_id().filter(|client| *client != FIRST_PARTY)
    }

    /// Whether `scope` (RFC 8693 section 4.2) has this permission. A token of a login has none, unless the service puts them there
    /// (TOKEN_ROLES=scope).
    pub fn allows(&self, permission: &str) -> bool {
        let scope = self.get("scope").and_then(Value::as_str).unwrap_or_default();
        !permission.is_empty() && scope.split(' ').any(|held| held == permission)
    }

    /// Any claim, by its name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.all.get(name)
    }

    pub(crate) fn status(&self) -> Option<&StatusRef> {
        self.0.status.as_ref()
    }

    /// Reads the claims of a verified token; the times are only read, not judged.
    ///
    /// # Errors
    /// [`Refusal::Kind`] for anything but an access token, [`Refusal::Claim`] for what is missing or malformed.
    pub(crate) fn read(token: Verified) -> Result<Self, Refusal> {
        let all = token.payload;
        let profile = profile_of(token.typ.as_deref(), &all)?;
        let subject_claim = if profile == Profile::SimpleJwt { "user_id" } else { "sub" };
        let user_id = match profile {
            Profile::SimpleJwt => Some(number(&all, "user_id", i64::MAX as u64)?),
            Profile::Rfc9068 => all.get("sub").and_then(Value::as_str).and_then(decimal),
        };
        let subject = match (profile, user_id) {
            (Profile::SimpleJwt, Some(id)) => id.to_string(),
            _ => text(&all, subject_claim)?,
        };
        let parts = Parts {
            profile,
            subject,
            user_id,
            session: session(&all)?,
            token_id: text(&all, "jti")?,
            issued_at: number(&all, "iat", LAST_SECOND)?,
            not_before: optional(&all, "nbf", |name| number(&all, name, LAST_SECOND))?,
            expires_at: number(&all, "exp", LAST_SECOND)?,
            issuer: optional(&all, "iss", |name| text(&all, name))?,
            audience: optional(&all, "aud", |_| audience(&all))?.unwrap_or_default(),
            client_id: optional(&all, "client_id", |name| text(&all, name))?,
            status: optional(&all, "status", |_| status(&all))?,
            all,
        };
        require_of_rfc9068(&parts)?;
        Ok(Self(Arc::new(parts)))
    }

    /// Judges the times (RFC 7519 section 4.1.4 to 4.1.6); `now` and `leeway` in seconds.
    ///
    /// # Errors
    /// [`Refusal::Expired`], [`Refusal::NotYet`].
    pub(crate) fn judge_times(&self, now: u64, leeway: u64) -> Result<(), Refusal> {
        if now >= self.0.expires_at.saturating_add(leeway) {
            return Err(Refusal::Expired);
        }
        let begins = self.0.issued_at.max(self.0.not_before.unwrap_or(0));
        if begins > now.saturating_add(leeway) {
            return Err(Refusal::NotYet);
        }
        Ok(())
    }
}

/// Which profile a token is of, by `typ` and `token_type` (RFC 8725 section 3.11, TK-03). A refresh token is of none.
fn profile_of(typ: Option<&str>, all: &Map<String, Value>) -> Result<Profile, Refusal> {
    let token_type = match all.get("token_type") {
        None => None,
        Some(Value::String(text)) => Some(text.as_str()),
        Some(_) => return Err(Refusal::Kind),
    };
    match (typ, token_type) {
        (Some("JWT"), Some("access")) => Ok(Profile::SimpleJwt),
        (Some("at+jwt" | "application/at+jwt"), None | Some("access")) => Ok(Profile::Rfc9068),
        _ => Err(Refusal::Kind),
    }
}

/// RFC 9068 section 2.2; `sub` was read before.
fn require_of_rfc9068(parts: &Parts) -> Result<(), Refusal> {
    if parts.profile == Profile::SimpleJwt {
        return Ok(());
    }
    for (name, present) in [
        ("iss", parts.issuer.is_some()),
        ("aud", !parts.audience.is_empty()),
        ("client_id", parts.client_id.is_some()),
    ] {
        if !present {
            return Err(Refusal::Claim(name));
        }
    }
    Ok(())
}

fn optional<T>(
    all: &Map<String, Value>,
    name: &'static str,
    read: impl FnOnce(&'static str) -> Result<T, Refusal>,
) -> Result<Option<T>, Refusal> {
    if all.contains_key(name) { read(name).map(Some) } else { Ok(None) }
}

/// A whole number from 0 to `most`.
pub(crate) fn number(all: &Map<String, Value>, name: &'static str, most: u64) -> Result<u64, Refusal> {
    all.get(name).and_then(Value::as_u64).filter(|number| *number <= most).ok_or(Refusal::Claim(name))
}

/// A text that is not empty.
pub(crate) fn text(all: &Map<String, Value>, name: &'static str) -> Result<String, Refusal> {
    let text =
        all.get(name).and_then(Value::as_str).filter(|text| !text.is_empty() && text.len() <= MAX_TEXT);
    text.map(str::to_owned).ok_or(Refusal::Claim(name))
}

/// 32 lower-case hexadecimal digits.
fn session(all: &Map<String, Value>) -> Result<String, Refusal> {
    let session = text(all, "sid")?;
    let fits = session.len() == 32 && session.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if fits { Ok(session) } else { Err(Refusal::Claim("sid")) }
}

/// One text or a list of texts (RFC 7519 section 4.1.3).
fn audience(all: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let list = match all.get("aud") {
        Some(Value::Array(list)) if !list.is_empty() && list.len() <= MAX_AUDIENCES => list,
        Some(Value::String(_)) => return Ok(vec![text(all, "aud")?]),
        _ => return Err(Refusal::Claim("aud")),
    };
    list.iter().map(|one| one.as_str().map(str::to_owned).ok_or(Refusal::Claim("aud"))).collect()
}

/// The claim `status`. One that names another mechanism than a status list cannot be judged, so it is refused.
fn status(all: &Map<String, Value>) -> Result<StatusRef, Refusal> {
    let list = all.get("status").and_then(|status| status.get("status_list")).and_then(Value::as_object);
    let list = list.ok_or(Refusal::Claim("status"))?;
    let index = number(list, "idx", u64::MAX).map_err(|_| Refusal::Claim("status"))?;
    let uri = text(list, "uri").map_err(|_| Refusal::Claim("status"))?;
    Ok(StatusRef { uri, index })
}

/// A number as we would write it: no sign, no leading zero.
fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}
