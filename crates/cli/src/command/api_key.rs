//! `api-key create|list|revoke`.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use domain::api_key::{ApiKey as Stored, ApiKeyId};
use serde_json::{Value, json};
use service::api_key::{self, NewKey};
use service::{App, user};

use super::output::print;
use super::user::{utc, with_app};
use crate::args::{ApiKey, ApiKeyCreate, ApiKeyList};
use crate::config::{Inputs, Needs};
use crate::failure::Usage;
use crate::logs::one_line;

pub(super) fn run(inputs: &Inputs, command: ApiKey) -> anyhow::Result<ExitCode> {
    with_app(inputs, Needs::Database, false, async |app| match command {
        ApiKey::Create(args) => create(app, args).await,
        ApiKey::List(args) => list(app, &args).await,
        ApiKey::Revoke { id } => revoke(app, &id).await,
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn create(app: &App, args: ApiKeyCreate) -> anyhow::Result<()> {
    let account = user::find(app, &args.user).await?;
    let lifetime = Duration::from_secs(u64::from(args.days) * 24 * 60 * 60);
    let expires_at = app.clock.now() + lifetime;
    let new = NewKey { user: account.id, name: args.name, scope: args.scope, expires_at };
    let made = api_key::create(app, &new).await?;
    let expires_at = utc(expires_at);
    if args.json {
        let shown = json!({ "id": made.key.id.as_str(), "key": made.text, "expires_at": expires_at });
        return Ok(print(&format!("{shown}\n"))?);
    }
    eprintln!("the key {} is good until {expires_at}; it is shown once:", made.key.id);
    Ok(print(&format!("{}\n", made.text))?)
}

async fn list(app: &App, args: &ApiKeyList) -> anyhow::Result<()> {
    let user = match &args.user {
        Some(name) => Some(user::find(app, name).await?.id),
        None => None,
    };
    // One more than asked for tells whether there is a next page.
    let mut keys = api_key::list(app, user, &args.after, args.limit + 1).await?;
    let more = keys.len() > args.limit as usize;
    keys.truncate(args.limit as usize);
    let next = keys.last().filter(|_| more).map(|key| key.id.as_str());
    if args.json {
        let shown: Vec<Value> = keys.iter().map(as_json).collect();
        return Ok(print(&format!("{}\n", json!({ "api_keys": shown, "next": next })))?);
    }
    let mut out = String::new();
    for key in &keys {
        let state = match key.revoked_at {
            Some(at) => format!("revoked {}", utc(at)),
            None => format!("until {}", utc(key.expires_at)),
        };
        let (name, scope) = (one_line(&key.name), key.scope.to_string());
        _ = writeln!(out, "{}  account {}  {name}  {state}  [{scope}]", key.id, key.user);
    }
    print(&out)?;
    if let Some(next) = next {
        eprintln!("there are more: --after {next}");
    }
    Ok(())
}

fn as_json(key: &Stored) -> Value {
    json!({
        "id": key.id.as_str(),
        "user_id": key.user.get(),
        "name": key.name,
        "scope": key.scope.to_string(),
        "created_at": utc(key.created_at),
        "expires_at": utc(key.expires_at),
        "last_used_at": key.last_used_at.map(utc),
        "revoked_at": key.revoked_at.map(utc),
    })
}

async fn revoke(app: &App, id: &str) -> anyhow::Result<()> {
    let parsed =
        ApiKeyId::parse(id).ok_or_else(|| Usage("not the id of an API key: 16 hex digits".to_owned()))?;
    let changed = api_key::revoke(app, &parsed).await?;
    let what = if changed { "is revoked" } else { "is no key that was good" };
    Ok(print(&format!("{parsed} {what}\n"))?)
}
