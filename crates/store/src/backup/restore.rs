//! Putting a backup in the place of the database.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::{Draft, copy, existing, exists, open_existing, sync, verify};
use crate::error::chain;
use crate::migrate::migrate_closed;
use crate::sqlite::files::{OpenLock, beside, make_folder, pause, resolve, sync_folder};
use crate::{Error, Result};

/// Ids left out after a restore when nothing tells which were issued since the backup.
pub(super) const UNKNOWN_IDS: i64 = 1_000_000;

/// The first bytes of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

const NOT_IN_USE: &str =
    "the database is in use; stop every server and command that has it open, then restore again";

const END_SESSIONS: &str = "UPDATE sessions SET revoked_at = ?1 WHERE revoked_at IS NULL";
// What was proved since the backup was made is not known: no account goes for want of a proof.
const OPEN_EPOCH: &str = "UPDATE users SET epoch = epoch + 1, unproved_since = NULL";
const DROP_KEYS: &str = "DELETE FROM signing_keys";
const RECORD: &str = "INSERT INTO audit_pending (at, kind, result, actor, salt) \
    VALUES (?1, 'database.restored', 'done', 'operator', randomblob(16))";
const NOT_BEFORE: &str = "SELECT value FROM meta WHERE key = 'tokens_not_before'";
const SET_NOT_BEFORE: &str = "INSERT INTO meta (key, value) VALUES ('tokens_not_before', ?1) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const LAST_ID: &str = "SELECT MAX(COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'users'), 0), \
    COALESCE((SELECT MAX(id) FROM users), 0))";
const RAISE_ID: &str = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'users'";
const NEW_ID: &str = "INSERT INTO sqlite_sequence (name, seq) VALUES ('users', ?1)";
const BORN: &str = "SELECT applied_at FROM schema_migrations WHERE version = 1";
const USERS: &str = "SELECT COUNT(*) FROM users";

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the replaced database is now; none when there was none.
    pub kept_as: Option<PathBuf>,
    /// Accounts in the restored database.
    pub users: i64,
    /// Every user id up to this one counts as issued.
    pub last_user_id: i64,
    /// Unix seconds: no token issued before it is good any more.
    pub tokens_not_before: i64,
}

/// What the replaced database knows that the backup cannot: what happened since.
struct Replaced {
    born: Option<i64>,
    last_id: i64,
    not_before: i64,
}

/// Replaces a database by a backup of it. Blocks, also until the second of `now` is over (see below).
///
/// The source is not changed. The new content is made and checked beside the database and takes its name in one step,
/// so that at every moment there is either the old database or the new one. The old one stays as
/// `NAME.before-restore-<unix seconds>`. Then, because a backup is the past (DB-07, RF-08):
///
/// * every session has ended, and every user is in a new epoch;
/// * `tokens_not_before` is the second after `now`. Tokens carry whole seconds, so a token from before the restore can
///   have the second of `now` in it but no later one; when this function returns that second is over, and no new token
///   has it;
/// * every signing key is gone, also one that was dropped after the backup was made; the next start makes new ones. No token
///   is good any more anyway;
/// * no user id is issued again. Other services store ids, so an account made since the backup lives on there, and
///   its id must not come to mean someone else. The replaced database says which were issued. When there is none, it
///   cannot be read, or it is not of the same origin, nobody knows: then a million ids are left out.
///
/// # Errors
/// [`Error::Refused`] while anything has the database open, [`Error::Corrupt`], [`Error::SchemaTooNew`] or
/// [`Error::MigrationChanged`] when the source is not a sound database of ours. The database is then as it was.
pub fn restore(source: &Path, database: &Path, now: Timestamp) -> Result<Restored> {
    let source = existing(source)?;
    make_folder(database)?;
    let database = resolve(database)?;
    if source == database {
        return Err(Error::Refused("the backup and the database are the same file".into()));
    }
    let Some(_alone) = OpenLock::alone(&database)? else { return Err(Error::Refused(NOT_IN_USE.into())) };
    let draft = Draft::new(&database)?;
    copy(&open_existing(&source)?, draft.path())?;
    verify(draft.path())?;
    require_ours(draft.path())?;
    migrate_closed(draft.path(), now)?;
    let replaced = read_replaced(&database)?;
    let mut restored = settle(draft.path(), replaced.as_ref(), now)?;
    verify(draft.path())?;
    sync(draft.path())?;
    restored.kept_as = exchange(&draft, &database, now)?;
    wait_for_next_second(now);
    Ok(restored)
}

/// An empty file passes every check of SQLite's; it is no backup.
fn require_ours(path: &Path) -> Result<()> {
    let sqlite = open_existing(path)?;
    let tables: i64 = sqlite.query_row(
        "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('schema_migrations', 'users', 'sessions', 'meta')",
        [],
        |row| row.get(0),
    )?;
    if tables == 4 { Ok(()) } else { Err(Error::Corrupt("it is not a database of this program".into())) }
}

/// Makes the replaced database one file without a log, and reads what it knows. `None` when it cannot be read.
fn read_replaced(database: &Path) -> Result<Option<Replaced>> {
    // SQLite throws the log of a file away that it does not take for a database; we keep both as they are.
    if !database.exists() || !looks_like_database(database)? {
        return Ok(None);
    }
    match fold(database).and_then(|sqlite| read(&sqlite)) {
        Ok(replaced) => Ok(Some(replaced)),
        // Someone who does not take our lock has it open: SQLite's own tool, say.
        Err(Error::Busy) => Err(Error::Refused(NOT_IN_USE.into())),
        Err(error) => {
            tracing::warn!(
                error = chain(&error),
                "the replaced database cannot be read; a range of user ids is left out"
            );
            Ok(None)
        }
    }
}

