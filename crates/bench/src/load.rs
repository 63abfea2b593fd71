//! The load: virtual users who each send a request, wait for the answer and send the next (a closed loop).
//!
//! All users share the one thread that runs the bench, so that the client takes at most one core.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;

use crate::clock;
use crate::http::Connection;
use crate::script::{Endpoint, Script};

/// No phase of load may take longer: a server that hangs ends the run instead of holding it.
const LONGEST_PHASE: Duration = Duration::from_secs(300);

/// One client: its connection and what it asks for. Both live on between phases.
#[derive(Debug)]
pub(crate) struct User {
    connection: Connection,
    close: bool,
    script: Script,
}

impl User {
    /// User `number` of a server; each comes from a loopback address of its own, as real clients would.
    pub(crate) fn new(endpoint: Endpoint, number: usize, script: Script) -> Self {
        let [low, high] = [number % 250, number / 250 % 250].map(|part| u8::try_from(part + 2).unwrap_or(2));
        let source = Ipv4Addr::new(127, 0, high, low);
        Self { connection: Connection::new(endpoint.address, source), close: endpoint.close, script }
    }

    /// What the user did last and knows now.
    pub(crate) fn into_script(self) -> Script {
        self.script
    }
}

/// When a phase of load ends.
#[derive(Debug, Clone)]
pub(crate) enum Until {
    /// After this many requests of all users together.
    Answered(u64),
    /// After this time; requests on their way are waited for but not counted.
    Elapsed(Duration),
    /// When the flag is set.
    Stopped(Arc<AtomicBool>),
}

/// What a phase of load measured.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Requests answered as expected within the phase.
    pub(crate) answered: u64,
    /// The wall time in which they were answered.
    pub(crate) elapsed: Duration,
    /// One per answered request, in no order.
    pub(crate) latencies: Vec<Duration>,
}

impl Outcome {
    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }
}

/// Lets all users work until the phase ends; any answer that is not the expected one fails the run.
pub(crate) async fn run(users: &mut Vec<User>, until: Until) -> Result<Outcome> {
    if users.is_empty() {
        bail!("a load needs at least one user");
    }
    let phase = Phase::new(until);
    let mut tasks = JoinSet::new();
    for user in users.drain(..) {
        tasks.spawn(work(user, phase.clone()));
    }
    let all = async {
        let mut latencies = Vec::new();
        while let Some(task) = tasks.join_next().await {
            let (user, mut own) = task.context("a virtual user panicked")??;
            users.push(user);
            latencies.append(&mut own);
        }
        Ok::<_, anyhow::Error>(latencies)
    };
    let latencies = tokio::time::timeout(LONGEST_PHASE, all).await.context("the server hangs")??;
    Ok(Outcome { answered: latencies.len() as u64, elapsed: phase.length(), latencies })
}

/// What all users of a phase share.
#[derive(Debug, Clone)]
struct Phase {
    until: Until,
    start: Instant,
    taken: Arc<AtomicU64>,
}

impl Phase {
    fn new(until: Until) -> Self {
        Self { until, start: clock::now(), taken: Arc::default() }
    }

    /// Whether one more request is to be sent.
    fn goes_on(&self, now: Instant) -> bool {
        match &self.until {
            Until::Answered(count) => self.taken.fetch_add(1, Ordering::Relaxed) < *count,
            Until::Elapsed(limit) => now.duration_since(self.start) < *limit,
            Until::Stopped(flag) => !flag.load(Ordering::Relaxed),
        }
    }

    fn counts(&self, now: Instant) -> bool {
        !matches!(&self.until, Until::Elapsed(limit) if now.duration_since(self.start) > *limit)
    }

    fn length(&self) -> Duration {
        match &self.until {
            Until::Elapsed(limit) => *limit,
            _ => clock::now().duration_since(self.start),
        }
    }
}

async fn work(mut user: User, phase: Phase) -> Result<(User, Vec<Duration>)> {
    let mut latencies = Vec::new();
    let mut request = Vec::with_capacity(1024);
    let mut now = clock::now();
    while phase.goes_on(now) {
        user.script.write(user.close, &mut request);
        let sent = clock::now();
        let answer = user.connection.exchange(&request).await?;
        now = clock::now();
        user.script.read(answer.status, answer.body)?;
        if phase.counts(now) {
            latencies.push(now.duration_since(sent));
        }
    }
    Ok((user, latencies))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bare;
    use crate::script::verify_requests;

    async fn bare_server() -> Endpoint {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, bare::router()).await });
        Endpoint { address, close: false }
    }

    fn verifiers(endpoint: Endpoint) -> Vec<User> {
        let requests = verify_requests(["one", "two", "three"].into_iter(), endpoint.close);
        (0..4).map(|number| User::new(endpoint, number, Script::verify(&requests, number))).collect()
    }

    #[tokio::test]
    async fn every_request_is_counted_once_and_the_users_live_on() {
        for close in [false, true] {
            let mut users = verifiers(Endpoint { close, ..bare_server().await });
            for _ in 0..2 {
                let outcome = run(&mut users, Until::Answered(50)).await.unwrap();
                assert_eq!((outcome.answered, outcome.latencies.len(), users.len()), (50, 50, 4));
            }
        }
    }

    #[tokio::test]
    async fn a_set_flag_ends_the_load() {
        let mut users = verifiers(bare_server().await);
        let flag = Arc::new(AtomicBool::new(true));
        assert_eq!(run(&mut users, Until::Stopped(flag)).await.unwrap().answered, 0);
    }

    #[tokio::test]
    async fn an_unexpected_answer_fails_the_run() {
        let endpoint = bare_server().await;
        let mut users = vec![User::new(endpoint, 0, Script::login(10, 0))];
        let error = run(&mut users, Until::Answered(5)).await.unwrap_err();
        assert!(error.to_string().contains("expected 200, got 404"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_fails_the_run() {
        let endpoint = Endpoint { address: ([127, 0, 0, 1], 1).into(), close: false };
        assert!(run(&mut verifiers(endpoint), Until::Answered(5)).await.is_err());
    }
}
