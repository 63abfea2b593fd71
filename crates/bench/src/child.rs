//! Child processes that cannot outlive the bench.
//!
//! A child is started through the bench's own `launch` command, which asks the kernel to end it when the bench
//! ends, in whatever way (PR_SET_PDEATHSIG), and then becomes the program (same process id). While the bench
//! lives, dropping the [`Child`] ends it, also on an error or a panic.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use crate::clock;

/// How long a child may take to end after SIGTERM before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running child process.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts `program`, with its output in the file `log`.
    ///
    /// Call it from the main thread only: the kernel ends the child when the *thread* that made it ends.
    pub(crate) fn start(
        program: &Path,
        arguments: &[OsString],
        environment: &[(String, String)],
        log: &Path,
    ) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("launch").arg(std::process::id().to_string()).arg(program).args(arguments);
        command.env_clear().envs(inherited()).envs(environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = log.parent() {
            // Away from the user's `.env` and data folder.
            command.current_dir(folder);
        }
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let process = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { process, log: log.to_owned() })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// An error with the end of the child's output when it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some(status) = self.process.try_wait()? else { return Ok(()) };
        bail!("a server ended with {status}; the end of its output:\n{}", self.last_words());
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.try_wait()?.is_none())
    }

    /// The end of the child's output.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned()
    }

    /// Asks the child to end and waits for it; an error when it has to be killed.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM);
        let start = clock::now();
        while clock::now().duration_since(start) < PATIENCE {
            if self.process.try_wait()?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("a server did not end within {PATIENCE:?} of SIGTERM:\n{}", self.last_words());
    }

    /// Waits for a child that is to end by itself, and for its success.
    pub(crate) async fn finish(mut self, limit: Duration) -> Result<()> {
        let start = clock::now();
        while clock::now().duration_since(start) < limit {
            match self.process.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("a program ended with {status}:\n{}", self.last_words()),
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        bail!("a program took longer than {limit:?}:\n{}", self.last_words())
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // It may have ended already; until it is waited for its id is not given to another process.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        // TERM and not KILL first: gunicorn must end its workers.
        self.signal(Signal::TERM);
        let start = clock::now();
        while matches!(self.process.try_wait(), Ok(None)) && clock::now().duration_since(start) < PATIENCE / 5
        {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The `launch` command: ties this process to the bench that started it and becomes `program`.
pub(crate) fn launch(bench: u32, program: &Path, arguments: &[OsString]) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    if u32::try_from(parent) != Ok(bench) {
        bail!("the bench ended before its child began");
    }
    let error: io::Error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

/// What a child keeps of our environment: enough to find programs and libraries, no settings of the service.
fn inherited() -> impl Iterator<Item = (String, String)> {
    const KEPT: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR"];
    std::env::vars().filter(|(name, _)| KEPT.contains(&name.as_str()))
}
