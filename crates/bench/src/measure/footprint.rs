//! Memory at rest, time to the first answer, size of the binary.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::bench::{Bench, POPULATION};
use crate::load::Until;
use crate::measure::{loggers_in, refreshers, registrants, verifiers};
use crate::procfs::CpuReading;
use crate::report::{Bar, Row};
use crate::server::Server;
use crate::stats::Summary;
use crate::{procfs, service};

/// Memory of one hashing thread (19456 KiB).
const ARENA_MIB: f64 = 19.0;

/// Measures one service at rest, after its start and after work, then starts it again and again.
pub(crate) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let folder = bench.database("footprint").await?;
    let mut server = service::start(bench, &folder, &[]).await?;
    let fresh = at_rest(&server).await?;
    work(bench, &mut server).await?;
    let worked = at_rest(&server).await?;
    server.stop().await?;

    let [again, spent] = starts(bench, &folder, bench.pick(20, 5)).await?;
    let mut first = Vec::new();
    for number in 0..bench.pick(5, 2) {
        let [mut walls, _] = starts(bench, &bench.folder(&format!("first-{number}"))?, 1).await?;
        first.append(&mut walls);
    }
    let size = std::fs::metadata(&bench.service)?.len() as f64 / (1 << 20) as f64;
    let most = 25.0 + ARENA_MIB * bench.cores as f64;
    let allowed = format!(
        "resident memory at rest after work, {} hashing arenas of {ARENA_MIB} MiB in it",
        bench.cores
    );
    Ok(vec![
        Row::absolute(allowed, " MiB", Summary::of(&[worked])).with_bar(Bar::AtMost(most)),
        Row::absolute("  (the same before any request)", " MiB", Summary::of(&[fresh])),
        Row::absolute("start to first answer", " ms", Summary::of(&again)).with_bar(Bar::AtMost(100.0)),
        Row::absolute("  (processor time spent in it)", " ms", Summary::of(&spent)),
        Row::absolute("  (start to first answer on a new database)", " ms", Summary::of(&first)),
        Row::absolute("size of the binary", " MiB", Summary::of(&[size])),
    ])
}

/// Resident memory in MiB after a moment without requests.
async fn at_rest(server: &Server) -> Result<f64> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(procfs::resident_kib(server.pid())? as f64 / 1024.0)
}

/// Some of everything, from 64 clients.
async fn work(bench: &Bench, server: &mut Server) -> Result<()> {
    let endpoint = server.endpoint;
    let pairs = service::open_sessions(server, POPULATION, 64).await?;
    let phases = [
        (loggers_in(endpoint, POPULATION, 64), bench.pick(256, 64)),
        (registrants(endpoint, "new", 64), bench.pick(128, 64)),
        (refreshers(endpoint, &pairs, 64), bench.pick(10_000, 500)),
        (verifiers(endpoint, &pairs, 64), bench.pick(50_000, 5_000)),
    ];
    for (mut users, requests) in phases {
        server.load(&mut users, Until::Answered(requests)).await?;
    }
    Ok(())
}

/// Starts the service `count` times; gives the times from the making of the process to its first answer and the processor
/// times spent in them, in milliseconds.
async fn starts(bench: &Bench, folder: &Path, count: usize) -> Result<[Vec<f64>; 2]> {
    let [mut walls, mut costs] = [Vec::new(), Vec::new()];
    for _ in 0..count {
        let server = service::start(bench, folder, &[]).await?;
        costs.push(CpuReading::default().until(&CpuReading::take(server.pid())?).as_secs_f64() * 1e3);
        walls.push(server.started_in.as_secs_f64() * 1e3);
        server.stop().await?;
    }
    Ok([walls, costs])
}
