//! From a row of `auth_user` to a user of ours, or to the reason why there is none.

use domain::time::Timestamp;
use domain::user::{EmailAddress, UserId, Username, canonical_name};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rusqlite::types::Value;
use service::import::{Groups, ImportedUser};

use super::source::RawRow;
use crate::password::{Password, Remarks};
use crate::report::NoteKind;

/// A usable row and what is odd about it.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) user: ImportedUser,
    pub(super) remarks: Remarks,
}

/// The largest id that every client reads exactly: JSON numbers are doubles in JavaScript (RFC 8259 section 6).
pub(super) const MAX_ID: i64 = (1 << 53) - 1;

/// Longest text of a column, in code points. Django's own limits are lower (150 and 254); more is no user's doing.
const MAX_TEXT: usize = 1_000;

/// Checks a row.
///
/// # Errors
/// Why it cannot be used, for the report.
pub(super) fn check(row: &RawRow, here: &Groups) -> Result<Checked, String> {
    let [
        username,
        email,
        first_name,
        last_name,
        password,
        is_active,
        is_staff,
        is_superuser,
        joined,
        last_login,
    ] = &row.cells;
    if !(1..=MAX_ID).contains(&row.id) {
        return Err(format!("its id is not between 1 and {MAX_ID}, where JSON numbers are exact everywhere"));
    }
    let mut remarks = Vec::new();
    let name = name(username, &mut remarks)?;
    let password = Password::check(text("password", password)?, &mut remarks);
    let last_login_at = match last_login {
        Value::Null => None,
        cell => time("last_login", cell).map_err(|reason| remarks.push((NoteKind::NoLastLogin, reason))).ok(),
    };
    let user = ImportedUser {
        id: Some(UserId::new(row.id)),
        username: name,
        email: EmailAddress::from_stored(optional_text("email", email)?.to_owned()),
        first_name: optional_text("first_name", first_name)?.to_owned(),
        last_name: optional_text("last_name", last_name)?.to_owned(),
        password_hash: password.hash,
        password_scheme: password.scheme,
        password_trims: true,
        is_active: flag("is_active", is_active)?,
        is_staff: flag("is_staff", is_staff)?,
        is_superuser: flag("is_superuser", is_superuser)?,
        created_at: Some(time("date_joined", joined)?),
        last_login_at,
        groups: row.groups.iter().filter_map(|id| here.groups.get(id).copied().flatten()).collect(),
        permissions: row.permissions.iter().filter_map(|id| here.permissions.get(id).copied()).collect(),
        fingerprint: fingerprint(row, here),
    };
    Ok(Checked { user, remarks })
}

fn name(cell: &Value, remarks: &mut Remarks) -> Result<Username, String> {
    let raw_name = text("username", cell)?;
    let name = canonical_name(raw_name);
    if name.is_empty() {
        return Err("its username is empty".to_owned());
    }
    if name != raw_name {
        remarks.push((NoteKind::Renamed, format!("its name is stored in its canonical spelling, {name:?}")));
    }
    Ok(Username::from_stored(name))
}

pub(super) fn text<'a>(column: &str, cell: &'a Value) -> Result<&'a str, String> {
    match cell {
        Value::Text(text) if text.contains('\0') => Err(format!("its {column} holds a null character")),
        Value::Text(text) if text.chars().count() > MAX_TEXT => Err(format!("its {column} is too long")),
        Value::Text(text) => Ok(text),
        Value::Blob(_) => Err(format!("its {column} is not UTF-8 text")),
        Value::Null => Err(format!("its {column} is missing")),
        Value::Integer(_) | Value::Real(_) => Err(format!("its {column} is a number")),
    }
}

/// Django forbids NULL in these columns; a hand-made row may have it, and blank means the same.
fn optional_text<'a>(column: &str, cell: &'a Value) -> Result<&'a str, String> {
    if matches!(cell, Value::Null) { Ok("") } else { text(column, cell) }
}

fn flag(column: &str, cell: &Value) -> Result<bool, String> {
    match cell {
        Value::Integer(0) => Ok(false),
        Value::Integer(1) => Ok(true),
        _ => Err(format!("its {column} is neither 0 nor 1")),
    }
}

/// `2024-05-01 12:00:00` and `2024-05-01 12:00:00.123456`, in UTC as Django stores them.
pub(super) fn time(column: &str, cell: &Value) -> Result<Timestamp, String> {
    let wrong = || format!("its {column} is not a time");
    let Value::Text(text) = cell else { return Err(wrong()) };
    let time: DateTime = text.parse().map_err(|_| wrong())?;
    let has_offset = text.get(10..).is_some_and(|rest| rest.contains(['+', '-', 'Z', 'z']));
    if has_offset || !text.contains(':') {
        return Err(wrong());
    }
    let instant = time.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp();
    Ok(Timestamp::from_micros(instant.as_microsecond()))
}

