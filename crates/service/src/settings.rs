//! What an operator may choose, as values. Names, defaults and parsing are the command line's.

use std::sync::Arc;
use std::time::Duration;

use ::mail::Mailer;
use crypto::breached::BreachedPasswords;
use crypto::jws::Algorithm;
use crypto::seal::SealingKey;
use domain::password::{PasswordPolicy, PolicyChecks};
use domain::signing_key::Rotation;
use domain::time::Timestamp;

use crate::credential::ServiceCredential;

/// Everything the use cases are told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tokens and sessions.
    pub tokens: TokenSettings,
    /// Which keys sign tokens.
    pub keys: KeySettings,
    /// Which new passwords are taken.
    pub password_policy: PasswordPolicy,
    /// Passwords that are known from breaches, which the full policy refuses.
    pub breached_passwords: Option<Arc<BreachedPasswords>>,
    /// Whether logins and registrations are throttled.
    pub throttle: bool,
    /// Whether a password is taken no more after a hundred consecutive failures, until it is set anew; with `throttle` and
    /// `mail` only, for accounts with an address.
    pub hard_stop: bool,
    /// Within this time a change made elsewhere is seen here.
    pub revocation_bound: Duration,
    /// Where status lists are published, if they are; with public keys only.
    pub status: Option<StatusSettings>,
    /// What owners may do with their accounts.
    pub accounts: AccountSettings,
    /// How mails are written and sent, if they are.
    pub mail: Option<MailSettings>,
    /// The other services that may ask about tokens.
    pub services: Vec<ServiceCredential>,
    /// Whether replicas tell each other of changes through the database, where it can do that.
    pub feed_notify: bool,
    /// Beyond this age of the feed no access token is judged.
    pub feed_max_staleness: Duration,
    /// What administrators may do.
    pub admin: AdminSettings,
    /// API keys.
    pub api_keys: ApiKeySettings,
    /// The audit trail.
    pub audit: AuditSettings,
}

/// How the audit trail is kept.
#[derive(Clone, Copy, Debug)]
pub struct AuditSettings {
    /// How often its state is signed, if anything has happened.
    pub checkpoint_interval: Duration,
    /// How long rows are kept; for ever when not set.
    pub retention: Option<Duration>,
}

impl Default for AuditSettings {
    fn default() -> Self {
        const HOUR: u64 = 60 * 60;
        let retention = Some(Duration::from_secs(365 * 24 * HOUR));
        Self { checkpoint_interval: Duration::from_secs(HOUR), retention }
    }
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
    /// What access tokens say of roles and permissions.
    pub roles: TokenRoles,
    /// Until when tokens of the replaced service are taken; seven days after the first start when not set.
    pub legacy_until: Option<Timestamp>,
}

/// What access tokens of a login say of roles and permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRoles {
    /// Nothing.
    Off,
    /// `roles`: `staff`, `superuser`, and the names of the user's groups.
    Roles,
    /// `scope`: the user's permissions.
    Scope,
}

/// Status lists, for services that check tokens by themselves.
#[derive(Clone, Debug)]
pub struct StatusSettings {
    /// Where the service is reached from outside, without a slash at its end.
    pub public_url: String,
    /// How long others may keep a list: so late they hear of a session's end.
    pub ttl: Duration,
}

/// What administrators may do.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// Administrators change things within this time of their login; after it they log in again.
    pub fresh_login: Duration,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { fresh_login: Duration::from_secs(60 * 60) }
    }
}

/// API keys.
#[derive(Clone, Debug)]
pub struct ApiKeySettings {
    /// A key lives no longer than this.
    pub max_lifetime: Duration,
}

impl Default for ApiKeySettings {
    fn default() -> Self {
        Self { max_lifetime: Duration::from_secs(365 * 24 * 60 * 60) }
    }
}

