//! What is recorded.

use serde_json::{Map, Value};

use crate::session::SessionId;
use crate::user::UserId;

/// What happened. A name, once given, is never changed or given to something else: rows and their readers outlive programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// An account was registered by its owner.
    UserRegistered,
    /// An account was made by an operator.
    UserCreated,
    /// An account was disabled.
    UserDisabled,
    /// An account was enabled.
    UserEnabled,
    /// An account was deleted.
    UserDeleted,
    /// A name and its password were right; a session was opened.
    LoginSucceeded,
    /// A name and a password were not right, or the account is disabled.
    LoginFailed,
    /// Many logins began to fail, from many networks.
    LoginStormBegan,
    /// That is over.
    LoginStormEnded,
    /// A password was tried so often that it is not taken any more, until it is set anew.
    PasswordStopped,
    /// A refresh token of the replaced service opened a session.
    SessionAdopted,
    /// A session was ended.
    SessionEnded,
    /// A spent refresh token came back; its session was ended.
    SessionReuseDetected,
    /// All sessions of a user were ended.
    SessionsEndedAll,
    /// The owner of an account has changed its password.
    PasswordChanged,
    /// An operator has set an account's password.
    PasswordSetByOperator,
    /// The password that was to be given again was not right.
    PasswordRefused,
    /// A link that sets a new password was sent.
    PasswordResetRequested,
    /// A password was set with the link that was sent.
    PasswordReset,
    /// An address was proved.
    EmailVerified,
    /// Another address was asked for.
    EmailChangeRequested,
    /// An account has got another address, proved.
    EmailChanged,
    /// The names of a person were changed.
    ProfileChanged,
    /// All that is kept on a user was given out to them.
    DataExported,
    /// The owner has closed an account; it will be deleted.
    DeletionScheduled,
    /// A closed account was opened again with the link that was sent.
    DeletionCancelled,
    /// A signing key was made.
    KeyMade,
    /// An operator has published the next signing keys.
    KeyRotated,
    /// A signing key that was published signs at once, for the one before it was dropped.
    KeyActivated,
    /// A signing key was sealed anew, under another key-encryption key.
    KeyResealed,
    /// A signing key was dropped.
    KeyDropped,
    /// An account was made staff or superuser.
    RoleGranted,
    /// An account is staff or superuser no longer.
    RoleTaken,
    /// A group was made.
    GroupCreated,
    /// A group was deleted.
    GroupDeleted,
    /// An account was put into a group.
    GroupMemberAdded,
    /// An account was taken out of a group.
    GroupMemberRemoved,
    /// A group was given a permission.
    PermissionGranted,
    /// A permission was taken from a group.
    PermissionTaken,
    /// An operator has made the token that makes the first administrator.
    BootstrapTokenMade,
    /// An API key was made.
    ApiKeyMade,
    /// An API key was revoked.
    ApiKeyRevoked,
    /// An API key was exchanged for a token.
    ApiKeyUsed,
    /// What was presented as an API key is none, or not good.
    ApiKeyRefused,
    /// A batch of another system's users was taken in.
    ImportApplied,
    /// An account that was here got another password, other roles, or was disabled or enabled, because it did there.
    ImportChangedAccess,
    /// A backup was put in the place of the database.
    DatabaseRestored,
}

