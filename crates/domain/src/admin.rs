//! Who may administer: the permissions that the routes of administrators ask for, and the rule that nobody gives or
//! touches more than they have (AD-03).

use crate::group::Permissions;
use crate::user::User;

/// A permission of our own. Those for accounts and groups have the names that Django gives its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// See accounts.
    ViewUser,
    /// Make accounts.
    AddUser,
    /// Disable and enable accounts, put them into groups and take them out.
    ChangeUser,
    /// Delete accounts.
    DeleteUser,
    /// See sessions.
    ViewSession,
    /// End sessions.
    DeleteSession,
    /// See groups and what they give.
    ViewGroup,
    /// Make groups.
    AddGroup,
    /// Change what groups give.
    ChangeGroup,
    /// Delete groups.
    DeleteGroup,
    /// See signing keys, without their secrets.
    ViewSigningKey,
    /// Publish the next signing keys.
    AddSigningKey,
    /// Read the audit trail.
    ViewAuditEvent,
    /// See API keys, without their secrets.
    ViewApiKey,
    /// Make API keys.
    AddApiKey,
    /// Revoke API keys.
    DeleteApiKey,
}

impl Right {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::ViewUser,
        Self::AddUser,
        Self::ChangeUser,
        Self::DeleteUser,
        Self::ViewSession,
        Self::DeleteSession,
        Self::ViewGroup,
        Self::AddGroup,
        Self::ChangeGroup,
        Self::DeleteGroup,
        Self::ViewSigningKey,
        Self::AddSigningKey,
        Self::ViewAuditEvent,
        Self::ViewApiKey,
        Self::AddApiKey,
        Self::DeleteApiKey,
    ];

    /// Its name among the permissions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ViewUser => "auth.view_user",
            Self::AddUser => "auth.add_user",
            Self::ChangeUser => "auth.change_user",
            Self::DeleteUser => "auth.delete_user",
            Self::ViewSession => "auth.view_session",
            Self::DeleteSession => "auth.delete_session",
            Self::ViewGroup => "auth.view_group",
            Self::AddGroup => "auth.add_group",
            Self::ChangeGroup => "auth.change_group",
            Self::DeleteGroup => "auth.delete_group",
            Self::ViewSigningKey => "auth.view_signingkey",
            Self::AddSigningKey => "auth.add_signingkey",
            Self::ViewAuditEvent => "auth.view_auditevent",
            Self::ViewApiKey => "auth.view_apikey",
            Self::AddApiKey => "auth.add_apikey",
            Self::DeleteApiKey => "auth.delete_apikey",
        }
    }
}

/// Whether an account gets in at all: Django's staff, and its superusers.
#[must_use]
pub fn gets_in(user: &User) -> bool {
    user.is_active() && (user.is_staff || user.is_superuser)
}

/// What an account may when it is enabled: what counts when somebody else changes it. A disabled superuser is not an
/// account without rights, for it can be enabled.
#[must_use]
pub fn when_enabled(user: &User, granted: impl IntoIterator<Item = String>) -> Permissions {
    Permissions::of(&User { disabled_at: None, ..user.clone() }, granted)
}

/// Whether somebody with the permissions `own` may give, take or touch what gives those of `other`: none is missing.
#[must_use]
pub fn covers(own: &Permissions, other: &Permissions) -> bool {
    own.has_all() || (!other.has_all() && other.names().all(|name| own.allows(name)))
}

/// A flag of an account that only superusers may give and take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// May use the routes of administrators, as far as permissions go.
    Staff,
    /// Has every permission.
    Superuser,
}

impl Role {
    /// The role of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Staff, Self::Superuser].into_iter().find(|role| role.as_str() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Superuser => "superuser",
        }
    }
}

/// What a token says that a user is: the roles above, by their names, and groups. A group that is called like one of them is left
/// out, so that nobody becomes a superuser elsewhere by a group's name.
pub fn roles<'a>(user: &User, groups: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let own = [(user.is_staff, Role::Staff), (user.is_superuser, Role::Superuser)];
    let own = own.into_iter().filter(|(has, _)| *has).map(|(_, role)| role.as_str());
    let groups = groups.into_iter().filter(|name| Role::parse(name).is_none());
    own.chain(groups).map(str::to_owned).collect()
}

/// The longest name of a permission, in bytes: Django's longest application label, a dot, its longest code name.
const MAX_PERMISSION: usize = 201;

/// Whether a text can be the name of a permission: `application.codename`, words of letters, digits and `_`. Scopes of
/// tokens are lists of such names between spaces (RFC 6749 section 3.3).
#[must_use]
pub fn is_permission_name(text: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    text.len() <= MAX_PERMISSION
        && text.split_once('.').is_some_and(|(application, name)| is_word(application) && is_word(name))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::time::Timestamp;
    use crate::user::{EmailAddress, UserId, Username};

    fn user(is_staff: bool, is_superuser: bool, disabled: bool) -> User {
        User {
            id: UserId::new(1),
            username: Username::from_stored("ann".into()),
            email: EmailAddress::from_stored(String::new()),
            first_name: String::new(),
            last_name: String::new(),
            is_staff,
            is_superuser,
            epoch: 0,
            created_at: Timestamp::from_seconds(0),
            last_login_at: None,
            disabled_at: disabled.then(|| Timestamp::from_seconds(1)),
            not_before: None,
            email_verified_at: None,
            pending_email: None,
            delete_at: None,
        }
    }

    fn of(is_superuser: bool, names: &[String]) -> Permissions {
        when_enabled(&user(true, is_superuser, true), names.iter().cloned())
    }

    #[test]
    fn names_are_permission_names_and_each_means_one_right() {
        let names: std::collections::BTreeSet<&str> = Right::ALL.iter().map(|right| right.as_str()).collect();
        assert_eq!(names.len(), Right::ALL.len());
        assert!(names.iter().all(|name| is_permission_name(name)), "{names:?}");
        for bad in [
            "",
            "auth",
            "auth.",
            ".x",
            "a.b.c",
            "auth.view user",
            "auth.vïew",
            &format!("a.{}", "x".repeat(200)),
        ] {
            assert!(!is_permission_name(bad), "{bad:?}");
        }
    }

    // AD-01
    #[test]
    fn who_is_neither_staff_nor_superuser_or_is_disabled_stays_out() {
        assert!(gets_in(&user(true, false, false)) && gets_in(&user(false, true, false)));
        assert!(!gets_in(&user(false, false, false)));
        assert!(!gets_in(&user(true, false, true)) && !gets_in(&user(false, true, true)));
    }

    #[test]
    fn a_group_does_not_pass_for_a_role() {
        let groups = ["Editors", "superuser", "staff", "Superuser"];
        assert_eq!(roles(&user(false, false, false), groups), ["Editors", "Superuser"]);
        assert_eq!(roles(&user(true, true, false), groups), ["staff", "superuser", "Editors", "Superuser"]);
    }

    proptest! {
        // AD-03
        #[test]
        fn nobody_covers_more_than_they_have(own in vec("[ab]\\.[cd]", 0..4), other in vec("[ab]\\.[cd]", 0..4)) {
            let included = other.iter().all(|name| own.contains(name));
            prop_assert_eq!(covers(&of(false, &own), &of(false, &other)), included);
            prop_assert!(covers(&of(true, &own), &of(false, &other)) && covers(&of(true, &own), &of(true, &other)));
            prop_assert!(!covers(&of(false, &own), &of(true, &other)), "a superuser has more than any list");
        }
    }
}
