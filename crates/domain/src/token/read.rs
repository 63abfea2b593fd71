//! JSON to claims, in one pass.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::other::{AudienceVisitor, Names, Other};
use super::{Claims, LAST_SECOND, MAX_JTI, Standard, TokenFault, TokenType};
use crate::session::SessionId;
use crate::user::UserId;

/// What the payload says, each member checked for itself; what must be there is checked later.
#[derive(Default)]
pub(super) struct Members {
    token_type: Option<Option<TokenType>>,
    pub(super) expires_at: Option<i64>,
    pub(super) issued_at: Option<i64>,
    pub(super) not_before: Option<i64>,
    jti: Option<String>,
    user_id: Option<UserId>,
    session: Option<SessionId>,
    issuer: Option<Option<String>>,
    audience: Option<Vec<String>>,
    subject: Option<Option<String>>,
    client: Option<Option<String>>,
    scope: Option<Option<String>>,
    roles: Option<Vec<String>>,
}

impl Members {
    /// In the order in which SimpleJWT misses them.
    pub(super) fn into_claims(self) -> Result<Claims, TokenFault> {
        let expires_at = self.expires_at.ok_or(TokenFault::NoClaim("exp"))?;
        let jti = self.jti.ok_or(TokenFault::NoId)?;
        let token_type = self.token_type.ok_or(TokenFault::NoType)?.ok_or(TokenFault::WrongType)?;
        let issued_at = self.issued_at.ok_or(TokenFault::Invalid)?;
        Ok(Claims {
            token_type,
            expires_at,
            issued_at,
            not_before: self.not_before,
            jti,
            user_id: self.user_id.ok_or(TokenFault::NoUser)?,
            session: self.session,
            issuer: self.issuer.flatten(),
            audience: self.audience.unwrap_or_default(),
            status: None,
            standard: Standard {
                subject: self.subject.flatten(),
                client: self.client.flatten(),
                scope: self.scope.flatten(),
                roles: self.roles.unwrap_or_default(),
            },
        })
    }
}

/// Any fault in the text or in the type of a member of ours is "invalid": the clients were never told more.
pub(super) fn members(payload: &[u8]) -> Result<Members, TokenFault> {
    // One check of the whole text is cheaper than one of every string in it.
    let text = str::from_utf8(payload).map_err(|_| TokenFault::Invalid)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let members = json.deserialize_map(PayloadVisitor).map_err(|_| TokenFault::Invalid)?;
    json.end().map_err(|_| TokenFault::Invalid)?;
    Ok(members)
}

struct PayloadVisitor;

impl<'de> Visitor<'de> for PayloadVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members::default();
        let mut others = Names::default();
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "token_type" => once(&mut members.token_type, map.next_value::<Kind>()?.0)?,
                "exp" => once(&mut members.expires_at, in_range(map.next_value()?, i64::MIN)?)?,
                "iat" => once(&mut members.issued_at, in_range(map.next_value()?, 0)?)?,
                "nbf" => once(&mut members.not_before, in_range(map.next_value()?, 0)?)?,
                "jti" => once(&mut members.jti, map.next_value::<Id>()?.0)?,
                "user_id" => once(&mut members.user_id, user_id(map.next_value()?)?)?,
                "sid" => once(&mut members.session, map.next_value::<Sid>()?.0)?,
                "iss" => once(&mut members.issuer, map.next_value::<Words>()?.0)?,
                "aud" => once(&mut members.audience, map.next_value::<Audience>()?.0)?,
                "sub" => once(&mut members.subject, map.next_value::<Words>()?.0)?,
                "client_id" => once(&mut members.client, map.next_value::<Words>()?.0)?,
                "scope" => once(&mut members.scope, map.next_value::<Words>()?.0)?,
                "roles" => once(&mut members.roles, map.next_value::<Audience>()?.0)?,
                _ => {
                    others.add(name)?;
                    map.next_value_seed(Other::MEMBER)?;
                }
            }
        }
        Ok(members)
    }
}

fn once<T, E: de::Error>(place: &mut Option<T>, value: T) -> Result<(), E> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("member occurs twice")),
    }
}

fn in_range<E: de::Error>(seconds: i64, first: i64) -> Result<i64, E> {
    if (first..=LAST_SECOND).contains(&seconds) { Ok(seconds) } else { Err(E::custom("time out of range")) }
}

fn user_id<E: de::Error>(id: i64) -> Result<UserId, E> {
    if id > 0 { Ok(UserId::new(id)) } else { Err(E::custom("no user id")) }
}

/// A member's name, borrowed unless it contains escapes.
pub(super) struct Name<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor).map(Self)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// `token_type`: one of ours, or anything else, which is "of the wrong type" rather than malformed.
struct Kind(Option<TokenType>);

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Other::MEMBER.deserialize(deserializer)?.as_deref() {
            Some("access") => Some(TokenType::Access),
            Some("refresh") => Some(TokenType::Refresh),
            _ => None,
        }))
    }
}

/// `jti`: a string that is not empty.
struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Name(text) = Name::deserialize(deserializer)?;
        if text.is_empty() || text.len() > MAX_JTI {
            return Err(de::Error::custom("no token id"));
        }
        Ok(Self(text.into_owned()))
    }
}

/// `sid`: 32 lower-case hex digits.
struct Sid(SessionId);

impl<'de> Deserialize<'de> for Sid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Name(text) = Name::deserialize(deserializer)?;
        SessionId::parse(&text).map(Self).ok_or_else(|| de::Error::custom("no session id"))
    }
}

/// `iss`, `sub`, `client_id`, `scope`: a string, or something that equals nothing we look for.
struct Words(Option<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Other::MEMBER.deserialize(deserializer)?.map(Cow::into_owned)))
    }
}

/// `aud`, `roles`: a string, a list of strings, or something that contains none that we look for.
struct Audience(Vec<String>);

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AudienceVisitor).map(Self)
    }
}
