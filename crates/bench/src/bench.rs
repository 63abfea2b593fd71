//! What all measures of one run share: the service's binary, the settings, the folder for databases.

use std::fs;
use std::io::Read as _;
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::seed;

/// Accounts in the database of every measure but the one about many accounts.
pub(crate) const POPULATION: u64 = 1_000;

/// Folders of runs are called `run-<process id>-<random>`.
const PREFIX: &str = "run-";

/// One run of the bench.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Short rounds: to see that everything works, not to believe the numbers.
    pub(crate) quick: bool,
    /// Cores of this machine.
    pub(crate) cores: usize,
    /// Network threads of every server that is measured.
    pub(crate) workers: usize,
    /// The service's binary.
    pub(crate) service: PathBuf,
    /// A signing secret of this run.
    pub(crate) secret: String,
    folder: TempDir,
}

impl Bench {
    /// A run whose databases lie in a folder of their own below `parent`, which is removed with the run.
    pub(crate) fn new(quick: bool, workers: Option<usize>, service: PathBuf, parent: &Path) -> Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        remove_leftovers(parent)?;
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?;
        Ok(Self { quick, cores, workers: workers.unwrap_or(cores), service, secret: secret()?, folder })
    }

    /// `full`, or `quick` in a short run.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// A new empty folder of this run.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// Lets other users of the system pass through the folder of this run: root's PostgreSQL runs as one of them.
    pub(crate) fn let_others_pass(&self) -> Result<()> {
        Ok(fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o711))?)
    }

    /// A new folder with a database of [`POPULATION`] accounts; made once, then copied.
    pub(crate) async fn database(&self, name: &str) -> Result<PathBuf> {
        let template = self.folder.path().join("template");
        if !template.exists() {
            seed::prepare(self, &template, POPULATION).await.context("cannot prepare a database")?;
        }
        let folder = self.folder(name)?;
        fs::copy(seed::database(&template), seed::database(&folder))?;
        Ok(folder)
    }
}

/// Removes the folders of runs that were killed: a million accounts take most of a gigabyte.
fn remove_leftovers(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent)?.flatten() {
        let name = entry.file_name();
        let run =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        if run.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Best effort: another run may be doing the same.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

fn secret() -> Result<String> {
    let mut bytes = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_ended_runs_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let own = format!("run-{}-x", std::process::id());
        // No process has the largest possible id: pid_max is at most 2^22.
        for name in [&own, "run-4294967295-y", "run-z", "venv"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        remove_leftovers(parent.path()).unwrap();
        let left = |name: &str| parent.path().join(name).exists();
        assert!(left(&own) && left("run-z") && left("venv"));
        assert!(!left("run-4294967295-y"));
    }
}
