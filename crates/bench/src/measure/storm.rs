//! POST /verify/ while 64 clients log in without pause, against without them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::bench::{Bench, POPULATION};
use crate::load::{self, Outcome, Until, User};
use crate::measure::{loggers_in, median_text, micros, stop_flag, time_text, verifiers};
use crate::report::{Bar, Row};
use crate::server::Server;
use crate::service;
use crate::stats::{Summary, percentile};

/// Clients that log in.
const STORM: usize = 64;

/// Clients that check tokens. Few: they and the storm share one client thread, whose own queue would otherwise be
/// most of the latency that is measured.
const VERIFIERS: usize = 4;

/// Lets calm and storm take turns on the same service.
pub(crate) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut server = service::start(bench, &bench.database("storm").await?, &[]).await?;
    let pairs = service::open_sessions(&mut server, POPULATION, bench.pick(128, 16)).await?;
    let mut checks = verifiers(server.endpoint, &pairs, VERIFIERS);
    let mut storm = loggers_in(server.endpoint, POPULATION, STORM);
    let length = Duration::from_millis(bench.pick(4_000, 1_000));
    let (mut calm_rates, mut storm_rates) = (Vec::new(), Vec::new());
    let (mut calm_p99, mut storm_p99) = (Vec::new(), Vec::new());
    server.load(&mut checks, Until::Elapsed(length / 4)).await?;
    for _ in 0..bench.pick(9, 3) {
        let calm = server.load(&mut checks, Until::Elapsed(length)).await?;
        let stormy = in_storm(&mut server, &mut checks, &mut storm, length).await?;
        for (mut outcome, rates, p99) in
            [(calm, &mut calm_rates, &mut calm_p99), (stormy, &mut storm_rates, &mut storm_p99)]
        {
            rates.push(outcome.rate());
            p99.push(micros(percentile(&mut outcome.latencies, 0.99)));
        }
    }
    server.stop().await?;
    let rate = Row::ratio(
        format!("/verify/ per second during {STORM} concurrent logins, against without"),
        median_text(&storm_rates, 0, "/s"),
        median_text(&calm_rates, 0, "/s"),
        Summary::of_ratios(&storm_rates, &calm_rates),
    );
    let latency = Row::ratio(
        "  the same, 99th percentile of the latency",
        time_text(&storm_p99),
        time_text(&calm_p99),
        Summary::of_ratios(&storm_p99, &calm_p99),
    );
    Ok(vec![rate.with_bar(Bar::AtLeast(0.7)), latency.with_bar(Bar::AtMost(3.0))])
}

/// Checks tokens for `length` in the middle of a storm that began before and ends after.
async fn in_storm(
    server: &mut Server,
    checks: &mut Vec<User>,
    storm: &mut Vec<User>,
    length: Duration,
) -> Result<Outcome> {
    let flag = stop_flag();
    let logins = load::run(storm, Until::Stopped(Arc::clone(&flag)));
    let measured = async {
        tokio::time::sleep(length / 8).await;
        let outcome = server.load(checks, Until::Elapsed(length)).await;
        flag.store(true, Ordering::Relaxed);
        outcome
    };
    let (logins, measured) = tokio::join!(logins, measured);
    ensure!(logins?.answered > STORM as u64 / 4, "the storm was none: too few logins were answered");
    measured
}
