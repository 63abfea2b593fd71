//! A list as others get it: compressed and signed.

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use crypto::jws::TokenKind;
use domain::signing_key::Purpose;
use domain::status::StatusBits;
use domain::time::Timestamp;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;

use super::{is_on, uri};
use crate::App;
use crate::error::{Error, Result};

/// A list is signed anew so often at most, whatever changes.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// A token of a list is good for so long: services that cannot get a new one go on until then, and no longer.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A signed list.
#[derive(Clone)]
pub(super) struct Signed {
    token: Bytes,
    at: Timestamp,
}

/// The status list token of a list (draft section 5.1), at most a second behind what this replica knows. `None` when
/// there is no such list.
///
/// # Errors
/// [`crate::Kind::Unavailable`] when this replica does not know for sure which sessions have ended.
pub async fn token(app: &App, list: i64) -> Result<Option<Bytes>> {
    let Some(uri) = uri(app, list) else { return Ok(None) };
    let now = app.clock.now();
    if app.feed.age(now) > app.settings.feed_max_staleness {
        return Err(crate::token::stale());
    }
    if let Some(token) = fresh(app, list, now) {
        return Ok(Some(token));
    }
    let _turn = app.status.signing.lock().await;
    if let Some(token) = fresh(app, list, now) {
        return Ok(Some(token));
    }
    let bits = {
        let mut lists = app.status.lists.write();
        let Some(list) = lists.get_mut(&list) else { return Ok(None) };
        list.changed = false;
        list.bits.clone()
    };
    let token = sign(app, &bits, uri, now)?;
    if let Some(list) = app.status.lists.write().get_mut(&list) {
        list.signed = Some(Signed { token: token.clone(), at: now });
    }
    Ok(Some(token))
}

/// How long others may keep a list.
#[must_use]
pub fn max_age(app: &App) -> Duration {
    app.settings.status.as_ref().filter(|_| is_on(app)).map_or(Duration::ZERO, |settings| settings.ttl)
}

/// The token that was signed last, if it still says what there is to say, or is not a second old.
fn fresh(app: &App, list: i64, now: Timestamp) -> Option<Bytes> {
    let lists = app.status.lists.read();
    let list = lists.get(&list)?;
    let signed = list.signed.as_ref()?;
    let age = now.since(signed.at);
    let good = age < AT_MOST_EVERY || (!list.changed && age < max_age(app) / 2);
    // A clock that was set back must not keep an old token alive.
    (good && signed.at <= now).then(|| signed.token.clone())
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    iat: i64,
    exp: i64,
    ttl: u64,
    status_list: StatusListClaim,
}

/// Draft section 4.2.
#[derive(Serialize)]
struct StatusListClaim {
    bits: u8,
    lst: String,
}

fn sign(app: &App, bits: &StatusBits, uri: String, now: Timestamp) -> Result<Bytes> {
    let lst = URL_SAFE_NO_PAD.encode(compress(bits).map_err(Error::internal)?);
    let claims = Claims {
        sub: &uri,
        iss: app.settings.tokens.issuer.as_deref(),
        iat: now.seconds(),
        exp: (now + LIFETIME).seconds(),
        ttl: max_age(app).as_secs().max(1),
        status_list: StatusListClaim { bits: 1, lst },
    };
    let payload = serde_json::to_vec(&claims).map_err(Error::internal)?;
    let token = app.keys.sign(Purpose::Access, TokenKind::StatusList, &payload, now);
    let token =
        token.ok_or_else(|| Error::unavailable(Duration::from_secs(5), "There is no key to sign with."))?;
    Ok(token.into())
}

/// zlib (RFC 1950), as the draft wants it; the highest level, since many will read what is written once.
fn compress(bits: &StatusBits) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bits.as_bytes())?;
    encoder.finish()
}
