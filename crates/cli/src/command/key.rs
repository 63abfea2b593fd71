//! `key list|rotate|drop`.

use std::fmt::Write;
use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

use domain::signing_key::{Purpose, State};
use serde_json::{Value, json};
use service::App;
use service::signing_key::{self, Listed};

use super::output::print;
use super::user::{utc, with_app};
use crate::args::{Key, KeyDrop};
use crate::config::{Inputs, Needs};
use crate::failure::Usage;

pub(super) fn run(inputs: &Inputs, command: Key) -> anyhow::Result<ExitCode> {
    let needs = if matches!(command, Key::List { .. }) { Needs::Database } else { Needs::SigningKeys };
    with_app(inputs, needs, false, async |app| match command {
        Key::List { json } => list(app, json).await,
        Key::Rotate => rotate(app).await,
        Key::Drop(args) => drop_keys(app, args).await,
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(app: &App, as_json: bool) -> anyhow::Result<()> {
    let keys = signing_key::list(app).await?;
    if as_json {
        let keys: Vec<Value> = keys.iter().map(to_json).collect();
        return Ok(print(&format!("{}\n", json!({ "keys": keys })))?);
    }
    let mut out = String::new();
    for key in &keys {
        let (purpose, state) = (key.purpose.as_str(), key.state.as_str());
        _ = write!(
            out,
            "{}  {purpose:7}  {:5}  {state:7}  from {}",
            key.id,
            key.algorithm,
            utc(key.life.active_from)
        );
        match (key.life.dropped_at, key.checks_until) {
            (Some(at), _) => _ = write!(out, "  dropped {}", utc(at)),
            (None, Some(end)) => _ = write!(out, "  checks until {}", utc(end)),
            (None, None) => {}
        }
        out.push('\n');
    }
    if keys.is_empty() {
        out.push_str("there are no keys: SECRET_KEY signs, or the next start makes some (SIGNING_ALG)\n");
    }
    Ok(print(&out)?)
}

fn to_json(key: &Listed) -> Value {
    json!({
        "kid": key.id,
        "purpose": key.purpose.as_str(),
        "alg": key.algorithm,
        "state": key.state.as_str(),
        "created_at": utc(key.life.created_at),
        "active_from": utc(key.life.active_from),
        "retired_at": key.life.retired_at.map(utc),
        "checks_until": key.checks_until.map(utc),
        "dropped_at": key.life.dropped_at.map(utc),
    })
}

async fn rotate(app: &App) -> anyhow::Result<()> {
    let mut out = String::new();
    for key in signing_key::rotate(app).await? {
        let from = utc(key.life.active_from);
        _ = writeln!(out, "{} ({}) is published and signs from {from}", key.id, key.purpose.as_str());
    }
    Ok(print(&out)?)
}

async fn drop_keys(app: &App, args: KeyDrop) -> anyhow::Result<()> {
    let living: Vec<Listed> =
        signing_key::list(app).await?.into_iter().filter(|key| key.state != State::Dropped).collect();
    let ids: Vec<String> = if args.all {
        living.iter().map(|key| key.id.clone()).collect()
    } else {
        args.id.into_iter().collect()
    };
    let ends_logins = living.iter().any(|key| key.purpose == Purpose::Refresh && ids.contains(&key.id));
    if !args.yes && !confirmed(&ids, ends_logins)? {
        return Err(Usage("nothing was dropped".to_owned()).into());
    }
    let signing = signing_key::drop_keys(app, &ids).await?;
    let mut out: String = ids.iter().map(|id| format!("{id} is dropped\n")).collect();
    _ = writeln!(
        out,
        "signing now: {}",
        if signing.is_empty() { "SECRET_KEY".to_owned() } else { signing.join(", ") }
    );
    Ok(print(&out)?)
}

fn confirmed(ids: &[String], ends_logins: bool) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Usage("there is no terminal to ask: use --yes to drop without asking".to_owned()).into());
    }
    let logins = if ends_logins { " Everybody whose login it holds must log in again." } else { "" };
    eprint!(
        "Drop {}? Every token signed with it is refused at once, by services as soon as they read the keys again.{logins} \
         Type drop to confirm: ",
        ids.join(", ")
    );
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "drop")
}
