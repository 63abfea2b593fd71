//! Claims to JSON. Written by hand: the order of members is part of the contract, and most values need no escaping.

use std::io::Write;

use super::{Claims, Standard};

/// Room for the claims of an ordinary token without growing.
const USUAL_LENGTH: usize = 224;

pub(super) fn payload(claims: &Claims) -> Vec<u8> {
    let mut json = Vec::with_capacity(USUAL_LENGTH);
    write_claims(&mut json, claims).expect("writing to memory does not fail");
    json
}

fn write_claims(json: &mut Vec<u8>, claims: &Claims) -> std::io::Result<()> {
    let (kind, exp, iat) = (claims.token_type.as_str(), claims.expires_at, claims.issued_at);
    write!(json, r#"{{"token_type":"{kind}","exp":{exp},"iat":{iat},"jti":"#)?;
    serde_json::to_writer(&mut *json, &claims.jti)?;
    write!(json, r#","user_id":{}"#, claims.user_id)?;
    if let Some(nbf) = claims.not_before {
        write!(json, r#","nbf":{nbf}"#)?;
    }
    if let Some(session) = claims.session {
        write!(json, r#","sid":"{session}""#)?;
    }
    if let Some(issuer) = &claims.issuer {
        json.extend_from_slice(br#","iss":"#);
        serde_json::to_writer(&mut *json, issuer)?;
    }
    match claims.audience.as_slice() {
        [] => {}
        [one] => {
            json.extend_from_slice(br#","aud":"#);
            serde_json::to_writer(&mut *json, one)?;
        }
        several => {
            json.extend_from_slice(br#","aud":"#);
            serde_json::to_writer(&mut *json, several)?;
        }
    }
    let Standard { subject, client, scope, roles } = &claims.standard;
    for (name, value) in [("sub", subject), ("client_id", client), ("scope", scope)] {
        if let Some(value) = value {
            write!(json, r#","{name}":"#)?;
            serde_json::to_writer(&mut *json, value)?;
        }
    }
    if !roles.is_empty() {
        json.extend_from_slice(br#","roles":"#);
        serde_json::to_writer(&mut *json, roles)?;
    }
    if let Some(status) = &claims.status {
        write!(json, r#","status":{{"status_list":{{"idx":{},"uri":"#, status.place)?;
        serde_json::to_writer(&mut *json, &status.uri)?;
        json.extend_from_slice(b"}}");
    }
    json.push(b'}');
    Ok(())
}
