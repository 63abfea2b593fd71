//! `user create|list|show|disable|enable|set-password|delete`.

use std::fmt::Write;
use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

use domain::time::Timestamp;
use domain::user::{User as Account, UserId};
use serde_json::{Value, json};
use service::clock::Clock;
use service::group::{self, Membership};
use service::{App, user};

use super::output::print;
use super::{block_on, existing, load_for, password};
use crate::args::{User, UserCreate, UserDelete, UserList, UserSetPassword, UserShow};
use crate::config::{Config, Hash, Inputs, Mode, Needs, Problems, secret};
use crate::failure::Usage;
use crate::logs::one_line;
use crate::start;

pub(super) fn run(inputs: &Inputs, command: User) -> anyhow::Result<ExitCode> {
    let may_make_database = matches!(command, User::Create(_));
    with_app(inputs, Needs::Database, may_make_database, async |app| match command {
        User::Create(args) => create(app, args).await,
        User::List(args) => list(app, args).await,
        User::Show(args) => show(app, args).await,
        User::Disable(args) => {
            let account = user::find(app, &args.user).await?;
            let changed = user::disable(app, account.id).await?;
            tell(
                &account,
                if changed { "is disabled; its sessions have ended" } else { "was disabled already" },
            )
        }
        User::Enable(args) => {
            let account = user::find(app, &args.user).await?;
            let changed = user::enable(app, account.id).await?;
            tell(&account, if changed { "is enabled" } else { "was enabled already" })
        }
        User::SetPassword(args) => set_password(app, args).await,
        User::Delete(args) => delete(app, args).await,
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the service for one command, with the rules of the mode that made the database, and closes it.
pub(super) fn with_app<T>(
    inputs: &Inputs,
    needs: Needs,
    may_make_database: bool,
    work: impl AsyncFnOnce(&App) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    // Which keys are needed depends on the mode of the database, which is not known yet.
    let first = if needs == Needs::Server { Needs::Database } else { needs };
    let mut config = load_for(inputs, Mode::Serve, first)?.config;
    if !may_make_database {
        existing(&config.database)?;
    }
    block_on(async {
        let clock = Clock::system();
        let db = start::database(&config, &clock, false).await?;
        if start::stored_mode(&db).await? == Some(Mode::Dev) {
            config = load_for(inputs, Mode::Dev, needs)?.config;
            start::fill_in_dev_keys(&mut config)?;
            if needs == Needs::Server && config.keys.signing.is_none() {
                config.keys.signing = Some(start::dev_secret(&config.data_dir, start::DEV_SECRET)?);
            }
        } else if needs == Needs::Server {
            config = load_for(inputs, Mode::Serve, needs)?.config;
        }
        if config.keys.algorithm.is_public() && config.keys.encryption.is_none() {
            return Err(Problems(vec![secret::no_encryption_key(config.keys.algorithm)]).into());
        }
        let config = Config { hash: Hash { threads: 1, ..config.hash }, ..config };
        let key = config.keys.signing.as_ref().filter(|_| needs == Needs::Server);
        let app = start::app(&config, db, key, clock).await?;
        let done = work(&app).await;
        service::feed::announce(&app).await;
        app.hasher.shutdown();
        app.db.close().await;
        done
    })
}

async fn create(app: &App, args: UserCreate) -> anyhow::Result<()> {
    let password = password::read(&args.password)?;
    let new = user::NewUser {
        username: args.username,
        email: args.email,
        password: password::text(&password)?.to_owned(),
        is_superuser: args.superuser,
        is_staff: args.staff,
    };
    let account = user::create(app, new).await?;
    if args.json {
        return Ok(print(&format!("{}\n", as_json(&account)))?);
    }
    tell(&account, "is created")
}

async fn set_password(app: &App, args: UserSetPassword) -> anyhow::Result<()> {
    let account = user::find(app, &args.user).await?;
    let password = password::read(&args.password)?;
    user::set_password(app, account.id, password::text(&password)?).await?;
    tell(&account, "has a new password; its sessions have ended")
}

async fn delete(app: &App, args: UserDelete) -> anyhow::Result<()> {
    let account = user::find(app, &args.user).await?;
    if !args.yes && !confirmed(&account)? {
        return Err(Usage("nothing was deleted".to_owned()).into());
    }
    user::delete(app, account.id).await?;
    tell(&account, "is deleted")
}

fn confirmed(account: &Account) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(
            Usage("there is no terminal to ask: use --yes to delete without asking".to_owned()).into()
        );
    }
    eprint!("Delete {} for good? Type its name to confirm: ", name_and_id(account));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim_end_matches(['\n', '\r']) == account.username.as_str())
}

