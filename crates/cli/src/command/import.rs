//! `import django|csv|jsonl`: runs the import and tells what came of it.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use import::django::{self, ImportOptions, Location};
use import::file::{self, Format};
use import::report::{Counts, NoteKind, Report};
use service::App;
use service::import::PostgresOptions;

use super::block_on;
use super::output::print;
use super::user::with_app;
use crate::args::{Import, ImportDjango, ImportFile};
use crate::config::{Config, Inputs, Mode, Needs, load};
use crate::failure::Usage;
use crate::logs::one_line;
use crate::start;

pub(super) fn run(inputs: &Inputs, command: Import) -> anyhow::Result<ExitCode> {
    let (Import::Django(ImportDjango { reporting, .. })
    | Import::Csv(ImportFile { reporting, .. })
    | Import::Jsonl(ImportFile { reporting, .. })) = &command;
    let (dry_run, json) = (reporting.dry_run, reporting.json);
    let scratch = Scratch::for_dry_run(inputs, dry_run)?;
    let given = scratch.as_ref().map_or_else(|| inputs.clone(), |scratch| scratch.inputs(inputs));
    let notes = reporting.notes.as_deref().map(new_file).transpose()?;
    let plan = plan(command)?;
    let report = with_app(&given, Needs::Database, true, async |app: &App| match plan {
        Plan::Django(from) => {
            let options = ImportOptions { from, dry_run, notes };
            Ok(django::run(app, options, show_progress).await?)
        }
        Plan::File(input, format) => {
            let options = file::ImportOptions { input, format, dry_run, notes };
            Ok(file::import(app, options, show_progress).await?)
        }
    })?;
    if json {
        print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    } else {
        print(&as_text(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the users come from.
enum Plan {
    Django(Location),
    File(Box<dyn io::Read + Send>, Format),
}

fn plan(command: Import) -> anyhow::Result<Plan> {
    let (args, format) = match command {
        Import::Django(args) => return Ok(Plan::Django(location(args)?)),
        Import::Csv(args) => (args, Format::Csv),
        Import::Jsonl(args) => (args, Format::JsonLines),
    };
    if args.file.as_os_str() == "-" {
        return Ok(Plan::File(Box::new(io::stdin()), format));
    }
    let file = File::open(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
    Ok(Plan::File(Box::new(file), format))
}

fn location(args: ImportDjango) -> anyhow::Result<Location> {
    let url = match (args.database, args.from) {
        (Some(file), _) => return Ok(Location::File(file)),
        (None, from) => from.unwrap_or_default(),
    };
    if let Some(path) = url.strip_prefix("sqlite:") {
        return Ok(Location::File(path.into()));
    }
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(Usage("--from is neither sqlite:PATH nor postgres://...".to_owned()).into());
    }
    let options = PostgresOptions::parse(&url).map_err(|fault| Usage(format!("--from {fault}")))?;
    if options.is_unverified() {
        eprintln!(
            "bookstore-auth: warning: nothing checks the certificate of {options}: use sslmode=verify-full"
        );
    }
    Ok(Location::Server(Box::new(options)))
}

/// A file that does not exist yet, for its owner alone: it may hold names, or hashes.
pub(super) fn new_file(path: &Path) -> anyhow::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).with_context(|| format!("{} cannot be made", path.display()))
}

fn show_progress(progress: import::Progress) {
    if !io::stderr().is_terminal() {
        return;
    }
    match progress.total {
        Some(total) => {
            let end = if progress.done >= total { "\n" } else { "" };
            eprint!("\r{} of {total} users{end}", progress.done);
        }
        None => eprint!("\r{} users", progress.done),
    }
}

/// A dry run before there is a database must not make one: it gets an empty one in a folder of its own.
struct Scratch(PathBuf);

impl Scratch {
    fn for_dry_run(inputs: &Inputs, dry_run: bool) -> anyhow::Result<Option<Self>> {
        if !dry_run || is_there(&load(inputs, Mode::Serve, Needs::Database)?.config)? {
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
    let others = [
        ("groups", report.groups),
        ("permissions", report.permissions),
        ("refused tokens", report.refused_tokens),
    ];
    for (what, counts) in others.into_iter().filter(|(_, counts)| counts.read > 0) {
        let Counts { read, created, updated, unchanged, skipped } = counts;
        _ = writeln!(
            out,
            "{read} {what} read: {created} {verb}created, {updated} {verb}updated, {unchanged} unchanged, {skipped} {verb}left out"
        );
    }
    _ = writeln!(
        out,
        "new accounts {}get ids above {ids_reserved_to}",
        if report.dry_run { "would " } else { "" }
    );
    add_notes(&mut out, report);
    if report.dry_run {
        _ = writeln!(out, "\nthis was a dry run: nothing was written");
    }
    out
}

fn add_notes(out: &mut String, report: &Report) {
    if !report.notes.is_empty() {
        _ = writeln!(out, "\nto be looked at:");
    }
    for note in &report.notes {
        let what = match note.kind {
            NoteKind::Group | NoteKind::Token => "",
            kind if kind.is_skipped() => "left out; ",
            _ => "brought over; ",
        };
        let row = note.row.map(|row| format!("row {row} ")).unwrap_or_default();
        let id = note.id.map(|id| format!("id {id} ")).unwrap_or_default();
        _ = writeln!(out, "  {row}{id}{}: {what}{}", one_line(&note.name), one_line(&note.text));
    }
    let all: u64 = report.notes_by_kind.values().sum();
    let more = all - report.notes.len() as u64;
    if more > 0 {
        _ = writeln!(out, "  and {more} more: --notes FILE writes them all");
    }
}
