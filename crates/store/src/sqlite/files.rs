//! The files of an embedded database: who may read them, and the lock that a restore needs.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result};

/// How long opening waits for a restore to finish, in steps of [`LOCK_STEP`].
const LOCK_STEPS: u32 = 50;
const LOCK_STEP: Duration = Duration::from_millis(100);

/// The file's name with something added: `auth.db` and `-wal` make `auth.db-wal`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The folder that holds a file.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The path without symbolic links, so that everyone agrees on where the files beside it are. The file itself need not exist.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf> {
    if let Ok(resolved) = path.canonicalize() {
        return Ok(resolved);
    }
    let name =
        path.file_name().ok_or_else(|| Error::Refused(format!("{} names no file", path.display()).into()))?;
    let folder = folder(path);
    Ok(folder.canonicalize().map_err(|error| Error::file(folder, error))?.join(name))
}

/// Makes the folder of a file (0700) if it is not there.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    let folder = folder(path);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| Error::file(folder, error))
}

/// Makes an empty file for its owner alone, unless it exists; answers whether it did.
///
/// An existing file is not opened: closing any handle of a database file would drop the locks that SQLite holds on it
/// in this process (POSIX locks belong to the process, not to the handle).
pub(crate) fn make_private(path: &Path) -> Result<bool> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            // The mode above is subject to the umask; a umask that takes our own rights away would be in the way.
            file.set_permissions(Permissions::from_mode(0o600)).map_err(|error| Error::file(path, error))?;
            sync_folder(path)?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::file(path, error)),
    }
}

/// Takes the rights of others away from a file, if it exists and they have any.
pub(crate) fn tighten(path: &Path) -> Result<()> {
    let mode = match path.metadata() {
        Ok(found) => found.permissions().mode(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file(path, error)),
    };
    if mode & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!(file = %path.display(), "others could use this file; it is now for its owner alone");
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|error| Error::file(path, error))
}

/// Makes the entries of a file's folder durable: a new or renamed file is only there after a power cut when this is done.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let folder = folder(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Error::file(folder, error))
}

/// The lock beside a database. Whoever has the database open holds it shared, a restore holds it alone. It guards the
/// exchange of the file, nothing else: SQLite's own locks order the writers.
///
/// It is a `flock`, which the system drops with the process that held it, and its file stays: removing it would let
/// two processes lock two different files of the same name.
pub(crate) struct OpenLock {
    _file: File,
}

impl OpenLock {
    /// Takes the lock as one of many. Waits a few seconds for a restore.
    pub(crate) fn shared(database: &Path) -> Result<Self> {
        let file = lock_file(database)?;
        for _ in 0..LOCK_STEPS {
            if try_lock(database, &file, FlockOperation::NonBlockingLockShared)? {
                return Ok(Self { _file: file });
            }
            pause(LOCK_STEP);
        }
        Err(Error::Busy)
    }

    /// Takes the lock for one alone; `None` when anyone has the database open.
    pub(crate) fn alone(database: &Path) -> Result<Option<Self>> {
        let file = lock_file(database)?;
        let taken = try_lock(database, &file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(taken.then_some(Self { _file: file }))
    }
}

fn lock_file(database: &Path) -> Result<File> {
    let path = beside(database, ".lock");
    make_private(&path)?;
    OpenOptions::new().read(true).write(true).open(&path).map_err(|error| Error::file(&path, error))
}

fn try_lock(database: &Path, file: &File, operation: FlockOperation) -> Result<bool> {
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(Error::file(&beside(database, ".lock"), error)),
    }
}

/// Waits on the calling thread.
#[expect(
    clippy::disallowed_methods,
    reason = "a file lock has no condition to wait on; only threads that may block come here"
)]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
