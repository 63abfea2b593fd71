//! Three replicas on one PostgreSQL: one live branch of a session, and how soon all have heard of a revocation.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::task::JoinSet;

use crate::bench::{Bench, POPULATION};
use crate::clock;
use crate::http::{Connection, post_json};
use crate::postgres::Cluster;
use crate::report::{Bar, Row};
use crate::script::{Draw, TokenPair};
use crate::server::Server;
use crate::service;
use crate::stats::{Summary, percentile};

const REPLICAS: usize = 3;

/// Refreshes of one token at the same time.
const PARALLEL: usize = 50;

/// The default of REVOCATION_BOUND.
const BOUND: Duration = Duration::from_secs(1);

/// Beyond this a replica has missed a revocation.
const LOST: Duration = Duration::from_secs(10);

/// Runs three replicas twice: as they come, and without notifications.
pub(crate) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let cluster = Cluster::start(bench, "pg-replicas").await?;
    let mut replicas = start(bench, &cluster, "notified", &[]).await?;
    let mut rows = vec![branches(bench, &cluster, &mut replicas).await?];
    let heard = revocations(bench, &mut replicas).await?;
    rows.append(&mut latency_rows("with notifications", heard, Duration::from_millis(50)));
    stop(replicas).await?;
    let mut replicas = start(bench, &cluster, "polling", &[("FEED_NOTIFY", "off")]).await?;
    let heard = revocations(bench, &mut replicas).await?;
    rows.append(&mut latency_rows("by polling alone", heard, BOUND));
    stop(replicas).await?;
    cluster.stop().await?;
    Ok(rows)
}

async fn start(bench: &Bench, cluster: &Cluster, name: &str, extra: &[(&str, &str)]) -> Result<Vec<Server>> {
    let settings = [&[("DATABASE_URL", cluster.url.as_str())], extra].concat();
    let mut replicas = Vec::new();
    for number in 1..=REPLICAS {
        let folder = bench.folder(&format!("{name}-{number}"))?;
        replicas.push(service::start(bench, &folder, &settings).await?);
    }
    Ok(replicas)
}

async fn stop(replicas: Vec<Server>) -> Result<()> {
    for replica in replicas {
        replica.stop().await?;
    }
    Ok(())
}

/// Rounds of parallel refreshes of one token, spread over all replicas. After a good round every caller has the same
/// successor, and the session's row has moved by one generation; the next round refreshes that successor.
async fn branches(bench: &Bench, cluster: &Cluster, replicas: &mut [Server]) -> Result<Row> {
    let rounds = bench.pick(200, 10);
    let mut pair = service::open_sessions(&mut replicas[0], POPULATION, 1).await?.remove(0);
    let mut connections: Vec<Connection> =
        (0..PARALLEL).map(|number| connect(&replicas[number % REPLICAS])).collect();
    let database = cluster.connect().await?;
    let mut good = 0;
    for round in 1..=rounds {
        let pairs = refresh_at_once(&mut connections, &pair.refresh).await?;
        let successors: HashSet<&str> = pairs.iter().map(|pair| pair.refresh.as_str()).collect();
        let row = database.query_one("SELECT max(generation), count(revoked_at) FROM sessions", &[]).await?;
        let (generation, ended): (i64, i64) = (row.get(0), row.get(1));
        good += u32::from(successors.len() == 1 && generation == round && ended == 0);
        pair = pairs.into_iter().next().context("no answers")?;
    }
    for replica in replicas {
        let status = verify(&mut connect(replica), &pair.access).await?;
        ensure!(status == 200, "the last access token is refused with {status}");
    }
    let measure =
        format!("one live branch after {PARALLEL} parallel refreshes on {REPLICAS} replicas, rounds");
    Ok(Row::absolute(measure, "", Summary::of(&[f64::from(good)])).with_bar(Bar::AtLeast(rounds as f64)))
}

async fn refresh_at_once(connections: &mut Vec<Connection>, token: &str) -> Result<Vec<TokenPair>> {
    let request = post_json("/refresh/", &format!(r#"{{"refresh":"{token}"}}"#), false);
    let mut tasks = JoinSet::new();
    for mut connection in connections.drain(..) {
        let request = request.clone();
        tasks.spawn(async move {
            let answer = connection.exchange(&request).await?;
            ensure!(answer.status == 200, "a refresh was answered {}", answer.status);
            let pair: TokenPair = serde_json::from_slice(answer.body)?;
            Ok((connection, pair))
        });
    }
    let mut pairs = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (connection, pair) = done.context("a refresh panicked")??;
        connections.push(connection);
        pairs.push(pair);
    }
    Ok(pairs)
}

/// How long each of many revocations takes: from before the session is ended on the first replica until the
/// second one refuses its access token.
async fn revocations(bench: &Bench, replicas: &mut [Server]) -> Result<Vec<Duration>> {
    let pairs = service::open_sessions(&mut replicas[0], POPULATION, bench.pick(200, 20)).await?;
    let (mut first, mut second) = (connect(&replicas[0]), connect(&replicas[1]));
    let mut draw = Draw::seeded(1);
    let mut times = Vec::with_capacity(pairs.len());
    for pair in pairs {
        // Otherwise each revocation would begin just after the second replica has looked.
        tokio::time::sleep(Duration::from_millis(draw.next() % 400)).await;
        let status = verify(&mut second, &pair.access).await?;
        ensure!(status == 200, "a new access token is refused with {status}");
        let began = clock::now();
        let request = post_json("/logout/", &format!(r#"{{"refresh":"{}"}}"#, pair.refresh), false);
        let status = first.exchange(&request).await?.status;
        ensure!(status == 200, "a logout was answered {status}");
        until_refused(&mut second, &pair.access).await?;
        times.push(clock::now().duration_since(began));
    }
    Ok(times)
}

async fn until_refused(replica: &mut Connection, access: &str) -> Result<()> {
    let began = clock::now();
    loop {
        match verify(replica, access).await? {
            400 | 401 => return Ok(()),
            200 if clock::now().duration_since(began) < LOST => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            200 => bail!("a replica has not heard of a revocation within {LOST:?}"),
            status => bail!("a revoked token was answered {status}"),
        }
    }
}

async fn verify(replica: &mut Connection, access: &str) -> Result<u16> {
    let request = post_json("/verify/", &format!(r#"{{"token":"{access}"}}"#), false);
    Ok(replica.exchange(&request).await?.status)
}

fn connect(replica: &Server) -> Connection {
    Connection::new(replica.endpoint.address, Ipv4Addr::LOCALHOST)
}

fn latency_rows(how: &str, mut times: Vec<Duration>, most: Duration) -> Vec<Row> {
    let mut row = |measure: String, share: f64| {
        let time = percentile(&mut times, share).as_secs_f64() * 1e3;
        Row::absolute(measure, " ms", Summary::of(&[time]))
    };
    let bar = Bar::AtMost(most.as_secs_f64() * 1e3);
    vec![
        row(format!("revoked on one replica, refused by another {how}, 99th percentile"), 0.99).with_bar(bar),
        row("  (the same, median)".to_owned(), 0.5),
        row("  (the same, longest)".to_owned(), 1.0),
    ]
}
