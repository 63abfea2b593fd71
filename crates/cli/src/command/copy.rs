//! `copy`: moves an installation from the embedded database to PostgreSQL.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use service::clock::Clock;
use store::PostgresOptions;
use store::copy::{Order, Progress, Report, Stage, copy};
use tokio::time::Instant;

use super::{block_on, load_for_database, output};
use crate::args::Copy;
use crate::config::{Database, Inputs, Mode, parse_database};
use crate::failure::Usage;

/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);

pub(super) fn run(inputs: &Inputs, args: &Copy) -> anyhow::Result<ExitCode> {
    let config = load_for_database(inputs, Mode::Serve)?.config;
    let from = source(args.from.as_deref(), config.database)?;
    let to = target(&args.to)?;
    if to.is_unverified() {
        eprintln!(
            "bookstore-auth: warning: the target's certificate is not checked: use sslmode=verify-full"
        );
    }
    let id: String = crypto::random::fill::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
    let order = Order { from: &from, to: &to, last: args.last, id: &id, now: Clock::system().now() };
    let (report, took) = block_on(async {
        let began = Instant::now();
        let mut teller = Teller { told: None };
        let failed = || format!("{} cannot be copied to {to}", from.display());
        let report = copy(&order, &mut |progress| teller.hear(progress)).await.with_context(failed)?;
        Ok((report, began.elapsed()))
    })?;
    if args.json {
        output::print(&(serde_json::to_string_pretty(&as_json(&report, took))? + "\n"))?;
    } else {
        output::print(&as_text(&report, took, &to))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn source(given: Option<&str>, configured: Database) -> anyhow::Result<PathBuf> {
    let database = match given {
        Some(text) => parse_database(text).map_err(|fault| Usage(format!("--from {fault}")))?,
        None => configured,
    };
    let message = || Usage("--from is to be the embedded database: sqlite:PATH".to_owned());
    Ok(database.file().ok_or_else(message)?.to_owned())
}

/// The address itself is never shown: it may hold a password.
fn target(text: &str) -> anyhow::Result<PostgresOptions> {
    match parse_database(text).map_err(|fault| Usage(format!("the address of the target {fault}")))? {
        Database::Postgres(options) => Ok(*options),
        Database::File(_) => Err(Usage("--to is to be postgres://user@host/database".to_owned()).into()),
    }
}

/// Tells how far it is on standard error: once a second, and when a table is done.
struct Teller {
    told: Option<Instant>,
}

impl Teller {
    fn hear(&mut self, progress: &Progress) {
        let Progress { stage, table, done, total } = progress;
        let is_due = self.told.is_none_or(|told| told.elapsed() >= TELL);
        if !is_due && (done < total || *total == 0) {
            return;
        }
        self.told = Some(Instant::now());
        let doing = match stage {
            Stage::Copying => "copied",
            Stage::Verifying => "verified",
        };
        eprintln!("{table}: {done} of {total} rows {doing}");
    }
}

fn as_json(report: &Report, took: Duration) -> serde_json::Value {
    let tables: Vec<_> = report
        .tables
        .iter()
        .map(|table| {
            json!({"name": table.name, "rows": table.rows, "added": table.added, "changed": table.changed,
                "removed": table.removed, "sha256": table.sha256})
        })
        .collect();
    json!({"moved": report.moved, "seconds": took.as_secs_f64(), "tables": tables})
}

fn as_text(report: &Report, took: Duration, to: &PostgresOptions) -> String {
    let mut out = format!("{:<16}{:>10}{:>10}{:>10}{:>10}", "table", "rows", "added", "changed", "removed");
    out += if report.moved { "  SHA-256, the same on both sides\n" } else { "\n" };
    for table in &report.tables {
        let sha256 = table.sha256.as_ref().map_or_else(String::new, |sha256| format!("  {sha256}"));
        let (rows, added) = (table.rows, table.added);
        let (changed, removed) = (table.changed, table.removed);
        _ = writeln!(out, "{:<16}{rows:>10}{added:>10}{changed:>10}{removed:>10}{sha256}", table.name);
    }
    _ = writeln!(out, "\ndone in {:.1} s", took.as_secs_f64());
    if report.moved {
        _ = writeln!(out, "the installation is on {to} now: set DATABASE_URL and start the service");
    } else {
        out += "nothing has moved yet: run this again to bring over what changes meanwhile; then stop the service and\n\
            run it with --final\n";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // KY-01: whatever is wrong with an address, its password is not said.
    #[test]
    fn no_password_is_shown() {
        for address in
            ["postgres://ann:CANARY@db/auth?x=y", "postgres:/ann:CANARY@db", "postgres://ann:CANARY@db"]
        {
            let said = format!("{:#}", target(address).unwrap_err());
            assert!(!said.contains("CANARY"), "{said}");
        }
        let report = Report { tables: vec![], moved: true };
        let to = target("postgres://ann:CANARY@db.example/auth").unwrap();
        let said = as_text(&report, Duration::ZERO, &to);
        assert!(said.contains("ann@db.example") && !said.contains("CANARY"), "{said}");
    }
}
