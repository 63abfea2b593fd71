//! Each request type with a million accounts in the database against a thousand.

use anyhow::Result;

use crate::bench::{Bench, POPULATION};
use crate::load::User;
use crate::measure::{Side, loggers_in, refreshers, registrants, take_turns, time_text, verifiers};
use crate::procfs;
use crate::report::{Bar, Row};
use crate::script::TokenPair;
use crate::server::Server;
use crate::stats::Summary;
use crate::{seed, service};

/// Connections per side.
const USERS: usize = 16;

/// What is asked for, and how often per turn (full, quick). Registrations and logins are hashing, 15 ms each.
const KINDS: [(&str, u64, u64); 4] =
    [("register", 64, 32), ("login", 64, 32), ("refresh", 500, 200), ("verify", 5_000, 2_000)];

/// Lets a service with many accounts and one with few take turns, one type of request after the other.
pub(crate) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let many: u64 = bench.pick(1_000_000, 100_000);
    let mut parts = Vec::new();
    for (name, population) in [("many", many), ("few", POPULATION)] {
        let folder = bench.folder(name)?;
        eprintln!("  making a database of {population} accounts");
        seed::prepare(bench, &folder, population).await?;
        let mut server = service::start(bench, &folder, &[]).await?;
        let pairs = service::open_sessions(&mut server, population, bench.pick(256, 32)).await?;
        parts.push((server, population, pairs));
    }
    let mut rows = Vec::new();
    for (kind, full, quick) in KINDS {
        let mut sides = Vec::new();
        let mut rest = Vec::new();
        for (server, population, pairs) in parts {
            sides.push(Side { users: users(kind, &server, population, &pairs), server });
            rest.push((population, pairs));
        }
        let costs = take_turns(&mut sides, bench.pick(21, 5), bench.pick(full, quick)).await?;
        rows.push(row(kind, many, &costs));
        parts = sides
            .into_iter()
            .zip(rest)
            .map(|(side, (population, pairs))| (side.server, population, pairs))
            .collect();
    }
    let mut resident = Vec::new();
    for (server, _, _) in parts {
        resident.push(procfs::resident_kib(server.pid())? as f64 / 1024.0);
        server.stop().await?;
    }
    rows.push(Row::ratio(
        format!("  (resident memory after it, {many} accounts against {POPULATION})"),
        format!("{:.1} MiB", resident[0]),
        format!("{:.1} MiB", resident[1]),
        Summary::of_ratios(&resident[..1], &resident[1..]),
    ));
    Ok(rows)
}

fn users(kind: &str, server: &Server, population: u64, pairs: &[TokenPair]) -> Vec<User> {
    match kind {
        "register" => registrants(server.endpoint, "new", USERS),
        "login" => loggers_in(server.endpoint, population, USERS),
        "refresh" => refreshers(server.endpoint, pairs, USERS),
        _ => verifiers(server.endpoint, pairs, USERS),
    }
}

fn row(kind: &str, many: u64, costs: &[Vec<f64>]) -> Row {
    let measure = format!("processor time per /{kind}/, {many} accounts against {POPULATION}");
    let text = |side: usize| time_text(&costs[side]);
    Row::ratio(measure, text(0), text(1), Summary::of_ratios(&costs[0], &costs[1]))
        .with_bar(Bar::AtMost(1.15))
}
