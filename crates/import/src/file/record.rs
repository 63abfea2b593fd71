//! A user as a file has it, checked.

use std::collections::HashMap;

use domain::group::{GroupId, GroupName, PermissionId};
use domain::time::Timestamp;
use domain::user::{EmailAddress, UserId, Username, canonical_name};
use service::App;
use service::import::{ImportedUser, group_named, permission_named};

use crate::Error;
use crate::password::{Password, Remarks, UNUSABLE};
use crate::report::{NoteKind, Report};

/// The members, in the order in which they are written.
pub(super) const MEMBERS: [&str; 14] = [
    "id",
    "username",
    "email",
    "first_name",
    "last_name",
    "password_hash",
    "password_trims",
    "is_active",
    "is_staff",
    "is_superuser",
    "groups",
    "permissions",
    "date_joined",
    "last_login",
];

/// The largest id that every client reads exactly (RFC 8259 section 6).
const MAX_ID: i64 = (1 << 53) - 1;
/// Longest text of a member, in code points; far above Django's own limits.
const MAX_TEXT: usize = 1_000;
/// Most groups, and most permissions, of one user.
const MOST_NAMES: usize = 1_000;
/// Most different groups, and permissions, in one file: they are held in memory.
const MOST_DIFFERENT: usize = 100_000;

/// A row as it was read; what is not there is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) id: Option<i64>,
    pub(super) username: Option<String>,
    pub(super) email: Option<String>,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) password_hash: Option<String>,
    pub(super) password_trims: Option<bool>,
    pub(super) is_active: Option<bool>,
    pub(super) is_staff: Option<bool>,
    pub(super) is_superuser: Option<bool>,
    pub(super) groups: Vec<String>,
    pub(super) permissions: Vec<String>,
    pub(super) date_joined: Option<String>,
    pub(super) last_login: Option<String>,
}

/// A usable row; its groups and permissions are still names.
pub(super) struct Checked {
    user: ImportedUser,
    groups: Vec<GroupName>,
    permissions: Vec<String>,
}

impl Record {
    /// The name as far as there is one.
    pub(super) fn shown_name(&self) -> String {
        self.username.clone().unwrap_or_default()
    }

    /// Checks it.
    ///
    /// # Errors
    /// Which member is wrong and why, for the report.
    pub(super) fn check(self) -> Result<(Checked, Remarks), String> {
        let mut remarks = Remarks::new();
        if self.id.is_some_and(|id| !(1..=MAX_ID).contains(&id)) {
            return Err(format!(
                "its id is not between 1 and {MAX_ID}, where JSON numbers are exact everywhere"
            ));
        }
        let fingerprint = self.fingerprint();
        let name = name(self.username.as_deref(), &mut remarks)?;
        let stored = text("password_hash", self.password_hash)?;
        let password = Password::check(if stored.is_empty() { UNUSABLE } else { &stored }, &mut remarks);
        // Django's own forms begin with a name, those of others with a dollar sign.
        let trims = self.password_trims.unwrap_or(!password.hash.starts_with(['$', '!']));
        let user = ImportedUser {
            id: self.id.map(UserId::new),
            username: name,
            email: EmailAddress::from_stored(text("email", self.email)?),
            first_name: text("first_name", self.first_name)?,
            last_name: text("last_name", self.last_name)?,
            password_hash: password.hash,
            password_scheme: password.scheme,
            password_trims: trims,
            is_active: self.is_active.unwrap_or(true),
            is_staff: self.is_staff.unwrap_or(false),
            is_superuser: self.is_superuser.unwrap_or(false),
            created_at: self.date_joined.map(|text| time("date_joined", &text)).transpose()?,
            last_login_at: self.last_login.map(|text| time("last_login", &text)).transpose()?,
            groups: Vec::new(),
            permissions: Vec::new(),
            fingerprint,
        };
        let groups = self.groups.iter().map(|name| GroupName::parse(name));
        let groups =
            groups.collect::<Result<_, _>>().map_err(|faults| format!("its groups: {}", faults.join(" ")))?;
        let permissions = names("permissions", self.permissions)?;
        Ok((Checked { user, groups: bounded("groups", groups)?, permissions }, remarks))
    }

