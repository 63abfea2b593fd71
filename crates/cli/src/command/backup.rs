//! `backup` and `restore`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use service::clock::Clock;

use super::{existing, load_for_database, output};
use crate::config::{Inputs, Mode};

pub(super) fn backup(inputs: &Inputs, file: &Path) -> anyhow::Result<ExitCode> {
    let database = existing(&load_for_database(inputs, Mode::Serve)?.config.database)?;
    let (from, to) = (database.display(), file.display());
    store::backup::backup(&database, file).with_context(|| format!("{from} cannot be backed up to {to}"))?;
    output::print(&format!(
        "{from} is backed up to {to}; it holds password hashes: keep it as safe as the database\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(inputs: &Inputs, file: &Path) -> anyhow::Result<ExitCode> {
    let database = load_for_database(inputs, Mode::Serve)?.config.database;
    let (from, to) = (file.display(), database.display());
    let restored = store::backup::restore(file, &database, Clock::system().now())
        .with_context(|| format!("{from} cannot be restored to {to}"))?;
    let mut text = format!("{from} is restored to {to}\n");
    if let Some(kept) = restored.kept_as {
        text += &format!("the database that was there is kept as {}\n", kept.display());
    }
    text += "sessions that were opened before have ended: everybody logs in again\n";
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
