//! What an operator may choose, as values. Names, defaults and parsing are the command line's.

use std::time::Duration;

use domain::password::{PasswordPolicy, PolicyChecks};
use domain::time::Timestamp;

/// Everything the use cases are told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tokens and sessions.
    pub tokens: TokenSettings,
    /// Which new passwords are taken.
    pub password_policy: PasswordPolicy,
    /// Whether logins and registrations are throttled.
    pub throttle: bool,
    /// Within this time a change made elsewhere is seen here.
    pub revocation_bound: Duration,
    /// Whether replicas tell each other of changes through the database, where it can do that.
    pub feed_notify: bool,
    /// Beyond this age of the feed no access token is judged.
    pub feed_max_staleness: Duration,
}

/// Lifetimes and claims of tokens.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// Of an access token.
    pub access_lifetime: Duration,
    /// Of a refresh token: a session dies when it is not refreshed for so long.
    pub refresh_lifetime: Duration,
    /// Of a session, from login, however often it is refreshed.
    pub session_lifetime: Duration,
    /// How long a refresh token may be presented again for the same successor; zero turns it off.
    pub refresh_grace: Duration,
    /// Whether a refresh gives a new refresh token.
    pub rotation: bool,
    /// `iss` of new tokens; required of every token when set.
    pub issuer: Option<String>,
    /// `aud` of new tokens; required of every token when set.
    pub audience: Option<String>,
    /// Until when tokens of the replaced service are taken; seven days after the first start when not set.
    pub legacy_until: Option<Timestamp>,
}

impl Default for Settings {
    /// The defaults of the development mode.
    fn default() -> Self {
        Self {
            tokens: TokenSettings::default(),
            password_policy: PasswordPolicy { min_length: 8, checks: PolicyChecks::LengthOnly },
            throttle: true,
            revocation_bound: Duration::from_secs(1),
            feed_notify: true,
            feed_max_staleness: Duration::from_secs(60),
        }
    }
}

impl Default for TokenSettings {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            access_lifetime: Duration::from_secs(15 * 60),
            refresh_lifetime: Duration::from_secs(7 * DAY),
            session_lifetime: Duration::from_secs(30 * DAY),
            refresh_grace: Duration::from_secs(10),
            rotation: true,
            issuer: None,
            audience: None,
            legacy_until: None,
        }
    }
}
