//! `backup` and `restore`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use service::clock::Clock;

use super::{block_on, existing, load_for_database, output};
use crate::args::AfterRestore;
use crate::config::{Config, Inputs, Mode};
use crate::failure::Usage;
use crate::start;

const BACKUP: &str = "use pg_dump --format=custom, or the backups of your provider";
const RESTORE: &str = "stop every replica, use pg_restore into an empty database, and run `bookstore-auth after-restore` \
    before the service starts again: it ends the sessions that the backup has, and leaves out ids that may have been \
    issued since";

/// The file of an embedded database; a server has tools of its own.
fn file<'a>(config: &'a Config, instead: &str) -> anyhow::Result<&'a Path> {
    let message = || Usage(format!("{} is on a PostgreSQL server: {instead}", config.database));
    Ok(config.database.file().ok_or_else(message)?)
}

pub(super) fn backup(inputs: &Inputs, file_to: &Path) -> anyhow::Result<ExitCode> {
    let config = load_for_database(inputs, Mode::Serve)?.config;
    existing(&config.database)?;
    let database = file(&config, BACKUP)?;
    let (from, to) = (database.display(), file_to.display());
    store::backup::backup(database, file_to)
        .with_context(|| format!("{from} cannot be backed up to {to}"))?;
    output::print(&format!(
        "{from} is backed up to {to}; it holds password hashes: keep it as safe as the database\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(inputs: &Inputs, file_from: &Path) -> anyhow::Result<ExitCode> {
    let config = load_for_database(inputs, Mode::Serve)?.config;
    let database = file(&config, RESTORE)?;
    let (from, to) = (file_from.display(), database.display());
    let restored = store::backup::restore(file_from, database, Clock::system().now())
        .with_context(|| format!("{from} cannot be restored to {to}"))?;
    let mut text = format!("{from} is restored to {to}\n");
    if let Some(kept) = restored.kept_as {
        text += &format!("the database that was there is kept as {}\n", kept.display());
    }
    text += "sessions that were opened before have ended: everybody logs in again\n";
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// A backup is the past: what it says of sessions must not come back with it.
pub(super) fn after_restore(inputs: &Inputs, args: &AfterRestore) -> anyhow::Result<ExitCode> {
    let config = load_for_database(inputs, Mode::Serve)?.config;
    if config.database.file().is_some() {
        let message =
            "this is for PostgreSQL: `bookstore-auth restore` does all of it for an embedded database";
        return Err(Usage(message.to_owned()).into());
    }
    block_on(async {
        let clock = Clock::system();
        let db = start::database(&config, &clock, false).await?;
        let last = store::backup::settle_restored(&db, args.last_id, clock.now()).await?;
        db.close().await;
        output::print(&format!(
            "all sessions have ended: everybody logs in again; new accounts get ids above {last}\n"
        ))?;
        Ok(ExitCode::SUCCESS)
    })
}
