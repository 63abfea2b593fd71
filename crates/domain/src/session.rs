//! Sessions: what a login opens, and what presenting one of its refresh tokens means.
//!
//! A session is one row however often it is refreshed. Nothing usable is stored in it (RF-05): a refresh token is a
//! signed claim to be the holder of [`Session::jti`]. All decisions are pure functions of the row and `now`.

use std::time::Duration;

use crate::status::StatusPlace;
use crate::time::Timestamp;
use crate::user::UserId;

mod id;

pub use id::{Jti, SessionId};

/// One login, from its first token pair to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Its name in tokens (claim `sid`).
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// How often it was refreshed.
    pub generation: i64,
    /// The refresh token that is good now.
    pub jti: Jti,
    /// The one before it: spent, but answered again within the grace window.
    pub previous_jti: Option<Jti>,
    /// The login.
    pub created_at: Timestamp,
    /// The last refresh, or the login.
    pub last_used_at: Timestamp,
    /// When [`Session::jti`] was made: the start of the grace window, and `iat` of the tokens made then.
    pub rotated_at: Timestamp,
    /// It ends here unless it is refreshed before.
    pub idle_expires_at: Timestamp,
    /// It ends here whatever happens; fixed at login (RF-04).
    pub expires_at: Timestamp,
    /// When it was ended before its time: logout, reuse of a spent token, an administrator.
    pub revoked_at: Option<Timestamp>,
    /// Its place in a status list, if it has one.
    pub status: Option<StatusPlace>,
    /// The client's address at login.
    pub address: String,
    /// The client's description of itself at login.
    pub user_agent: String,
}

/// How long sessions last.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Lifetimes {
    /// Without a refresh.
    pub idle: Duration,
    /// At all.
    pub absolute: Duration,
}

impl Session {
    /// What a login writes. The caller fills in the client's address and description.
    pub fn open(id: SessionId, user_id: UserId, jti: Jti, lifetimes: Lifetimes, now: Timestamp) -> Self {
        let expires_at = now + lifetimes.absolute;
        Self {
            id,
            user_id,
            generation: 0,
            jti,
            previous_jti: None,
            created_at: now,
            last_used_at: now,
            rotated_at: now,
            idle_expires_at: expires_at.min(now + lifetimes.idle),
            expires_at,
            revoked_at: None,
            status: None,
            address: String::new(),
            user_agent: String::new(),
        }
    }

    /// Whether it was ended: by itself being revoked, or with all sessions of its user's earlier epochs.
    pub fn is_ended(&self, user_epoch: u32) -> bool {
        self.revoked_at.is_some() || self.id.epoch() < user_epoch
    }

    /// Whether it outlived its idle or its absolute lifetime; the limit itself is outside (SE-02).
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.idle_expires_at || now >= self.expires_at
    }
}

/// What presenting a refresh token means.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum RefreshDecision {
    /// It is the current one: make the next.
    Rotate,
    /// It is the one before, its answer may have been lost: hand out the current one again, change nothing.
    Redeliver,
    /// It was spent: whoever presents it may have stolen it. End the session.
    Reuse,
    /// The session outlived its idle or absolute lifetime.
    Expired,
    /// The session was ended.
    Ended,
}

/// Judges a refresh token of this session (RF-01, RF-03, RF-04).
///
/// `grace` of zero turns redelivery off. A clock that went back counts as within the window.
pub fn decide(
    session: &Session,
    presented: Jti,
    user_epoch: u32,
    grace: Duration,
    now: Timestamp,
) -> RefreshDecision {
    if session.is_ended(user_epoch) {
        RefreshDecision::Ended
    } else if session.is_expired(now) {
        RefreshDecision::Expired
    } else if presented == session.jti {
        RefreshDecision::Rotate
    } else if session.previous_jti == Some(presented) && now.since(session.rotated_at) < grace {
        RefreshDecision::Redeliver
    } else {
        RefreshDecision::Reuse
    }
}

/// The session after [`RefreshDecision::Rotate`]. Never moves the absolute limit.
pub fn rotate(session: &Session, next: Jti, refresh_lifetime: Duration, now: Timestamp) -> Session {
    Session {
        generation: session.generation.saturating_add(1),
        jti: next,
        previous_jti: Some(session.jti),
        last_used_at: now,
        rotated_at: now,
        idle_expires_at: session.expires_at.min(now + refresh_lifetime),
        ..session.clone()
    }
}

#[cfg(test)]
mod tests;
