//! Writes all users, page by page.

use std::io::Write;

use domain::time::Timestamp;
use domain::user::UserId;
use serde_json::{Map, Value};
use service::App;
use service::export::{ExportedUser, page};

use super::record::MEMBERS;
use super::{Format, cell};
use crate::Error;

/// Users that are read at a time.
const PAGE: u32 = 1_000;

/// Writes all users by id and answers how many. Accounts that change meanwhile are written as they are when their page is
/// read.
///
/// # Errors
/// [`Error::Write`], and what the database answers.
pub async fn export(
    app: &App,
    output: &mut (impl Write + Send),
    format: Format,
    with_passwords: bool,
) -> Result<u64, Error> {
    let mut count = 0;
    let mut after: Option<UserId> = None;
    if format == Format::Csv {
        write(
            output,
            &line(MEMBERS.into_iter().filter(|name| is_written(name, with_passwords)).map(str::to_owned))?,
        )?;
    }
    loop {
        let users = page(app, after, PAGE).await?;
        let Some(last) = users.last() else { break };
        after = Some(last.user.id);
        count += users.len() as u64;
        for user in &users {
            let members = members(user, with_passwords);
            let text = match format {
                Format::JsonLines => (Value::Object(members).to_string() + "\n").into_bytes(),
                Format::Csv => line(
                    MEMBERS
                        .into_iter()
                        .filter(|name| is_written(name, with_passwords))
                        .map(|name| as_cell(members.get(name))),
                )?,
            };
            write(output, &text)?;
        }
    }
    output.flush().map_err(failed)?;
    Ok(count)
}

fn is_written(name: &str, with_passwords: bool) -> bool {
    with_passwords || !name.starts_with("password")
}

fn write(output: &mut impl Write, text: &[u8]) -> Result<(), Error> {
    output.write_all(text).map_err(failed)
}

fn failed(source: std::io::Error) -> Error {
    Error::Write { what: "the users", source }
}

/// Members without a value are left out.
fn members(exported: &ExportedUser, with_passwords: bool) -> Map<String, Value> {
    let ExportedUser { user, password_hash, password_trims, groups, permissions } = exported;
    let text = |text: &str| (!text.is_empty()).then(|| Value::from(text));
    let list = |names: &[String]| (!names.is_empty()).then(|| Value::from(names));
    let all = [
        ("id", Some(user.id.get().into())),
        ("username", text(user.username.as_str())),
        ("email", text(user.email.as_str())),
        ("first_name", text(&user.first_name)),
        ("last_name", text(&user.last_name)),
        ("password_hash", text(password_hash).filter(|_| with_passwords)),
        ("password_trims", with_passwords.then_some((*password_trims).into())),
        ("is_active", Some(user.is_active().into())),
        ("is_staff", Some(user.is_staff.into())),
        ("is_superuser", Some(user.is_superuser.into())),
        ("groups", list(groups)),
        ("permissions", list(permissions)),
        ("date_joined", Some(time(user.created_at))),
        ("last_login", user.last_login_at.map(time)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// RFC 3339 to the microsecond; what no calendar has is a number that no import takes.
fn time(time: Timestamp) -> Value {
    match jiff::Timestamp::from_microsecond(time.micros()) {
        Ok(time) => time.to_string().into(),
        Err(_) => time.micros().to_string().into(),
    }
}

fn as_cell(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => cell::written(text).into_owned(),
        Some(other) => other.to_string(),
    }
}

/// A line as RFC 4180 has it, but for the line feed at its end.
fn line(cells: impl Iterator<Item = String>) -> Result<Vec<u8>, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let other = |error: csv::Error| failed(std::io::Error::other(error));
    writer.write_record(cells).map_err(other)?;
    writer.into_inner().map_err(|error| failed(std::io::Error::other(error.to_string())))
}
