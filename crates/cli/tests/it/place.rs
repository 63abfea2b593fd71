//! A folder to run commands in, with no environment but what the test gives.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use testkit::http::Client;
use testkit::wait;

/// A key that production takes.
pub(crate) const KEY: &str = "g!x^4w0)t=5r$2#b(9@z&k_e*u1-q+7y%p3h8m6n";

pub(crate) struct Place {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a command that has ended left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Its standard output, when it did what it was asked.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Its standard error, when it failed with this code.
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        self.err
    }
}

impl Place {
    pub(crate) fn new(environment: &[(&str, &str)]) -> Self {
        let mut place = Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new() };
        environment.iter().for_each(|(name, value)| place.set(name, value));
        place
    }

    /// Production with a good key, on a port that the system chooses.
    pub(crate) fn production() -> Self {
        Self::new(&[("SECRET_KEY", KEY), ("BIND", "127.0.0.1:0")])
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The names of what is in the folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path()).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bookstore-auth"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with_input(arguments, "")
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let mut child = self.command(arguments).spawn().unwrap();
        // A command that asks for nothing may be gone before it reads this.
        _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code().expect("ended by itself"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts `dev` or `serve` and waits for its start-up line.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self.command(arguments).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut start_line = String::new();
        out.read_line(&mut start_line).unwrap();
        let running = Running { child, start_line };
        assert!(running.start_line.contains("http://"), "it did not start: {}", running.stop().err);
        running
    }
}

/// A service that runs. Ended when dropped, by its process id.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) start_line: String,
}

impl Running {
    /// The address that the start-up line names.
    pub(crate) fn address(&self) -> String {
        let rest = &self.start_line[self.start_line.find("http://").unwrap() + 7..];
        rest.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address().parse().unwrap())
    }

    /// What other users of the machine see of it.
    pub(crate) fn arguments(&self) -> String {
        String::from_utf8(std::fs::read(format!("/proc/{}/cmdline", self.child.id())).unwrap()).unwrap()
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(mut self) -> Ended {
        let pid = self.child.id().to_string();
        // Gone already is as good.
        _ = Command::new("kill").args(["-TERM", &pid]).stderr(Stdio::null()).status().unwrap();
        let mut status = None;
        wait::until("the service ends", Duration::from_secs(60), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        let code = status.and_then(|status| status.code()).expect("ended by itself");
        Ended { code, out: self.start_line.clone(), err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already is as good.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The permissions of a file or folder.
pub(crate) fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
