//! Processor time per POST /verify/ against the least that the framework needs for such a request.

use anyhow::Result;

use crate::bench::{Bench, POPULATION};
use crate::measure::{Side, start_bare, take_turns, time_text, verifiers};
use crate::report::{Bar, Row};
use crate::service;
use crate::stats::Summary;

/// Connections per side.
const USERS: usize = 16;

/// Measures the service, the bare handler, the bare handler behind the service's middleware, and the bare handler
/// once more: the ratio of the two equal ones shows what the machine's noise does to a ratio.
pub(crate) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut service = service::start(bench, &bench.database("verify").await?, &[]).await?;
    let pairs = service::open_sessions(&mut service, POPULATION, bench.pick(256, 32)).await?;
    let mut servers = vec![service];
    for (name, middleware) in [("bare", false), ("bare-middleware", true), ("bare-again", false)] {
        servers.push(start_bare(bench, name, middleware).await?);
    }
    let mut sides: Vec<Side> = servers
        .into_iter()
        .map(|server| Side { users: verifiers(server.endpoint, &pairs, USERS), server })
        .collect();
    let costs = take_turns(&mut sides, bench.pick(81, 9), bench.pick(5_000, 2_000)).await?;
    for side in sides {
        side.server.stop().await?;
    }
    let row = |measure: &str, ours: usize, baseline: usize| {
        let text = |side: usize| time_text(&costs[side]);
        Row::ratio(measure, text(ours), text(baseline), Summary::of_ratios(&costs[ours], &costs[baseline]))
    };
    Ok(vec![
        row("processor time per /verify/, against a bare handler", 0, 1).with_bar(Bar::AtMost(1.35)),
        row("the same, our middleware around the bare handler", 0, 2).with_bar(Bar::AtMost(1.15)),
        row("  (our middleware alone, against the bare handler)", 2, 1),
        row("  (noise: the bare handler against itself)", 3, 1),
    ])
}
