//! Groups and permissions, as Django has them, and what a user may.

use std::collections::BTreeSet;

use crate::field::{self, Message};
use crate::user::User;

/// The longest name of a group, in code points, as in Django.
const MAX_NAME: usize = 150;

/// A group's number.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupId(i64);

impl GroupId {
    /// The group with this number.
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// Its number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// A permission's number.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PermissionId(i64);

impl PermissionId {
    /// The permission with this number.
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// Its number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// The name of a group: trimmed, compared exactly.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupName(String);

impl GroupName {
    /// Reads a name: at most 150 code points, no control characters.
    ///
    /// # Errors
    /// What is wrong, in Django's words where it has some.
    pub fn parse(raw: &str) -> Result<Self, Vec<Message>> {
        let name = field::text(raw)?;
        if name.chars().count() > MAX_NAME {
            return Err(vec![field::too_long(MAX_NAME)]);
        }
        if name.chars().any(char::is_control) {
            return Err(vec!["Control characters are not allowed.".into()]);
        }
        Ok(Self(name))
    }

    /// A name that was accepted before.
    pub fn from_stored(name: String) -> Self {
        Self(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its number.
    pub id: GroupId,
    /// Its name.
    pub name: GroupName,
}

/// What a user may: the permissions given to the user and to the user's groups, as `application.codename`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permissions {
    all: bool,
    names: BTreeSet<String>,
}

impl Permissions {
    /// The permissions of a user to whom `granted` was given, directly or by a group. A disabled account has none, a superuser
    /// has every one, as in Django's `ModelBackend`.
    pub fn of(user: &User, granted: impl IntoIterator<Item = String>) -> Self {
        let names = if user.is_active() { granted.into_iter().collect() } else { BTreeSet::new() };
        Self { all: user.is_active() && user.is_superuser, names }
    }

    /// These and no others.
    pub fn named(names: impl IntoIterator<Item = String>) -> Self {
        Self { all: false, names: names.into_iter().collect() }
    }

    /// Whether the user has this permission.
    pub fn allows(&self, name: &str) -> bool {
        self.all || self.names.contains(name)
    }

    /// Whether the user has every permission there is or will be.
    pub fn has_all(&self) -> bool {
        self.all
    }

    /// Those that were given by name, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use crate::user::{EmailAddress, UserId, Username};

    fn user(is_superuser: bool, disabled: bool) -> User {
        User {
            id: UserId::new(1),
            username: Username::from_stored("ann".into()),
            email: EmailAddress::from_stored(String::new()),
            first_name: String::new(),
            last_name: String::new(),
            is_staff: true,
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

    #[test]
    fn a_superuser_has_all_a_disabled_account_has_none() {
        let granted =
            || ["shop.add_book".to_owned(), "shop.add_book".to_owned(), "shop.view_book".to_owned()];
        let plain = Permissions::of(&user(false, false), granted());
        assert!(plain.allows("shop.add_book") && !plain.allows("shop.delete_book") && !plain.has_all());
        assert_eq!(plain.names().collect::<Vec<_>>(), ["shop.add_book", "shop.view_book"]);
        assert!(
            !Permissions::of(&user(false, false), []).allows("shop.add_book"),
            "staff alone means nothing"
        );
        assert!(Permissions::of(&user(true, false), []).allows("anything.at_all"));
        for is_superuser in [false, true] {
            let disabled = Permissions::of(&user(is_superuser, true), granted());
            assert!(
                !disabled.allows("shop.add_book") && !disabled.has_all() && disabled.names().count() == 0
            );
        }
    }

    #[test]
    fn names_are_bounded_and_visible() {
        assert_eq!(GroupName::parse(" Editors & co. ").unwrap().as_str(), "Editors & co.");
        for bad in ["", "  ", "a\0b", "a\u{1b}[2J", &"x".repeat(151)] {
            assert!(GroupName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
