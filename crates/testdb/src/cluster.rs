//! A private PostgreSQL cluster of one test, to be stopped, killed and started again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A cluster made by `tests/postgres`. Its processes and its files go with it.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    url: String,
}

impl Cluster {
    /// Makes and starts one with these lines in its configuration. It flushes to the disk as in production.
    pub fn start_with(settings: &str) -> Self {
        let folder = TempDir::with_prefix("bookstore-auth-postgres-").expect("a temporary folder");
        let url = script("make", folder.path());
        let cluster = Self { url: url.trim().to_owned(), folder };
        let path = cluster.data().join("postgresql.conf");
        let text = std::fs::read_to_string(&path).expect("a configuration");
        std::fs::write(&path, text + settings + "\n").expect("a configuration");
        cluster.start();
        cluster
    }

    /// The address of its database, as its owner.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its folder for data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it again.
    pub fn start(&self) {
        script("start", self.folder.path());
    }

    /// Stops it: connections are closed, everything is written.
    pub fn stop(&self) {
        script("stop", self.folder.path());
    }

    /// Kills it (SIGKILL), as a crash would.
    pub fn kill(&self) {
        script("kill", self.folder.path());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
    }
}

fn script(what: &str, folder: &Path) -> String {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/postgres"))
        .args([what.as_ref(), folder.as_os_str()])
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    assert!(output.status.success(), "tests/postgres {what}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}
