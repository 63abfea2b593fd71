//! `breached build|check`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use crypto::breached::build::{Source, build};
use crypto::breached::{BreachKey, BreachedPasswords};
use domain::password::Password;

use super::output::print;
use super::{load_for_database, password};
use crate::args::{Breached, BreachedBuild, BreachedCheck};
use crate::config::{Inputs, Mode};
use crate::failure::Usage;

pub(super) fn run(inputs: &Inputs, command: Breached) -> anyhow::Result<ExitCode> {
    match command {
        Breached::Build(args) => make(&args),
        Breached::Check(args) => check(inputs, &args),
    }
}

fn make(args: &BreachedBuild) -> anyhow::Result<ExitCode> {
    let source = if args.plain { Source::Passwords } else { Source::Digests { at_least: args.at_least } };
    let (input, bytes) = open(&args.from)?;
    // A digest's line takes 43 bytes or a little more. Of a pipe nothing is known but that it was worth the trouble.
    let expected = bytes.map_or(1 << 30, |bytes| bytes / if args.plain { 10 } else { 43 });
    let built = build(input, source, &args.to, expected, |lines| show_progress(lines, expected))
        .with_context(|| format!("no list was made of {}", args.from.display()))?;
    print(&format!(
        "{}: {} passwords of {} lines, {} bytes\nset BREACHED_PASSWORDS to it and start the service again\n",
        args.to.display(),
        built.passwords,
        built.lines,
        built.bytes
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The source, and its length where it has one.
fn open(path: &Path) -> anyhow::Result<(Box<dyn BufRead>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let found = file.metadata()?;
    // A pipe by the name of a file has no length either.
    let length = found.is_file().then_some(found.len());
    Ok((Box::new(BufReader::with_capacity(1 << 20, file)), length))
}

fn show_progress(lines: u64, expected: u64) {
    if io::stderr().is_terminal() {
        eprint!("\r{} of about {} million lines", lines >> 20, (expected >> 20).max(lines >> 20));
    }
}

fn check(inputs: &Inputs, args: &BreachedCheck) -> anyhow::Result<ExitCode> {
    let path = match &args.list {
        Some(path) => path.clone(),
        None => load_for_database(inputs, Mode::Serve)?.config.passwords.breached.ok_or_else(|| {
            Usage("there is no list: set BREACHED_PASSWORDS or name one with --list".to_owned())
        })?,
    };
    let list = BreachedPasswords::open(&path).with_context(|| path.display().to_string())?;
    list.check().with_context(|| path.display().to_string())?;
    let given = password::read_once(args.stdin)?;
    let key = BreachKey::of(Password::new_nfc(password::text(&given)?).as_bytes());
    let known = list.contains(key)?;
    let answer = if known { "breached: it is in the list" } else { "not in the list" };
    print(&format!("{answer} ({} passwords)\n", list.len()))?;
    Ok(if known { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
