//! One file a command; each has a `run`.

mod api_key;
mod audit;
mod backup;
mod bootstrap;
mod breached;
mod config;
mod copy;
mod export;
mod group;
mod healthcheck;
mod import;
mod key;
mod migrate;
mod output;
mod password;
mod serve;
mod user;

use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use tokio::runtime::Builder;

use crate::args::{Command, CommandLine};
use crate::config::{Database, Inputs, Loaded, Mode, Needs, load};
use crate::start;

/// Runs what the command line asks for.
///
/// # Errors
/// What `failure::report` turns into a message and an exit code.
pub(crate) fn run(line: CommandLine) -> anyhow::Result<ExitCode> {
    let inputs = Inputs::of_process(line.config);
    match line.command {
        Command::Dev => serve::run(&inputs, Mode::Dev, start::Adopt::default()),
        Command::Serve(args) => serve::run(&inputs, Mode::Serve, args.into()),
        Command::Config(args) => config::run(&inputs, &args),
        Command::Migrate(args) => migrate::run(&inputs, &args),
        Command::User(command) => user::run(&inputs, command),
        Command::Group(command) => group::run(&inputs, command),
        Command::ApiKey(command) => api_key::run(&inputs, command),
        Command::BootstrapToken(args) => bootstrap::run(&inputs, &args),
        Command::Key(command) => key::run(&inputs, command),
        Command::Audit(command) => audit::run(&inputs, command),
        Command::Backup { file } => backup::backup(&inputs, &file),
        Command::Restore { file } => backup::restore(&inputs, &file),
        Command::AfterRestore(args) => backup::after_restore(&inputs, &args),
        Command::Copy(args) => copy::run(&inputs, &args),
        Command::Breached(command) => breached::run(&inputs, command),
        Command::Import(command) => import::run(&inputs, command),
        Command::Export(command) => export::run(&inputs, command),
        Command::Openapi => openapi(),
        Command::Completions { shell } => completions(shell),
        Command::Healthcheck => healthcheck::run(&inputs),
    }
}

fn openapi() -> anyhow::Result<ExitCode> {
    output::print(&(serde_json::to_string_pretty(&server::openapi())? + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "bookstore-auth", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration for a command that works on the database. Oddities are told on standard error.
fn load_for_database(inputs: &Inputs, mode: Mode) -> anyhow::Result<Loaded> {
    load_for(inputs, mode, Needs::Database)
}

/// The same for a command that needs more.
fn load_for(inputs: &Inputs, mode: Mode, needs: Needs) -> anyhow::Result<Loaded> {
    let loaded = load(inputs, mode, needs)?;
    for warning in &loaded.warnings {
        eprintln!("bookstore-auth: warning: {warning}");
    }
    crate::logs::start(crate::config::Log { level: "warn", ..loaded.config.log });
    Ok(loaded)
}

/// The file of the database, which must be there already. A server says by itself whether it is.
fn existing(database: &Database) -> anyhow::Result<()> {
    let Some(file) = database.file() else { return Ok(()) };
    let error =
        || format!("there is no database at {}: set DATABASE_URL or DATA_DIR to where it is", file.display());
    std::fs::metadata(file).with_context(error)?;
    Ok(())
}

/// Runs a command's future on this thread.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    Builder::new_current_thread().enable_all().build().context("no runtime for the command")?.block_on(work)
}
