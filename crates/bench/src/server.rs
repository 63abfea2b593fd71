//! A server under test: a child process on a loopback port of its own.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::child::Child;
use crate::clock;
use crate::http::{Connection, get};
use crate::load::{self, Until, User};
use crate::procfs::CpuReading;
use crate::script::Endpoint;

/// How long a server may take to answer for the first time.
const LONGEST_START: Duration = Duration::from_secs(60);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) endpoint: Endpoint,
    /// From before the process was made until its first answer.
    pub(crate) started_in: Duration,
}

impl Server {
    /// Starts `program` and waits until it answers GET /healthz with one of `statuses`. Its output goes to
    /// `folder/server.log`.
    pub(crate) async fn start(
        program: &Path,
        arguments: &[OsString],
        environment: &[(String, String)],
        folder: &Path,
        port: u16,
        statuses: &[u16],
    ) -> Result<Self> {
        let start = clock::now();
        let mut child = Child::start(program, arguments, environment, &folder.join("server.log"))?;
        let endpoint = Endpoint { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), close: false };
        let mut probe = Connection::new(endpoint.address, Ipv4Addr::LOCALHOST);
        let request = get("/healthz");
        loop {
            child.check()?;
            if let Ok(answer) = probe.exchange(&request).await
                && statuses.contains(&answer.status)
            {
                break;
            }
            if clock::now().duration_since(start) > LONGEST_START {
                bail!("a server did not answer within {LONGEST_START:?}:\n{}", child.last_words());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Self { child, endpoint, started_in: clock::now().duration_since(start) })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Lets `users` send `requests` and gives the processor time the server spent on each, with what the load
    /// measured.
    pub(crate) async fn cost(
        &mut self,
        users: &mut Vec<User>,
        requests: u64,
    ) -> Result<(Duration, load::Outcome)> {
        let before = CpuReading::take(self.pid())?;
        let outcome = self.load(users, Until::Answered(requests)).await?;
        let spent = before.until(&CpuReading::take(self.pid())?);
        Ok((spent.div_f64(outcome.answered.max(1) as f64), outcome))
    }

    /// Lets `users` work; when they fail, the error says what the server said last.
    pub(crate) async fn load(&mut self, users: &mut Vec<User>, until: Until) -> Result<load::Outcome> {
        match load::run(users, until).await {
            Ok(outcome) => Ok(outcome),
            Err(error) => {
                self.child.check()?;
                Err(error).with_context(|| format!("the server's last words:\n{}", self.child.last_words()))
            }
        }
    }

    /// Ends the server as an operator would (SIGTERM).
    pub(crate) async fn stop(self) -> Result<()> {
        self.child.stop().await
    }
}

/// A loopback port that nobody uses at the moment.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free loopback port")?;
    Ok(listener.local_addr()?.port())
}
