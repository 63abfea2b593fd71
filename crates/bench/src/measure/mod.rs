//! The measures, one file each, and what they have in common.

pub(crate) mod audit;
pub(crate) mod footprint;
pub(crate) mod import;
pub(crate) mod login;
pub(crate) mod refresh;
pub(crate) mod refresh_postgres;
pub(crate) mod replicas;
pub(crate) mod scale;
pub(crate) mod storm;
pub(crate) mod unknown;
pub(crate) mod verifier;
pub(crate) mod verify;

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;

use crate::bench::Bench;
use crate::load::User;
use crate::report::Row;
use crate::script::{Endpoint, Script, TokenPair, verify_requests};
use crate::server::{Server, free_port};
use crate::stats::Summary;

/// The names that `only` takes, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Measure {
    Verify,
    Login,
    Storm,
    Unknown,
    Refresh,
    RefreshPostgres,
    Replicas,
    Verifier,
    Scale,
    Footprint,
    Audit,
    Import,
}

impl Measure {
    /// Runs the measure and gives its rows.
    pub(crate) async fn run(self, bench: &Bench) -> Result<Vec<Row>> {
        match self {
            Self::Verify => verify::run(bench).await,
            Self::Login => login::run(bench).await,
            Self::Storm => storm::run(bench).await,
            Self::Unknown => unknown::run(bench).await,
            Self::Refresh => refresh::run(bench).await,
            Self::RefreshPostgres => refresh_postgres::run(bench).await,
            Self::Replicas => replicas::run(bench).await,
            Self::Verifier => verifier::run(bench).await,
            Self::Scale => scale::run(bench).await,
            Self::Footprint => footprint::run(bench).await,
            Self::Audit => audit::run(bench).await,
            Self::Import => import::run(bench).await,
        }
    }
}

/// A server and the users that put load on it.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) server: Server,
    pub(crate) users: Vec<User>,
}

/// Lets the sides take turns, `requests` each per round, and gives for each side the processor time per request
/// of every round, in microseconds. A first round that warms caches is thrown away.
///
/// Turns are short, and who begins changes from round to round: what else happens on the machine meanwhile touches
/// all sides alike.
pub(crate) async fn take_turns(sides: &mut [Side], rounds: usize, requests: u64) -> Result<Vec<Vec<f64>>> {
    let count = sides.len();
    let mut costs = vec![Vec::with_capacity(rounds); count];
    for round in 0..=rounds {
        for turn in 0..count {
            let number = (round + turn) % count;
            let Side { server, users } = &mut sides[number];
            let (cost, _) = server.cost(users, requests).await?;
            if round > 0 {
                costs[number].push(micros(cost));
            }
        }
    }
    Ok(costs)
}

/// Users that check the tokens of `pairs`, `count` of them, spread over the tokens.
pub(crate) fn verifiers(endpoint: Endpoint, pairs: &[TokenPair], count: usize) -> Vec<User> {
    let requests = verify_requests(pairs.iter().map(|pair| pair.access.as_str()), endpoint.close);
    let step = requests.len().div_ceil(count);
    (0..count).map(|number| User::new(endpoint, number, Script::verify(&requests, number * step))).collect()
}

/// Users that log accounts of the population in.
pub(crate) fn loggers_in(endpoint: Endpoint, population: u64, count: usize) -> Vec<User> {
    // Numbers of their own, so that they do not draw what `service::open_sessions` drew.
    (0..count).map(|number| User::new(endpoint, number, Script::login(population, 1_000 + number))).collect()
}

/// Users that refresh the sessions of `pairs`, which are divided among them.
pub(crate) fn refreshers(endpoint: Endpoint, pairs: &[TokenPair], count: usize) -> Vec<User> {
    let share = pairs.len().div_ceil(count).max(1);
    let script = |part: &[TokenPair]| Script::Refresh {
        tokens: part.iter().map(|pair| pair.refresh.clone()).collect(),
        next: 0,
    };
    let users = pairs.chunks(share).enumerate();
    users.map(|(number, part)| User::new(endpoint, number, script(part))).collect()
}

/// Users that register new accounts; `label` keeps their names apart from all others.
pub(crate) fn registrants(endpoint: Endpoint, label: &str, count: usize) -> Vec<User> {
    let script = |number| Script::Register { prefix: format!("{label}-{number}"), made: 0 };
    (0..count).map(|number| User::new(endpoint, number, script(number))).collect()
}

/// Starts the bare handler, with or without the service's middleware around it, as a process of its own.
pub(crate) async fn start_bare(bench: &Bench, name: &str, middleware: bool) -> Result<Server> {
    let extra: &[&str] = if middleware { &["--middleware"] } else { &[] };
    start_bare_with(bench, name, extra).await
}

/// Starts a bare handler with these arguments beside the usual ones.
pub(crate) async fn start_bare_with(bench: &Bench, name: &str, extra: &[&str]) -> Result<Server> {
    let port = free_port()?;
    let mut arguments: Vec<OsString> =
        ["bare", "--port", &port.to_string(), "--workers", &bench.workers.to_string()]
            .map(OsString::from)
            .into();
    arguments.extend(extra.iter().map(OsString::from));
    Server::start(&std::env::current_exe()?, &arguments, &[], &bench.folder(name)?, port, &[200]).await
}

/// A duration in microseconds.
pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The median of `values` as text with a unit; a dash when there is none.
pub(crate) fn median_text(values: &[f64], digits: usize, unit: &str) -> String {
    Summary::of(values).map_or_else(|| "-".to_owned(), |summary| format!("{:.digits$}{unit}", summary.median))
}

/// The median of times in microseconds as text, in a unit that suits it.
pub(crate) fn time_text(micros: &[f64]) -> String {
    match Summary::of(micros) {
        None => "-".to_owned(),
        Some(summary) if summary.median < 1e4 => format!("{:.2} us", summary.median),
        Some(summary) => format!("{:.2} ms", summary.median / 1e3),
    }
}

/// A flag for [`crate::load::Until::Stopped`].
pub(crate) fn stop_flag() -> Arc<AtomicBool> {
    Arc::default()
}
