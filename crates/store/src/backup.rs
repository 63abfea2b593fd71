//! Copies of an embedded database, made while it is in use, and the way back.
//!
//! A backup is one file that stands alone. A restore ends every session and refuses every token from before it: what a
//! backup says of sessions is old, and a session that was ended since the backup must not come back with it.

mod restore;
mod server;

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OptionalExtension};

use crate::sqlite::files::{OpenLock, beside, make_private, pause, resolve, sync_folder};
use crate::sqlite::open_plain;
use crate::{Error, Result};

pub use restore::{Restored, restore};
pub use server::settle_restored;

/// Pages copied at a time: 1 MiB of 4 KiB pages.
const STEP: i32 = 256;
/// How long a step waits for a database that another process has locked, and how often.
const RETRY: Duration = Duration::from_millis(50);
const RETRIES: u32 = 200;

/// Copies a database that may be in use to a new file, readable for its owner alone. The copy is of one moment;
/// writers go on meanwhile. Blocks until the copy is checked and on the disk.
///
/// # Errors
/// [`Error::Refused`] when the target exists or the source does not, [`Error::Corrupt`] when the copy does not pass
/// SQLite's integrity check, [`Error::Busy`] while a restore runs, [`Error::Unavailable`].
pub fn backup(database: &Path, target: &Path) -> Result<()> {
    let source = existing(database)?;
    let target = resolve(target)?;
    // The rename below would refuse as well; this spares the work.
    if target.symlink_metadata().is_ok() {
        return Err(exists(&target));
    }
    let _lock = OpenLock::shared(&source)?;
    let draft = Draft::new(&target)?;
    copy(&open_existing(&source)?, draft.path())?;
    verify(draft.path())?;
    draft.publish(&target)
}

/// A file that is being written under another name beside its target, and goes away unless it is published.
struct Draft {
    path: PathBuf,
}

impl Draft {
    fn new(target: &Path) -> Result<Self> {
        // One that a killed process has left behind is not ours to touch: it may belong to one that runs.
        for number in 0..100 {
            let path = beside(target, &format!(".partial-{}-{number}", std::process::id()));
            if make_private(&path)? {
                return Ok(Self { path });
            }
        }
        Err(Error::Refused(format!("remove the unfinished copies {}.partial-*", target.display()).into()))
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the content durable, gives it its name unless that is taken, and makes the name durable.
    fn publish(self, target: &Path) -> Result<()> {
        sync(&self.path)?;
        // A hard link is the rename that refuses to overwrite; the draft's own name goes with the draft.
        match std::fs::hard_link(&self.path, target) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(exists(target)),
            Err(error) if has_no_links(&error) => self.rename(target)?,
            Err(error) => return Err(Error::file(target, error)),
        }
        sync_folder(target)
    }

    /// For file systems without hard links.
    fn rename(&self, target: &Path) -> Result<()> {
        if target.symlink_metadata().is_ok() {
            return Err(exists(target));
        }
        self.replace(target)
    }

    /// Gives the content its name, whatever had that name before.
    fn replace(&self, target: &Path) -> Result<()> {
        std::fs::rename(&self.path, target).map_err(|error| Error::file(target, error))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            // What is not there needs no removing; what cannot be removed is named like what it is.
            let _ = std::fs::remove_file(beside(&self.path, suffix));
        }
    }
}

fn has_no_links(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

fn exists(path: &Path) -> Error {
    Error::Refused(format!("{} exists; choose another name or move it away", path.display()).into())
}

fn existing(path: &Path) -> Result<PathBuf> {
    if !path.is_file() {
        return Err(Error::Refused(format!("there is no database at {}", path.display()).into()));
    }
    resolve(path)
}

fn open_existing(path: &Path) -> Result<Connection> {
    let sqlite = open_plain(path)?;
    sqlite.busy_timeout(Duration::from_secs(10))?;
    Ok(sqlite)
}

/// Copies all of a database into an empty file.
fn copy(source: &Connection, target: &Path) -> Result<()> {
    // One read transaction around all steps: the copy is of one moment, and a busy writer cannot make it start again.
    source.execute_batch("BEGIN")?;
    source.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let mut copy = open_plain(target)?;
    run_steps(&Backup::new(source, &mut copy)?)?;
    source.execute_batch("ROLLBACK")?;
    // The copy says of itself that it has a log; it is to be one file that stands alone.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    copy.close().map_err(|(_, error)| error.into())
}

fn run_steps(backup: &Backup<'_, '_>) -> Result<()> {
    let mut waits = 0;
    loop {
        match backup.step(STEP)? {
            StepResult::Done => return Ok(()),
            StepResult::More => waits = 0,
            // Busy or locked.
            _ if waits < RETRIES => {
                waits += 1;
                pause(RETRY);
            }
            _ => return Err(Error::Busy),
        }
    }
}

/// Has SQLite check every page, index and reference of a file.
fn verify(path: &Path) -> Result<()> {
    let sqlite = open_existing(path)?;
    let verdict: String = sqlite.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Error::Corrupt(verdict.into()));
    }
    let broken =
        sqlite.query_row("PRAGMA foreign_key_check", [], |row| row.get::<_, String>(0)).optional()?;
    match broken {
        Some(table) => Err(Error::Corrupt(format!("a reference in {table} has no target").into())),
        None => Ok(()),
    }
}

/// Makes a file's content durable. Only for files that no SQLite connection of this process has open: closing the
/// handle would drop that connection's locks.
fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| Error::file(path, error))
}
