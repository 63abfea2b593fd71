//! What the audit trail costs: processor time per logout with and without it, and rows checked per second.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;
use serde_json::Value;

use crate::bench::{Bench, POPULATION};
use crate::http::post_json;
use crate::measure::{Side, take_turns, time_text};
use crate::report::{Bar, Row};
use crate::script::{Script, TokenPair};
use crate::stats::Summary;
use crate::{load::User, seed, service};

/// Connections per side.
const USERS: usize = 8;

/// Takes the trail away from a database: rows go to a view that forgets them. What is left of the cost is their making, a
/// few microseconds in which nothing is written.
const FORGET: &str = "
    DROP TABLE audit_pending;
    CREATE VIEW audit_pending AS SELECT 0 AS id, 0 AS at, '' AS kind, '' AS result, '' AS actor, '' AS actor_id,
        0 AS user_id, x'' AS session_id, '' AS address, '' AS user_agent, '' AS request_id, '' AS detail, x'' AS salt
        WHERE FALSE;
    CREATE TRIGGER audit_forgets INSTEAD OF INSERT ON audit_pending BEGIN SELECT 1; END;";

/// Rows about as long as those of logins, that wait for their places.
const ROWS: &str = "
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
    INSERT INTO audit_pending (at, kind, result, actor, user_id, session_id, address, user_agent, request_id, salt)
    SELECT 1767225600000000 + n, 'login.succeeded', 'done', 'user', 1 + n % 1000, randomblob(16), '192.0.2.' || (n % 256),
        'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', lower(hex(randomblob(16))), randomblob(16)
    FROM numbers";

/// Logs out of as many sessions on a database with the trail and on one without it, in turns; then checks many rows.
pub(crate) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    Ok(vec![logouts(bench).await?, checking(bench).await?])
}

async fn logouts(bench: &Bench) -> Result<Row> {
    let (rounds, requests) = (bench.pick(20, 4), 100);
    let mut sides = Vec::new();
    for (name, forgets) in [("audit", false), ("audit-none", true)] {
        let folder = bench.database(name).await?;
        if forgets {
            Connection::open(seed::database(&folder))?.execute_batch(FORGET)?;
        }
        let mut server = service::start(bench, &folder, &[]).await?;
        let count = (rounds + 2) * requests as usize;
        let pairs = service::open_sessions(&mut server, POPULATION, count).await?;
        let share = pairs.len().div_ceil(USERS);
        let users = pairs.chunks(share).enumerate();
        let users = users.map(|(number, part)| {
            User::new(server.endpoint, number, Script::verify(&logout_requests(part), 0))
        });
        sides.push(Side { users: users.collect(), server });
    }
    let costs = take_turns(&mut sides, rounds, requests).await?;
    for side in sides {
        side.server.stop().await?;
    }
    let text = |side: usize| time_text(&costs[side]);
    let ratio = Summary::of_ratios(&costs[0], &costs[1]);
    Ok(Row::ratio(
        "processor time per logout, against one whose audit row is forgotten",
        text(0),
        text(1),
        ratio,
    )
    .with_bar(Bar::AtMost(1.1)))
}

/// Ending a session that has ended answers the same, so that it does not matter who comes round twice.
fn logout_requests(pairs: &[TokenPair]) -> std::sync::Arc<[Vec<u8>]> {
    let body = |pair: &TokenPair| format!(r#"{{"refresh":"{}"}}"#, pair.refresh);
    pairs.iter().map(|pair| post_json("/logout/", &body(pair), false)).collect()
}

async fn checking(bench: &Bench) -> Result<Row> {
    let folder = bench.database("audit-rows").await?;
    let file = seed::database(&folder);
    let count: i64 = bench.pick(1_000_000, 100_000);
    tokio::task::spawn_blocking(move || -> Result<()> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.execute(ROWS, [count])?;
        Ok(())
    })
    .await
    .context("seeding panicked")??;
    // The first run gives the rows their places.
    verify(bench, &folder)?;
    let mut rates = Vec::new();
    for _ in 0..bench.pick(5, 2) {
        rates.push(verify(bench, &folder)?);
    }
    Ok(Row::absolute("audit rows checked per second", "/s", Summary::of(&rates))
        .with_bar(Bar::AtLeast(500_000.0)))
}

/// Runs `audit verify` and answers its rows per second.
fn verify(bench: &Bench, folder: &Path) -> Result<f64> {
    let output = Command::new(&bench.service)
        .args(["audit", "verify", "--json"])
        .env_clear()
        .env("SECRET_KEY", &bench.secret)
        .env("DATA_DIR", folder)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()?;
    ensure!(output.status.success(), "audit verify failed: {}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout)?;
    report["rows_per_second"].as_f64().context("no rate in the report")
}
