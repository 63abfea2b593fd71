//! `import django`: runs the import and tells what came of it.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use import::django::{self, ImportOptions};
use import::report::Report;
use service::App;

use super::block_on;
use super::output::print;
use super::user::with_app;
use crate::args::{Import, ImportDjango};
use crate::config::{Config, Inputs, Mode, Needs, load};
use crate::logs::one_line;
use crate::start;

pub(super) fn run(inputs: &Inputs, command: Import) -> anyhow::Result<ExitCode> {
    let Import::Django(args) = command;
    let options = ImportOptions { database: args.database.clone(), dry_run: args.dry_run };
    let scratch = Scratch::for_dry_run(inputs, &args)?;
    let given = scratch.as_ref().map_or_else(|| inputs.clone(), |scratch| scratch.inputs(inputs));
    let report = with_app(&given, Needs::Database, true, async |app: &App| {
        Ok(django::run(app, &options, show_progress).await?)
    })?;
    if args.json {
        print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    } else {
        print(&as_text(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show_progress(progress: import::Progress) {
    if io::stderr().is_terminal() {
        let end = if progress.done >= progress.total { "\n" } else { "" };
        eprint!("\r{} of {} users{end}", progress.done, progress.total);
    }
}

/// A dry run before there is a database must not make one: it gets an empty one in a folder of its own.
struct Scratch(PathBuf);

impl Scratch {
    fn for_dry_run(inputs: &Inputs, args: &ImportDjango) -> anyhow::Result<Option<Self>> {
        if !args.dry_run || is_there(&load(inputs, Mode::Serve, Needs::Database)?.config)? {
            return Ok(None);
        }
        let random: String = crypto::random::fill::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = std::env::temp_dir().join(format!("bookstore-auth-dry-run-{random}"));
        Ok(Some(Self(folder)))
    }

    /// The same inputs, but for the database.
    fn inputs(&self, inputs: &Inputs) -> Inputs {
        let mut given = inputs.clone();
        let url = format!("sqlite:{}", self.0.join("auth.db").display());
        given.environment.retain(|(name, _)| name != "DATABASE_URL" && name != "MIGRATE");
        given.environment.push(("DATABASE_URL".into(), url.into()));
        given.environment.push(("MIGRATE".into(), "auto".into()));
        given
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                eprintln!("bookstore-auth: {} cannot be removed: {error}", self.0.display());
            }
            _ => {}
        }
    }
}

/// Whether there is a database with a schema already.
fn is_there(config: &Config) -> anyhow::Result<bool> {
    if let Some(file) = config.database.file() {
        return Ok(file.exists());
    }
    block_on(async {
        let db = start::connect(config).await?;
        let pending = store::migrate::pending(&db).await?;
        db.close().await;
        Ok(pending.is_empty())
    })
}

fn as_text(report: &Report) -> String {
    let mut out = String::new();
    let verb = if report.dry_run { "would be " } else { "" };
    let Report { read, created, updated, unchanged, skipped, ids_reserved_to, .. } = report;
    _ = writeln!(
        out,
        "{read} users read: {created} {verb}created, {updated} {verb}updated, {unchanged} unchanged, {skipped} {verb}left out"
    );
    for (scheme, count) in &report.password_schemes {
        _ = writeln!(out, "  {count} with a password hash of {}", one_line(scheme));
    }
    _ = writeln!(
        out,
        "new accounts {}get ids above {ids_reserved_to}",
        if report.dry_run { "would " } else { "" }
    );
    if !report.notes.is_empty() {
        _ = writeln!(out, "\nto be looked at:");
    }
    for note in &report.notes {
        let what = if note.kind.is_skipped() { "left out" } else { "brought over" };
        _ = writeln!(out, "  id {} {}: {what}; {}", note.id, one_line(&note.username), one_line(&note.text));
    }
    if report.dry_run {
        _ = writeln!(out, "\nthis was a dry run: nothing was written");
    }
    out
}