impl EventKind {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::UserRegistered,
        Self::UserCreated,
        Self::UserDisabled,
        Self::UserEnabled,
        Self::UserDeleted,
        Self::LoginSucceeded,
        Self::LoginFailed,
        Self::LoginStormBegan,
        Self::LoginStormEnded,
        Self::PasswordStopped,
        Self::SessionAdopted,
        Self::SessionEnded,
        Self::SessionReuseDetected,
        Self::SessionsEndedAll,
        Self::PasswordChanged,
        Self::PasswordSetByOperator,
        Self::PasswordRefused,
        Self::PasswordResetRequested,
        Self::PasswordReset,
        Self::EmailVerified,
        Self::EmailChangeRequested,
        Self::EmailChanged,
        Self::ProfileChanged,
        Self::DataExported,
        Self::DeletionScheduled,
        Self::DeletionCancelled,
        Self::KeyMade,
        Self::KeyRotated,
        Self::KeyActivated,
        Self::KeyResealed,
        Self::KeyDropped,
        Self::RoleGranted,
        Self::RoleTaken,
        Self::GroupCreated,
        Self::GroupDeleted,
        Self::GroupMemberAdded,
        Self::GroupMemberRemoved,
        Self::PermissionGranted,
        Self::PermissionTaken,
        Self::BootstrapTokenMade,
        Self::ApiKeyMade,
        Self::ApiKeyRevoked,
        Self::ApiKeyUsed,
        Self::ApiKeyRefused,
        Self::ImportApplied,
        Self::ImportChangedAccess,
        Self::DatabaseRestored,
    ];

    /// Its name, as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserRegistered => "user.registered",
            Self::UserCreated => "user.created",
            Self::UserDisabled => "user.disabled",
            Self::UserEnabled => "user.enabled",
            Self::UserDeleted => "user.deleted",
            Self::LoginSucceeded => "login.succeeded",
            Self::LoginFailed => "login.failed",
            Self::LoginStormBegan => "login.storm_began",
            Self::LoginStormEnded => "login.storm_ended",
            Self::PasswordStopped => "password.stopped",
            Self::SessionAdopted => "session.adopted",
            Self::SessionEnded => "session.ended",
            Self::SessionReuseDetected => "session.reuse_detected",
            Self::SessionsEndedAll => "sessions.ended_all",
            Self::PasswordChanged => "password.changed",
            Self::PasswordSetByOperator => "password.set_by_operator",
            Self::PasswordRefused => "password.refused",
            Self::PasswordResetRequested => "password.reset_requested",
            Self::PasswordReset => "password.reset",
            Self::EmailVerified => "email.verified",
            Self::EmailChangeRequested => "email.change_requested",
            Self::EmailChanged => "email.changed",
            Self::ProfileChanged => "profile.changed",
            Self::DataExported => "data.exported",
            Self::DeletionScheduled => "deletion.scheduled",
            Self::DeletionCancelled => "deletion.cancelled",
            Self::KeyMade => "key.made",
            Self::KeyRotated => "key.rotated",
            Self::KeyActivated => "key.activated",
            Self::KeyResealed => "key.resealed",
            Self::KeyDropped => "key.dropped",
            Self::RoleGranted => "role.granted",
            Self::RoleTaken => "role.taken",
            Self::GroupCreated => "group.created",
            Self::GroupDeleted => "group.deleted",
            Self::GroupMemberAdded => "group.member_added",
            Self::GroupMemberRemoved => "group.member_removed",
            Self::PermissionGranted => "permission.granted",
            Self::PermissionTaken => "permission.taken",
            Self::BootstrapTokenMade => "bootstrap.token_made",
            Self::ApiKeyMade => "api_key.made",
            Self::ApiKeyRevoked => "api_key.revoked",
            Self::ApiKeyUsed => "api_key.used",
            Self::ApiKeyRefused => "api_key.refused",
            Self::ImportApplied => "import.applied",
            Self::ImportChangedAccess => "import.access_changed",
            Self::DatabaseRestored => "database.restored",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// How it ended, unless the event says otherwise.
    const fn usual_outcome(self) -> Outcome {
        match self {
            Self::LoginFailed | Self::SessionReuseDetected | Self::ApiKeyRefused | Self::PasswordRefused => {
                Outcome::Refused
            }
            _ => Outcome::Done,
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused.
    Refused,
}

impl Outcome {
    /// Its name, as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Somebody who has not said who they are, or has not proved it.
    Anonymous,
    /// A user, by a token of theirs.
    User(UserId),
    /// Another service, by its name.
    Service(String),
    /// Whoever runs the program's commands.
    Operator,
    /// The service by itself.
    System,
}

impl Actor {
    /// What sort it is, as it is stored.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User(_) => "user",
            Self::Service(_) => "service",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }

    /// Which one it is, where there are several. A user who acts on the own account is not named twice.
    #[must_use]
    pub fn id(&self, on: Option<UserId>) -> Option<String> {
        match self {
            Self::User(id) if Some(*id) == on => None,
            Self::User(id) => Some(id.to_string()),
            Self::Service(name) => Some(name.clone()),
            Self::Anonymous | Self::Operator | Self::System => None,
        }
    }
}

/// Something that happened, without when and by whom.
///
/// Details are small and for people to read: numbers, words of our own, names of keys. Never what somebody typed in the
/// place of a name (it may be a password), no secret, no token; and nothing about a person that is not the event's user,
/// since it could not be erased with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// How it ended.
    pub outcome: Outcome,
    /// Whose account it is about; the row's personal data are erased with that account.
    pub user: Option<UserId>,
    /// Which session it is about.
    pub session: Option<SessionId>,
    detail: Map<String, Value>,
}

impl Event {
    /// Something of this kind, done, or refused where that is what the kind says.
    #[must_use]
    pub fn new(kind: EventKind) -> Self {
        Self { kind, outcome: kind.usual_outcome(), user: None, session: None, detail: Map::new() }
    }

    /// About this account.
    #[must_use]
    pub fn user(self, id: UserId) -> Self {
        Self { user: Some(id), ..self }
    }

    /// About this session.
    #[must_use]
    pub fn session(self, id: SessionId) -> Self {
        Self { session: Some(id), ..self }
    }

    /// It was refused.
    #[must_use]
    pub fn refused(self) -> Self {
        Self { outcome: Outcome::Refused, ..self }
    }

    /// Adds a detail.
    #[must_use]
    pub fn detail(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        _ = self.detail.insert(name.to_owned(), value.into());
        self
    }

    /// The details as a JSON object, if there are any.
    #[must_use]
    pub fn detail_text(&self) -> Option<String> {
        (!self.detail.is_empty()).then(|| Value::Object(self.detail.clone()).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dotted_and_each_means_one_kind() {
        for kind in EventKind::ALL {
            let name = kind.as_str();
            assert_eq!(EventKind::parse(name), Some(*kind));
            assert!(name.split('.').count() == 2, "{name}");
            assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'.')), "{name}");
        }
        assert_eq!(EventKind::parse("login.nothing"), None);
    }

    #[test]
    fn a_user_on_the_own_account_is_not_named_twice() {
        let (ann, bob) = (UserId::new(1), UserId::new(2));
        assert_eq!(Actor::User(ann).id(Some(ann)), None);
        assert_eq!(Actor::User(ann).id(Some(bob)).as_deref(), Some("1"));
        assert_eq!(Actor::User(ann).id(None).as_deref(), Some("1"));
        assert_eq!(Actor::Service("shop".into()).id(Some(ann)).as_deref(), Some("shop"));
    }

    #[test]
    fn details_are_one_object_of_json() {
        // LA-03
        let event = Event::new(EventKind::ImportApplied).detail("source", "a\r\n\u{1b}[2J").detail("rows", 7);
        assert_eq!(event.detail_text().unwrap(), r#"{"rows":7,"source":"a\r\n\u001b[2J"}"#);
        assert_eq!(Event::new(EventKind::LoginFailed).detail_text(), None);
        assert_eq!(Event::new(EventKind::LoginFailed).outcome, Outcome::Refused);
    }
}