async fn list(app: &App, args: UserList) -> anyhow::Result<()> {
    // One more than asked for tells whether there is a next page.
    let mut accounts = user::list(app, args.after.map(UserId::new), args.limit + 1).await?;
    let more = accounts.len() > args.limit as usize;
    accounts.truncate(args.limit as usize);
    let next = accounts.last().filter(|_| more).map(|account| account.id.get());
    if args.json {
        let users: Vec<Value> = accounts.iter().map(as_json).collect();
        return Ok(print(&format!("{}\n", json!({ "users": users, "next": next })))?);
    }
    print(&table(&accounts))?;
    if let Some(next) = next {
        eprintln!("there are more: --after {next}");
    }
    Ok(())
}

async fn show(app: &App, args: UserShow) -> anyhow::Result<()> {
    let account = user::find(app, &args.user).await?;
    let Membership { groups, permissions } = group::of_user(app, &account).await?;
    let groups: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    let names: Vec<&str> = permissions.names().collect();
    if args.json {
        let mut shown = as_json(&account);
        shown["groups"] = json!(groups);
        shown["permissions"] = json!(names);
        shown["all_permissions"] = json!(permissions.has_all());
        return Ok(print(&format!("{shown}\n"))?);
    }
    let list = |names: &[&str]| match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| one_line(name)).collect::<Vec<_>>().join(", "),
    };
    let may = if permissions.has_all() { "all".to_owned() } else { list(&names) };
    print(&format!("{}groups: {}\npermissions: {may}\n", table(&[account]), list(&groups)))?;
    Ok(())
}

fn table(accounts: &[Account]) -> String {
    let rows = accounts.iter().map(|account| {
        let last_login = account.last_login_at.map_or_else(|| "never".to_owned(), utc);
        [
            account.id.to_string(),
            one_line(account.username.as_str()),
            one_line(account.email.as_str()),
            state(account),
            last_login,
        ]
    });
    let head = ["ID", "NAME", "EMAIL", "STATE", "LAST LOGIN"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
    let widths: [usize; 5] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    out
}

fn state(account: &Account) -> String {
    let mut words = vec![if account.is_active() { "active" } else { "disabled" }];
    words.extend(account.is_staff.then_some("staff"));
    words.extend(account.is_superuser.then_some("superuser"));
    words.join(",")
}

fn as_json(account: &Account) -> Value {
    json!({
        "id": account.id.get(),
        "username": account.username.as_str(),
        "email": account.email.as_str(),
        "first_name": account.first_name,
        "last_name": account.last_name,
        "active": account.is_active(),
        "staff": account.is_staff,
        "superuser": account.is_superuser,
        "created_at": utc(account.created_at),
        "last_login_at": account.last_login_at.map(utc),
        "disabled_at": account.disabled_at.map(utc),
    })
}

/// RFC 3339, whole seconds, UTC.
pub(super) fn utc(time: Timestamp) -> String {
    jiff::Timestamp::from_second(time.seconds()).map_or_else(|_| "?".to_owned(), |time| time.to_string())
}

fn tell(account: &Account, what: &str) -> anyhow::Result<()> {
    Ok(print(&format!("{} {what}\n", name_and_id(account)))?)
}

pub(super) fn name_and_id(account: &Account) -> String {
    format!("{} (id {})", one_line(account.username.as_str()), account.id)
}
