//! The bare UPDATE: the least that PostgreSQL must do for a refresh.
//!
//! One prepared `UPDATE ... RETURNING` that changes the columns of a session that a refresh changes and commits by
//! itself, by the driver, the pool and the number of connections that the service has. It is sent by a handler that does
//! nothing else (`/refresh/`), or by tasks that do not even read requests (`/run/`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use crate::clock;

/// The default of DATABASE_POOL.
pub(crate) const POOL: usize = 16;

/// The columns and the condition of the service's statement (`store/src/session.rs`).
const UPDATE: &str = "
    UPDATE sessions SET generation = generation + 1, jti = $2, previous_jti = jti, last_used_at = last_used_at + 1,
        rotated_at = rotated_at + 1, idle_expires_at = idle_expires_at + 1
    WHERE id = $1 AND revoked_at IS NULL RETURNING generation, jti, idle_expires_at";

/// A token has the id of a session in hexadecimal in front.
const ID_DIGITS: usize = 32;

/// The body that POST /refresh/ takes, and what it answers.
#[derive(Debug, Deserialize)]
struct RefreshBody {
    refresh: String,
}

#[derive(Debug, Serialize)]
struct Pair {
    access: String,
    refresh: String,
}

/// What POST /run/ takes: one task for each session.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) sessions: Vec<String>,
    pub(crate) milliseconds: u64,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) updates: u64,
}

/// The database and a source of new values.
#[derive(Debug)]
struct Target {
    pool: Pool,
    next: AtomicU64,
}

type Shared = Arc<Target>;
type Answer<T> = std::result::Result<Json<T>, (StatusCode, String)>;

/// A token of `id` as the handler reads it, as long as the service's.
pub(crate) fn token(id: &str) -> String {
    format!("{id}{}", "-".repeat(260))
}

/// The router of the bare UPDATE on the database at `url`.
pub(crate) fn router(url: &str) -> Result<Router> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(url.parse()?, NoTls, recycling);
    let pool = Pool::builder(manager).max_size(POOL).runtime(Runtime::Tokio1).build()?;
    let target = Arc::new(Target { pool, next: AtomicU64::new(1) });
    let routes = Router::new().route("/refresh/", post(refresh)).route("/run/", post(run));
    Ok(routes.route("/healthz", get(async || "ok")).with_state(target))
}

async fn refresh(State(target): State<Shared>, Json(body): Json<RefreshBody>) -> Answer<Pair> {
    let id = parse_id(&body.refresh).map_err(failed)?;
    update(&target, &id).await.map_err(failed)?;
    Ok(Json(Pair { access: body.refresh.clone(), refresh: body.refresh }))
}

async fn run(State(target): State<Shared>, Json(order): Json<Order>) -> Answer<Done> {
    let end = clock::now() + Duration::from_millis(order.milliseconds);
    let mut tasks = JoinSet::new();
    for session in &order.sessions {
        let (target, id) = (Arc::clone(&target), parse_id(session).map_err(failed)?);
        tasks.spawn(async move {
            let mut updates = 0;
            loop {
                update(&target, &id).await?;
                if clock::now() > end {
                    return Ok::<_, anyhow::Error>(updates);
                }
                updates += 1;
            }
        });
    }
    let mut updates = 0;
    for counted in tasks.join_all().await {
        updates += counted.map_err(failed)?;
    }
    Ok(Json(Done { updates }))
}

async fn update(target: &Target, id: &[u8]) -> Result<()> {
    let next = u128::from(target.next.fetch_add(1, Ordering::Relaxed)).to_be_bytes();
    let client = target.pool.get().await?;
    let statement = client.prepare_cached(UPDATE).await?;
    let row = client.query_one(&statement, &[&id, &next.as_slice()]).await?;
    ensure!(row.get::<_, i64>(0) > 0, "nothing was updated");
    Ok(())
}

fn parse_id(token: &str) -> Result<Vec<u8>> {
    let digits = token.get(..ID_DIGITS).context("no session in the token")?;
    let pairs = (0..ID_DIGITS).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
    Ok(pairs.collect::<std::result::Result<_, _>>()?)
}

fn failed(error: anyhow::Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_session() {
        let id = "00112233445566778899aabbccddeeff";
        assert_eq!(parse_id(&token(id)).unwrap()[..3], [0, 0x11, 0x22]);
        assert_eq!(parse_id(id).unwrap().len(), 16);
        assert!(parse_id("0011").is_err());
        assert!(parse_id(&token("zz112233445566778899aabbccddeeff")).is_err());
    }
}
