//! Refreshes per second on PostgreSQL against one bare UPDATE by the same driver and pool.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::bare_update::{self, Done, Order};
use crate::bench::{Bench, POPULATION};
use crate::http::{Connection, post_json};
use crate::load::Until;
use crate::measure::{Side, median_text, refreshers, start_bare_with};
use crate::postgres::Cluster;
use crate::report::{Bar, Row};
use crate::script::{Endpoint, TokenPair};
use crate::service;
use crate::stats::Summary;

/// Clients, each with a session of its own.
const USERS: usize = 64;

/// Lets the service, the bare UPDATE behind a bare handler, and the bare UPDATE without any HTTP take turns on one server.
pub(crate) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let cluster = Cluster::start(bench, "pg").await?;
    let folder = bench.folder("refresh-postgres")?;
    let mut server = service::start(bench, &folder, &[("DATABASE_URL", &cluster.url)]).await?;
    let pairs = service::open_sessions(&mut server, POPULATION, USERS).await?;
    let mut ours = Side { users: refreshers(server.endpoint, &pairs, USERS), server };

    let server = start_bare_with(bench, "bare-update", &["--database", &cluster.url]).await?;
    let mut sessions = cluster.dormant_sessions(2 * USERS).await?;
    let pairs: Vec<TokenPair> = sessions.split_off(USERS).iter().map(|id| pair_of(id)).collect();
    let mut handler = Side { users: refreshers(server.endpoint, &pairs, USERS), server };

    let length = Duration::from_millis(bench.pick(2_000, 600));
    let mut rates = [const { Vec::new() }; 3];
    for round in 0..=bench.pick(15, 3) {
        for turn in 0..3 {
            let number = (round + turn) % 3;
            let rate = match number {
                0 => ours.server.load(&mut ours.users, Until::Elapsed(length)).await?.rate(),
                1 => handler.server.load(&mut handler.users, Until::Elapsed(length)).await?.rate(),
                _ => driven(handler.server.endpoint, &sessions, length).await?,
            };
            if round > 0 {
                rates[number].push(rate);
            }
        }
    }
    for side in [ours, handler] {
        drop(side.users);
        side.server.stop().await?;
    }
    cluster.stop().await?;
    Ok(rows(&rates))
}

fn rows(rates: &[Vec<f64>; 3]) -> Vec<Row> {
    let row = |measure: String, ours: usize, baseline: usize| {
        let text = |side: usize| median_text(&rates[side], 0, "/s");
        let ratio = Summary::of_ratios(&rates[ours], &rates[baseline]);
        Row::ratio(measure, text(ours), text(baseline), ratio)
    };
    vec![
        row(format!("refreshes per second on PostgreSQL, {USERS} clients, against a bare UPDATE"), 0, 2)
            .with_bar(Bar::AtLeast(0.6)),
        row("  (the same, against that UPDATE behind a bare handler)".to_owned(), 0, 1),
        row("  (that UPDATE behind a bare handler, against the bare UPDATE)".to_owned(), 1, 2),
    ]
}

fn pair_of(id: &str) -> TokenPair {
    TokenPair { access: String::new(), refresh: bare_update::token(id) }
}

/// Updates per second of one task for each of these sessions, within the process that has the pool.
async fn driven(endpoint: Endpoint, sessions: &[String], length: Duration) -> Result<f64> {
    let order = Order { sessions: sessions.to_vec(), milliseconds: u64::try_from(length.as_millis())? };
    let request = post_json("/run/", &serde_json::to_string(&order)?, false);
    let mut connection = Connection::new(endpoint.address, Ipv4Addr::LOCALHOST);
    let answer = connection.exchange(&request).await?;
    ensure!(answer.status == 200, "the bare UPDATE failed: {}", String::from_utf8_lossy(answer.body));
    let done: Done = serde_json::from_slice(answer.body)?;
    Ok(done.updates as f64 / length.as_secs_f64())
}