/// SHA-256 over the cells before the last login, each with its type and length, so that no two rows share a text; and over the
/// groups and permissions that are known here, if any. One that came into being while the import runs counts at the next run.
fn fingerprint(row: &RawRow, here: &Groups) -> [u8; 32] {
    let mut all = Vec::with_capacity(384);
    for cell in &row.cells[..9] {
        match cell {
            Value::Null => add(&mut all, 0, &[]),
            Value::Integer(number) => add(&mut all, 1, &number.to_be_bytes()),
            Value::Real(number) => add(&mut all, 2, &number.to_be_bytes()),
            Value::Text(text) => add(&mut all, 3, text.as_bytes()),
            Value::Blob(bytes) => add(&mut all, 4, bytes),
        }
    }
    for id in row.groups.iter().filter(|id| here.groups.contains_key(id)) {
        add(&mut all, 5, &id.to_be_bytes());
    }
    for id in row.permissions.iter().filter(|id| here.permissions.contains_key(id)) {
        add(&mut all, 6, &id.to_be_bytes());
    }
    crypto::keyed::sha256(&all)
}

fn add(all: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    all.push(kind);
    all.extend((bytes.len() as u64).to_be_bytes());
    all.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(row: &RawRow) -> Result<Checked, String> {
        super::check(row, &Groups::default())
    }

    fn cell(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn row() -> RawRow {
        RawRow {
            id: 7,
            cells: [
                cell("ann"),
                cell("ann@example.com"),
                cell("Ann"),
                cell("Example"),
                cell("pbkdf2_sha256$870000$salt$4a6S1Qy0yz1zX0fF2v1V0w3l4P3pYh4l7mG2z3b3c3Q="),
                Value::Integer(1),
                Value::Integer(0),
                Value::Integer(1),
                cell("2024-05-01 12:00:00.123456"),
                cell("2024-05-02 12:00:00"),
            ],
            groups: Vec::new(),
            permissions: Vec::new(),
        }
    }

    fn with(index: usize, value: Value) -> RawRow {
        let mut row = row();
        row.cells[index] = value;
        row
    }

    #[test]
    fn a_good_row_comes_over_as_it_is() {
        let Checked { user, remarks } = check(&row()).unwrap();
        assert_eq!(remarks, []);
        assert_eq!(
            (user.id.unwrap().get(), user.username.as_str(), user.email.as_str()),
            (7, "ann", "ann@example.com")
        );
        assert!(user.is_active && !user.is_staff && user.is_superuser);
        assert_eq!(user.created_at, Some(Timestamp::from_micros(1_714_564_800_123_456)));
        assert_eq!(user.last_login_at, Some(Timestamp::from_seconds(1_714_651_200)));
    }

    #[test]
    fn unusable_rows_say_why() {
        let cases = [
            (0, Value::Null, "username is missing"),
            (0, cell(""), "username is empty"),
            (0, cell(" \u{1f}"), "username is empty"),
            (0, Value::Blob(vec![0xff]), "username is not UTF-8"),
            (0, Value::Integer(5), "username is a number"),
            (0, cell("a\0b"), "null character"),
            (1, cell(&"x".repeat(1_001)), "email is too long"),
            (4, Value::Null, "password is missing"),
            (5, Value::Null, "is_active is neither"),
            (6, Value::Integer(2), "is_staff is neither"),
            (7, cell("true"), "is_superuser is neither"),
            (8, Value::Null, "date_joined is not a time"),
            (8, cell("2024-02-30 00:00:00"), "date_joined is not a time"),
            (8, cell("2024-02-01"), "date_joined is not a time"),
            (8, cell("2024-02-01 00:00:00+02:00"), "date_joined is not a time"),
        ];
        for (index, value, reason) in cases {
            let row = with(index, value);
            let said = check(&row).unwrap_err();
            assert!(said.contains(reason), "{said} / {reason}");
        }
        assert!(check(&RawRow { id: 0, ..row() }).is_err());
    }

    #[test]
    fn oddities_are_remarked_and_the_row_comes_over() {
        let cases = [
            (0, cell(" ａnn "), NoteKind::Renamed),
            (4, cell("crypt$$x"), NoteKind::UnknownHash),
            (9, cell("never"), NoteKind::NoLastLogin),
        ];
        for (index, value, kind) in cases {
            let Checked { user, remarks } = check(&with(index, value)).unwrap();
            assert_eq!(remarks.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [kind]);
            assert_eq!(user.username.as_str(), "ann");
        }
        assert_eq!(check(&with(9, Value::Null)).unwrap().user.last_login_at, None);
        assert_eq!(check(&with(4, cell("!unusable"))).unwrap().remarks, []);
        assert_eq!(check(&with(1, Value::Null)).unwrap().user.email.as_str(), "");
    }

    #[test]
    fn fingerprints_see_every_cell_but_the_last_login() {
        let base = check(&row()).unwrap().user.fingerprint;
        assert_eq!(check(&with(9, Value::Null)).unwrap().user.fingerprint, base);
        let changes = [
            (0, cell("bob")),
            (1, cell("")),
            (2, cell("AnnE")),
            (3, cell("xample")),
            (4, cell("!x")),
            (5, Value::Integer(0)),
            (6, Value::Integer(1)),
            (7, Value::Integer(0)),
            (8, cell("2024-05-01 12:00:00.123457")),
        ];
        for (index, value) in changes {
            assert_ne!(check(&with(index, value)).unwrap().user.fingerprint, base, "{index}");
        }
    }
}