/// What owners may do with their accounts.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// Whether addresses are to be proved.
    pub verification: Verification,
    /// Whether a proved address stands for the name of its account at login.
    pub login_by_email: bool,
    /// Whether users are told of logins from devices that were not seen before.
    pub login_notices: bool,
    /// How long an account that was closed by its owner can be opened again before it is deleted.
    pub deletion_grace: Duration,
    /// How long an account may stay that was registered where a proof is required and has none; for ever when not set.
    pub unverified_lifetime: Option<Duration>,
}

/// Whether addresses are to be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Only when a user asks for it.
    Off,
    /// A link is sent at registration.
    Optional,
    /// The same, and nobody logs in whose address is not proved.
    Required,
}

impl Default for AccountSettings {
    fn default() -> Self {
        Self {
            verification: Verification::Optional,
            login_by_email: false,
            login_notices: true,
            deletion_grace: Duration::from_secs(7 * 24 * 60 * 60),
            unverified_lifetime: Some(Duration::from_secs(7 * 24 * 60 * 60)),
        }
    }
}

/// How mails are written and sent.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// Writes and sends them.
    pub mailer: Mailer,
    /// Where the pages are that links in mails lead to, without a slash at its end.
    pub link_url: String,
    /// The language of the texts, as their folder is called.
    pub language: String,
    /// The time for one delivery.
    pub timeout: Duration,
}

/// Which keys sign and check tokens.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// What signs new access tokens; HS256 means the shared secret, which then signs refresh tokens too.
    pub algorithm: Algorithm,
    /// Opens the stored keys. Without it there is nothing but the shared secret.
    pub sealing: Option<SealingKey>,
    /// Earlier ones: they still open keys, which are then sealed under the one above.
    pub sealing_before: Vec<SealingKey>,
    /// Until when the shared secret's tokens are taken while public keys sign.
    pub shared_until: SharedUntil,
    /// How access tokens look under public keys.
    pub profile: TokenProfile,
    /// How keys follow one another.
    pub rotation: Rotation,
    /// Whether a stored key that cannot be opened forbids the start. Only a command that is to end such keys goes on without.
    pub require_all: bool,
}

impl KeySettings {
    /// What opens stored keys, the one that seals first.
    pub(crate) fn opening(&self) -> Vec<SealingKey> {
        let earlier = self.sealing_before.iter().filter(|_| self.sealing.is_some());
        self.sealing.iter().chain(earlier).cloned().collect()
    }
}

/// The end of the bridge from the shared secret to public keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedUntil {
    /// When the last token signed with the secret has died: the longest refresh lifetime and a day after public keys began to
    /// sign.
    Auto,
    /// Not at all.
    Never,
    /// Until then.
    At(Timestamp),
}

/// How access tokens look under public keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenProfile {
    /// SimpleJWT's claims under the new algorithm.
    SimpleJwt,
    /// RFC 9068: `typ` at+jwt, and `sub` and `client_id` beside SimpleJWT's claims; needs issuer and audience.
    Rfc9068,
}

impl Default for KeySettings {
    /// The shared secret alone.
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            algorithm: Algorithm::Hs256,
            sealing: None,
            sealing_before: Vec::new(),
            shared_until: SharedUntil::Auto,
            profile: TokenProfile::SimpleJwt,
            rotation: Rotation {
                interval: Some(Duration::from_secs(90 * DAY)),
                publish_ahead: Duration::from_secs(60 * 60),
            },
            require_all: true,
        }
    }
}

impl Default for Settings {
    /// The defaults of the development mode.
    fn default() -> Self {
        Self {
            tokens: TokenSettings::default(),
            keys: KeySettings::default(),
            password_policy: PasswordPolicy { min_length: 8, checks: PolicyChecks::LengthOnly },
            breached_passwords: None,
            throttle: true,
            hard_stop: true,
            revocation_bound: Duration::from_secs(1),
            status: None,
            accounts: AccountSettings::default(),
            mail: None,
            services: Vec::new(),
            feed_notify: true,
            feed_max_staleness: Duration::from_secs(60),
            admin: AdminSettings::default(),
            api_keys: ApiKeySettings::default(),
            audit: AuditSettings::default(),
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
            roles: TokenRoles::Off,
            legacy_until: None,
        }
    }
}