    /// SHA-256 over every member but the last login, each with its length or as missing.
    fn fingerprint(&self) -> [u8; 32] {
        let Self { id, username, email, first_name, last_name, password_hash, date_joined, .. } = self;
        let mut all = Vec::with_capacity(384);
        let mut add = |text: Option<&str>| {
            all.extend(text.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
            all.extend(text.unwrap_or_default().as_bytes());
        };
        add(id.map(|id| id.to_string()).as_deref());
        for text in [username, email, first_name, last_name, password_hash, date_joined] {
            add(text.as_deref());
        }
        for flag in [self.password_trims, self.is_active, self.is_staff, self.is_superuser] {
            add(flag.map(|flag| if flag { "true" } else { "false" }));
        }
        for list in [&self.groups, &self.permissions] {
            add(Some(&list.len().to_string()));
            list.iter().for_each(|name| add(Some(name)));
        }
        crypto::keyed::sha256(&all)
    }
}

fn name(raw: Option<&str>, remarks: &mut Remarks) -> Result<Username, String> {
    let raw = text("username", raw.map(str::to_owned))?;
    let name = canonical_name(&raw);
    if name.is_empty() {
        return Err("its username is missing or empty".to_owned());
    }
    if name != raw {
        remarks.push((NoteKind::Renamed, format!("its name is stored in its canonical spelling, {name:?}")));
    }
    Ok(Username::from_stored(name))
}

fn text(member: &str, text: Option<String>) -> Result<String, String> {
    let text = text.unwrap_or_default();
    if text.contains('\0') {
        return Err(format!("its {member} holds a null character"));
    }
    if text.chars().count() > MAX_TEXT {
        return Err(format!("its {member} is longer than {MAX_TEXT} characters"));
    }
    Ok(text)
}

fn names(member: &str, list: Vec<String>) -> Result<Vec<String>, String> {
    let checked: Vec<String> =
        list.into_iter().map(|name| text(member, Some(name))).collect::<Result<_, _>>()?;
    if checked.iter().any(String::is_empty) {
        return Err(format!("its {member} hold an empty name"));
    }
    bounded(member, checked)
}

fn bounded<T>(member: &str, list: Vec<T>) -> Result<Vec<T>, String> {
    if list.len() > MOST_NAMES { Err(format!("its {member} are more than {MOST_NAMES}")) } else { Ok(list) }
}

/// RFC 3339, with an offset: a time without one could be anybody's.
fn time(member: &str, text: &str) -> Result<Timestamp, String> {
    let wrong = |_| format!("its {member} is not a time such as 2024-05-01T12:00:00Z");
    let time: jiff::Timestamp = text.parse().map_err(wrong)?;
    Ok(Timestamp::from_micros(time.as_microsecond()))
}

/// What the names of groups and permissions mean here; each is looked up once.
#[derive(Default)]
pub(super) struct Members {
    groups: HashMap<GroupName, Option<GroupId>>,
    permissions: HashMap<String, Option<PermissionId>>,
}

impl Members {
    /// A row with the ids of its groups and permissions; those that are not here are made.
    pub(super) async fn resolve(
        &mut self,
        app: &App,
        checked: Checked,
        dry_run: bool,
        report: &mut Report,
    ) -> Result<ImportedUser, Error> {
        let Checked { mut user, groups, permissions } = checked;
        for name in groups {
            if !self.groups.contains_key(&name) {
                let (id, made) = group_named(app, &name, dry_run).await?;
                count(&mut report.groups, made, self.groups.len())?;
                self.groups.insert(name.clone(), id);
            }
            user.groups.extend(self.groups.get(&name).copied().flatten());
        }
        for name in permissions {
            if !self.permissions.contains_key(&name) {
                let (id, made) = permission_named(app, &name, dry_run).await?;
                count(&mut report.permissions, made, self.permissions.len())?;
                self.permissions.insert(name.clone(), id);
            }
            user.permissions.extend(self.permissions.get(&name).copied().flatten());
        }
        user.groups.dedup();
        user.permissions.dedup();
        Ok(user)
    }
}

fn count(counts: &mut crate::report::Counts, made: bool, known: usize) -> Result<(), Error> {
    if known >= MOST_DIFFERENT {
        return Err(Error::Format(format!(
            "the file names more than {MOST_DIFFERENT} groups or permissions"
        )));
    }
    counts.read += 1;
    if made {
        counts.created += 1;
    } else {
        counts.unchanged += 1;
    }
    Ok(())
}