/// Reading the file beside SQLite is safe here: we hold it alone, so there are no locks of ours on it to lose.
fn looks_like_database(path: &Path) -> Result<bool> {
    let mut start = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    match read {
        Ok(()) => Ok(start == *MAGIC),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(Error::file(path, error)),
    }
}

/// Leaving the log behind needs the file for oneself, so this also finds out whether anyone else has it open.
fn fold(database: &Path) -> Result<Connection> {
    let sqlite = open_existing(database)?;
    sqlite.busy_timeout(Duration::from_secs(1))?;
    sqlite.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    Ok(sqlite)
}

fn read(sqlite: &Connection) -> Result<Replaced> {
    Ok(Replaced {
        born: born(sqlite)?,
        last_id: sqlite.query_row(LAST_ID, [], |row| row.get(0))?,
        not_before: not_before(sqlite)?,
    })
}

/// When the schema was first made here, to the microsecond: tells whether two files have the same origin.
fn born(sqlite: &Connection) -> Result<Option<i64>> {
    Ok(sqlite.query_row(BORN, [], |row| row.get(0)).optional()?)
}

fn not_before(sqlite: &Connection) -> Result<i64> {
    let value: Option<String> = sqlite.query_row(NOT_BEFORE, [], |row| row.get(0)).optional()?;
    Ok(value.and_then(|value| value.parse().ok()).unwrap_or(0))
}

/// Writes into the copy what must hold after a restore.
fn settle(draft: &Path, replaced: Option<&Replaced>, now: Timestamp) -> Result<Restored> {
    let mut sqlite = open_existing(draft)?;
    sqlite.pragma_update(None, "synchronous", "FULL")?;
    let tx = sqlite.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute(END_SESSIONS, [now.micros()])?;
    tx.execute(OPEN_EPOCH, [])?;
    tx.execute(DROP_KEYS, [])?;
    tx.execute(RECORD, [now.micros()])?;
    let ours = read(&tx)?;
    let known_before = replaced.map_or(0, |replaced| replaced.not_before);
    let tokens_not_before = (now.seconds() + 1).max(ours.not_before).max(known_before);
    tx.execute(SET_NOT_BEFORE, [tokens_not_before.to_string()])?;
    let last_user_id = last_issued(&ours, replaced);
    raise_ids(&tx, last_user_id)?;
    let users = tx.query_row(USERS, [], |row| row.get(0))?;
    tx.commit()?;
    Ok(Restored { kept_as: None, users, last_user_id, tokens_not_before })
}

fn last_issued(backup: &Replaced, replaced: Option<&Replaced>) -> i64 {
    let same_origin = |replaced: &&Replaced| replaced.born.is_some() && replaced.born == backup.born;
    match replaced.filter(same_origin) {
        // A database of the same origin that has issued fewer ids than its own backup is an earlier backup.
        Some(replaced) if replaced.last_id >= backup.last_id => replaced.last_id,
        _ => backup.last_id.max(replaced.map_or(0, |replaced| replaced.last_id)).saturating_add(UNKNOWN_IDS),
    }
}

fn raise_ids(tx: &Transaction<'_>, last: i64) -> Result<()> {
    if tx.execute(RAISE_ID, [last])? == 0 {
        tx.execute(NEW_ID, [last])?;
    }
    Ok(())
}

/// Puts the draft in the database's place and keeps the old file.
fn exchange(draft: &Draft, database: &Path, now: Timestamp) -> Result<Option<PathBuf>> {
    let kept = beside(database, &format!(".before-restore-{}", now.seconds()));
    if kept.symlink_metadata().is_ok() {
        return Err(exists(&kept));
    }
    let had_one = database.exists();
    if had_one {
        keep(database, &kept)?;
    }
    // A log that lies beside the new file would be read as part of it. There is one only if the old database could
    // not be read; it goes with that.
    for suffix in ["-wal", "-shm", "-journal"] {
        let part = beside(database, suffix);
        if part.exists() {
            let kept = beside(&kept, suffix);
            std::fs::rename(&part, &kept).map_err(|error| Error::file(&part, error))?;
        }
    }
    sync_folder(database)?;
    draft.replace(database)?;
    sync_folder(database)?;
    Ok(had_one.then_some(kept))
}

/// Gives the old file a second name, so that its first one can be taken over without a moment in which it is missing.
fn keep(database: &Path, kept: &Path) -> Result<()> {
    match std::fs::hard_link(database, kept) {
        Ok(()) => Ok(()),
        Err(error) if super::has_no_links(&error) => {
            std::fs::copy(database, kept).map_err(|error| Error::file(kept, error))?;
            sync(kept)
        }
        Err(error) => Err(Error::file(kept, error)),
    }
}

/// `now` was read before the work began, so this waits long enough however long the work took.
fn wait_for_next_second(now: Timestamp) {
    let within = now.micros().rem_euclid(1_000_000).unsigned_abs();
    pause(Duration::from_micros(1_000_000 - within));
}
