//! `group list|create|delete|add|remove`.

use std::fmt::Write;
use std::process::ExitCode;

use domain::group::GroupId;
use serde_json::{Value, json};
use service::{App, group, user};

use super::output::print;
use super::user::{name_and_id, with_app};
use crate::args::{Group, GroupList, GroupMember};
use crate::config::{Inputs, Needs};
use crate::logs::one_line;

pub(super) fn run(inputs: &Inputs, command: Group) -> anyhow::Result<ExitCode> {
    with_app(inputs, Needs::Database, false, async |app| match command {
        Group::List(args) => list(app, &args).await,
        Group::Create { name } => {
            let made = group::create(app, &name).await?;
            tell(made.name.as_str(), "is created")
        }
        Group::Delete { name } => {
            let found = group::find(app, &name).await?;
            group::delete(app, found.id).await?;
            tell(found.name.as_str(), "is deleted")
        }
        Group::Add(args) => change(app, &args, true).await,
        Group::Remove(args) => change(app, &args, false).await,
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(app: &App, args: &GroupList) -> anyhow::Result<()> {
    // One more than asked for tells whether there is a next page.
    let mut groups = group::list(app, args.after.map(GroupId::new), args.limit + 1).await?;
    let more = groups.len() > args.limit as usize;
    groups.truncate(args.limit as usize);
    let next = groups.last().filter(|_| more).map(|group| group.id.get());
    if args.json {
        let groups: Vec<Value> =
            groups.iter().map(|group| json!({"id": group.id.get(), "name": group.name.as_str()})).collect();
        return Ok(print(&format!("{}\n", json!({ "groups": groups, "next": next })))?);
    }
    let mut out = String::new();
    for group in &groups {
        _ = writeln!(out, "{}  {}", group.id.get(), one_line(group.name.as_str()));
    }
    print(&out)?;
    if let Some(next) = next {
        eprintln!("there are more: --after {next}");
    }
    Ok(())
}

async fn change(app: &App, args: &GroupMember, member: bool) -> anyhow::Result<()> {
    let group = group::find(app, &args.group).await?;
    let account = user::find(app, &args.user).await?;
    let changed = if member {
        group::add_user(app, group.id, account.id).await?
    } else {
        group::remove_user(app, group.id, account.id).await?
    };
    let what = match (member, changed) {
        (true, true) => "has been added to",
        (true, false) => "was already in",
        (false, true) => "has been taken out of",
        (false, false) => "was not in",
    };
    Ok(print(&format!("{} {what} {}\n", name_and_id(&account), one_line(group.name.as_str())))?)
}

fn tell(name: &str, what: &str) -> anyhow::Result<()> {
    Ok(print(&format!("group {} {what}\n", one_line(name)))?)
}
