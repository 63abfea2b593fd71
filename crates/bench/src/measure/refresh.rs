//! Durable refreshes per second against the same service with batches of one.

use std::time::Duration;

use anyhow::Result;

use crate::bench::{Bench, POPULATION};
use crate::load::Until;
use crate::measure::{Side, median_text, refreshers};
use crate::report::{Bar, Row};
use crate::service;
use crate::stats::Summary;

/// Clients, each with a session of its own.
const USERS: usize = 64;

/// Lets two services, each on a database of its own on the same disk, take turns.
pub(crate) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let settings: [(&str, &[(&str, &str)]); 2] =
        [("refresh", &[]), ("refresh-single", &[("COMMIT_BATCH", "1")])];
    let mut sides = Vec::new();
    for (name, extra) in settings {
        let mut server = service::start(bench, &bench.database(name).await?, extra).await?;
        let pairs = service::open_sessions(&mut server, POPULATION, USERS).await?;
        sides.push(Side { users: refreshers(server.endpoint, &pairs, USERS), server });
    }
    let length = Duration::from_millis(bench.pick(2_000, 600));
    let mut rates = [Vec::new(), Vec::new()];
    for round in 0..=bench.pick(15, 3) {
        for turn in 0..2 {
            let number = (round + turn) % 2;
            let Side { server, users } = &mut sides[number];
            let rate = server.load(users, Until::Elapsed(length)).await?.rate();
            if round > 0 {
                rates[number].push(rate);
            }
        }
    }
    for side in sides {
        side.server.stop().await?;
    }
    let row = Row::ratio(
        format!("durable refreshes per second, {USERS} clients, against batches of one"),
        median_text(&rates[0], 0, "/s"),
        median_text(&rates[1], 0, "/s"),
        Summary::of_ratios(&rates[0], &rates[1]),
    );
    Ok(vec![row.with_bar(Bar::AtLeast(1.5))])
}
