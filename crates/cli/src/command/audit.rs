//! `audit verify|checkpoint|search|export`.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use domain::user::UserId;
use serde_json::{Value, json};
use service::audit::verify::Report;
use service::audit::{self, EventRow, Filter};
use service::{App, user};
use tokio::time::Instant;

use super::output::print;
use super::user::{utc, with_app};
use crate::args::{Audit, AuditSearch, AuditVerify};
use crate::config::{Deadline, Inputs, Needs, parse_deadline};
use crate::failure::Usage;
use crate::logs::one_line;

/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);
/// Checkpoints are compact JWS: their headers are JSON objects in base64url.
const BEGINNING: &str = "eyJ";

pub(super) fn run(inputs: &Inputs, command: Audit) -> anyhow::Result<ExitCode> {
    let needs = match command {
        Audit::Verify(_) | Audit::Checkpoint => Needs::Server,
        Audit::Search(_) | Audit::Export => Needs::Database,
    };
    with_app(inputs, needs, false, async |app| match command {
        Audit::Verify(args) => verify(app, &args).await,
        Audit::Checkpoint => checkpoint(app).await,
        Audit::Search(args) => search(app, args).await,
        Audit::Export => export(app).await,
    })
}

async fn verify(app: &App, args: &AuditVerify) -> anyhow::Result<ExitCode> {
    let mut given = Vec::new();
    for file in &args.checkpoint {
        given.extend(checkpoints_of(file)?);
    }
    let began = Instant::now();
    let mut teller = Teller { told: began, is_heard: io::stderr().is_terminal() };
    let report = audit::verify::verify(app, &given, &mut |done| teller.hear(done)).await?;
    let took = began.elapsed();
    print(&if args.json { as_json(&report, took) } else { as_text(&report, took) })?;
    Ok(if report.wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What looks like a checkpoint in a file: alone on a line, or in a line of a log.
fn checkpoints_of(file: &PathBuf) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let found = text
        .split(|c| !is_part(c))
        .filter(|word| word.starts_with(BEGINNING) && word.bytes().filter(|byte| *byte == b'.').count() == 2);
    let found: Vec<String> = found.map(str::to_owned).collect();
    if found.is_empty() {
        return Err(Usage(format!("there is no checkpoint in {}", file.display())).into());
    }
    Ok(found)
}

/// Tells on a terminal how far it is.
struct Teller {
    told: Instant,
    is_heard: bool,
}

impl Teller {
    fn hear(&mut self, done: u64) {
        if self.is_heard && self.told.elapsed() >= TELL {
            self.told = Instant::now();
            eprintln!("{done} rows checked");
        }
    }
}

fn rate(report: &Report, took: Duration) -> u64 {
    (report.tally.rows as f64 / took.as_secs_f64().max(1e-6)) as u64
}

fn as_json(report: &Report, took: Duration) -> String {
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    let report = json!({
        "sound": report.wrong == 0,
        "rows": report.tally.rows,
        "erased": report.tally.erased,
        "begins_after": report.begins_after,
        "position": report.position,
        "checkpoints": report.checkpoints,
        "checkpoints_not_comparable": report.not_comparable,
        "waiting": report.waiting,
        "unchained": report.unchained,
        "wrong": report.wrong,
        "faults": faults,
        "seconds": took.as_secs_f64(),
        "rows_per_second": rate(report, took),
    });
    format!("{report}\n")
}

fn as_text(report: &Report, took: Duration) -> String {
    let mut out: String = report.faults.iter().map(|fault| format!("{fault}\n")).collect();
    let told = report.faults.len() as u64;
    if report.wrong > told {
        _ = writeln!(out, "and {} more", report.wrong - told);
    }
    let (rows, seconds) = (report.tally.rows, took.as_secs_f64());
    _ = writeln!(
        out,
        "{rows} rows, {} of them erased, positions {} to {}; {seconds:.1} s, {} rows/s",
        report.tally.erased,
        report.begins_after + 1,
        report.position,
        rate(report, took)
    );
    _ = writeln!(out, "checkpoints that agree: {}", report.checkpoints);
    if report.not_comparable > 0 {
        _ = writeln!(out, "not comparable, about rows that were removed since: {}", report.not_comparable);
    }
    if report.waiting > 0 {
        _ = writeln!(out, "rows that wait for their places, which nothing proves yet: {}", report.waiting);
    }
    if let Some(why) = &report.unchained {
        _ = writeln!(out, "rows could not be given their places now: {}", one_line(why));
    }
    out += match report.wrong {
        0 => "the audit trail is sound\n",
        _ => "THE AUDIT TRAIL IS NOT SOUND\n",
    };
    out
}

async fn checkpoint(app: &App) -> anyhow::Result<ExitCode> {
    let made = audit::checkpoint::make(app).await?.context("the audit trail is empty")?;
    print(&format!("{}\n", made.statement))?;
    Ok(ExitCode::SUCCESS)
}

/// Gives rows their places that the service has not come to. What has one is shown in any case.
async fn chain(app: &App) {
    if let Err(error) = audit::chain::chain(app).await {
        let why = one_line(&error.to_string());
        eprintln!("what waits for its place in the audit trail is not shown: {why}");
    }
}

async fn search(app: &App, args: AuditSearch) -> anyhow::Result<ExitCode> {
    chain(app).await;
    let whole = Filter::default();
    let filter = Filter {
        user: account(app, args.user.as_deref()).await?,
        kind: args.kind,
        from: time(args.from.as_deref())?.unwrap_or(whole.from),
        until: time(args.until.as_deref())?.unwrap_or(whole.until),
    };
    // One more than asked for tells whether there are more.
    let mut rows = audit::search(app, &filter, None, args.limit.saturating_add(1)).await?;
    let more = rows.len() > args.limit as usize;
    rows.truncate(args.limit as usize);
    let show = if args.json { line_of_json } else { line_of_text };
    print(&rows.iter().map(show).collect::<String>())?;
    if more {
        eprintln!("there are more: use a higher --limit, or --until");
    }
    Ok(ExitCode::SUCCESS)
}

/// Accounts that were deleted have no name any more.
async fn account(app: &App, text: Option<&str>) -> anyhow::Result<Option<UserId>> {
    let Some(text) = text else { return Ok(None) };
    if let Some(id) = text.strip_prefix("id:").and_then(|id| id.parse().ok()) {
        return Ok(Some(UserId::new(id)));
    }
    Ok(Some(user::find(app, text).await?.id))
}

fn time(text: Option<&str>) -> anyhow::Result<Option<domain::time::Timestamp>> {
    let Some(text) = text else { return Ok(None) };
    match parse_deadline(text) {
        Ok(Deadline::At(time)) => Ok(Some(time)),
        Ok(_) => Err(Usage(format!("{text:?} is not a date or a UTC time")).into()),
        Err(fault) => Err(Usage(format!("{text:?} {fault}")).into()),
    }
}

async fn export(app: &App) -> anyhow::Result<ExitCode> {
    chain(app).await;
    let mut after = 0;
    loop {
        let rows = audit::export(app, after).await?;
        let Some(last) = rows.last() else { return Ok(ExitCode::SUCCESS) };
        after = last.position;
        print(&rows.iter().map(line_of_json).collect::<String>())?;
    }
}

/// One object of JSON: control characters and quotes are escaped, whatever a client had put in (LA-03).
fn line_of_json(row: &EventRow) -> String {
    let detail = row.detail.as_deref().map(|text| serde_json::from_str(text).unwrap_or(Value::from(text)));
    let line = json!({
        "position": row.position,
        "at": jiff::Timestamp::from_microsecond(row.at.micros()).map_or_else(|_| "?".to_owned(), |at| at.to_string()),
        "kind": row.kind,
        "result": row.result,
        "actor": row.actor,
        "actor_id": row.actor_id,
        "user_id": row.user.map(UserId::get),
        "session_id": row.session.map(|id| id.to_string()),
        "address": row.address,
        "user_agent": row.user_agent,
        "request_id": row.request_id,
        "detail": detail,
        "erased": row.erased,
    });
    format!("{line}\n")
}

fn line_of_text(row: &EventRow) -> String {
    let mut line =
        format!("{:>8}  {}  {} {}  by {}", row.position, utc(row.at), row.kind, row.result, row.actor);
    let more = [
        ("", row.actor_id.clone()),
        ("user ", row.user.map(|id| id.to_string())),
        ("from ", row.address.clone()),
        ("", row.detail.clone()),
        ("with ", row.user_agent.clone()),
        ("", row.erased.then(|| "(erased)".to_owned())),
    ];
    for (name, text) in more {
        if let Some(text) = text {
            _ = write!(line, "  {name}{text}");
        }
    }
    one_line(&line) + "\n"
}
