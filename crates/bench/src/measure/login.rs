//! Logins per second against the same hash in a bare loop on all cores.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::bench::{Bench, POPULATION};
use crate::clock;
use crate::load::Until;
use crate::measure::{loggers_in, median_text};
use crate::report::{Bar, Row};
use crate::script::PASSWORD;
use crate::service;
use crate::stats::Summary;

/// Clients that log in at the same time.
const USERS: usize = 64;

/// Argon2id as the service's floor has it (OWASP Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Lets the bare loop and the service take turns.
pub(crate) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut server = service::start(bench, &bench.database("login").await?, &[]).await?;
    let mut users = loggers_in(server.endpoint, POPULATION, USERS);
    let length = Duration::from_millis(bench.pick(5_000, 1_200));
    server.load(&mut users, Until::Elapsed(length / 4)).await?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..bench.pick(9, 3) {
        if round % 2 == 0 {
            bare.push(bare_loop(bench.cores, length).await?);
        }
        ours.push(server.load(&mut users, Until::Elapsed(length)).await?.rate());
        if round % 2 == 1 {
            bare.push(bare_loop(bench.cores, length).await?);
        }
    }
    server.stop().await?;
    let row = Row::ratio(
        format!("logins per second, {USERS} clients, against the hash in a loop"),
        median_text(&ours, 1, "/s"),
        median_text(&bare, 1, "/s"),
        Summary::of_ratios(&ours, &bare),
    );
    Ok(vec![row.with_bar(Bar::AtLeast(0.9))])
}

/// Hashes per second of one thread per core that do nothing else.
async fn bare_loop(cores: usize, length: Duration) -> Result<f64> {
    let all = tokio::task::spawn_blocking(move || {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores).map(|_| scope.spawn(move || hash_for(length))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a hash panicked"))?)
                .sum()
        })
    });
    all.await.context("the bare loop panicked")?
}

/// Hashes per second of this thread, with memory that is allocated once, at the priority that the service's hashing
/// threads have (so that on a busy machine both sides lose alike).
fn hash_for(length: Duration) -> Result<f64> {
    // Best effort, as in the service.
    let _ = rustix::process::setpriority_process(None, 10);
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut memory = vec![Block::default(); params.block_count()];
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut digest = [0; 32];
    let start = clock::now();
    let mut hashes = 0u32;
    while clock::now().duration_since(start) < length {
        hasher
            .hash_password_into_with_memory(
                PASSWORD.as_bytes(),
                b"sixteen bytes...",
                &mut digest,
                &mut memory,
            )
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        hashes += 1;
    }
    ensure!(digest != [0; 32], "nothing was hashed");
    Ok(f64::from(hashes) / clock::now().duration_since(start).as_secs_f64())
}
