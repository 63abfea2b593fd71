//! Backups, and the way back.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::signing_key::{Life, Purpose};
use domain::time::Timestamp;
use domain::user::UserId;
use store::backup::{Restored, backup, restore};
use store::migrate::{Mode, migrate};
use store::signing_key::{self, StoredKey};
use store::{Db, Error, Result, SqliteOptions, meta};

use crate::given::{number, open, text};

/// The last millisecond of a second: a restore then waits for one more.
const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_999_000);
const BORN: Timestamp = Timestamp::from_seconds(1_600_000_000);

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.file("auth.db")
    }

    fn copy(&self) -> PathBuf {
        self.file("copy.db")
    }

    async fn open(&self, born: Timestamp) -> Db {
        let db = open(self.database(), 16).await;
        migrate(&db, Mode::Auto, born).await.unwrap();
        db
    }

    /// Whatever is there besides the names given.
    fn others(&self, names: &[&str]) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let found = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        found.filter(|name| !names.contains(&name.as_str())).collect()
    }
}

async fn add_user(db: &Db, name: &str) -> i64 {
    let mut tx = db.begin().await.unwrap();
    let sql = "INSERT INTO users (username, username_key, email, password_hash, password_scheme, created_at) \
        VALUES ($1, $1, '', 'hash', 'scheme', 0) RETURNING id";
    let id = tx.query_opt(sql, &[name.into()]).await.unwrap().unwrap().int(0).unwrap();
    tx.commit().await.unwrap();
    id
}

async fn add_session(db: &Db, user: i64, id: u8) {
    let mut tx = db.begin().await.unwrap();
    let sql = "INSERT INTO sessions (id, user_id, generation, jti, created_at, last_used_at, rotated_at, \
        idle_expires_at, expires_at, keep_until, address, user_agent) VALUES ($1, $2, 0, $1, 0, 0, 0, 0, 0, 0, '', '')";
    tx.execute(sql, &[(&[id; 16]).into(), user.into()]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn set(db: &Db, key: &'static str, value: &str) {
    let mut tx = db.begin().await.unwrap();
    meta::set(&mut tx, key, value).await.unwrap();
    tx.commit().await.unwrap();
}

async fn run_backup(from: PathBuf, to: PathBuf) -> Result<()> {
    tokio::task::spawn_blocking(move || backup(&from, &to)).await.unwrap()
}

async fn run_restore(from: PathBuf, to: PathBuf) -> Result<Restored> {
    tokio::task::spawn_blocking(move || restore(&from, &to, NOW)).await.unwrap()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_busy_database_is_one_moment_of_it() {
    let place = Place::new();
    let db = place.open(BORN).await;
    // Large enough for several steps.
    let mut tx = db.begin().await.unwrap();
    let filler = "x".repeat(8000);
    for id in 0..500_i64 {
        let sql = "INSERT INTO users (id, username, username_key, email, password_hash, password_scheme, created_at) \
            VALUES ($1, CAST($1 AS TEXT), '', $2, '', '', 0)";
        tx.execute(sql, &[id.into(), filler.as_str().into()]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (db, stop) = (db.clone(), Arc::clone(&stop));
        async move {
            let mut id: i64 = 0;
            while !stop.load(Ordering::Relaxed) {
                // Two rows that belong together.
                let mut tx = db.begin().await.unwrap();
                for key in ["left", "right"] {
                    meta::set(&mut tx, key, &id.to_string()).await.unwrap();
                }
                tx.commit().await.unwrap();
                id += 1;
            }
            id
        }
    });
    while db.stats().commits < 20 {
        tokio::task::yield_now().await;
    }
    run_backup(place.database(), place.copy()).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 0);

    assert_eq!(mode(&place.copy()), 0o600);
    assert_eq!(place.others(&["auth.db", "auth.db-wal", "auth.db-shm", "auth.db.lock"]), ["copy.db"]);
    let copy = open(place.copy(), 1).await;
    assert_eq!(text(&copy, "PRAGMA integrity_check").await, "ok");
    assert_eq!(number(&copy, "SELECT COUNT(*) FROM users").await, 500);
    assert_eq!(
        number(&copy, "SELECT COUNT(DISTINCT value) FROM meta WHERE key IN ('left', 'right')").await,
        1
    );
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_needs_a_database() {
    let place = Place::new();
    let db = place.open(BORN).await;
    std::fs::write(place.copy(), "mine").unwrap();
    assert!(matches!(run_backup(place.database(), place.copy()).await, Err(Error::Refused(_))));
    assert_eq!(std::fs::read_to_string(place.copy()).unwrap(), "mine");
    assert!(matches!(run_backup(place.database(), place.database()).await, Err(Error::Refused(_))));
    assert!(matches!(run_backup(place.file("none"), place.file("b")).await, Err(Error::Refused(_))));
    db.close().await;
    // What a killed process has left behind is not in the way, and stays.
    let left = format!("b.partial-{}-0", std::process::id());
    std::fs::write(place.file(&left), "half").unwrap();
    run_backup(place.database(), place.file("b")).await.unwrap();
    assert!(place.others(&["auth.db", "auth.db.lock", "copy.db", "b", &left]).is_empty());
}

#[tokio::test]
async fn a_restore_brings_the_users_back_and_ends_everything_from_before() {
    // DB-07, RF-08, LG-12
    let place = Place::new();
    let db = place.open(BORN).await;
    let ada = add_user(&db, "ada").await;
    add_session(&db, ada, 1).await;
    let mut tx = db.begin().await.unwrap();
    store::account::set_unproved(&mut tx, UserId::new(ada), BORN).await.unwrap();
    tx.commit().await.unwrap();
    run_backup(place.database(), place.copy()).await.unwrap();
    let mut later = 0;
    for id in 0..10 {
        later = add_user(&db, &format!("later{id}")).await;
    }
    assert!(
        matches!(run_restore(place.copy(), place.database()).await, Err(Error::Refused(_))),
        "it is open"
    );
    db.close().await;

    let restored = run_restore(place.copy(), place.database()).await.unwrap();
    let kept = place.file("auth.db.before-restore-1700000000").canonicalize().unwrap();
    let expected =
        Restored { kept_as: Some(kept), users: 1, last_user_id: later, tokens_not_before: 1_700_000_001 };
    assert_eq!(restored, expected);
    assert_eq!(mode(&place.database()), 0o600);
    let others = place.others(&["auth.db", "auth.db.lock", "copy.db"]);
    assert_eq!(others, ["auth.db.before-restore-1700000000"]);

    let db = place.open(BORN).await;
    assert_eq!(text(&db, "SELECT username FROM users").await, "ada");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM sessions WHERE revoked_at IS NULL").await, 0);
    assert_eq!(number(&db, "SELECT revoked_at FROM sessions").await, NOW.micros());
    assert_eq!(number(&db, "SELECT epoch FROM users").await, 1);
    assert_eq!(
        number(&db, "SELECT COUNT(*) FROM users WHERE unproved_since IS NOT NULL").await,
        0,
        "RC-11: it may have been proved since"
    );
    assert_eq!(text(&db, "SELECT value FROM meta WHERE key = 'tokens_not_before'").await, "1700000001");
    assert_eq!(add_user(&db, "next").await, later + 1);
    db.close().await;
    // What was replaced is whole.
    let old = open(restored.kept_as.unwrap(), 1).await;
    assert_eq!(number(&old, "SELECT COUNT(*) FROM users").await, 11);
}

// RF-08: a backup may hold a key that was dropped since.
#[tokio::test]
async fn a_restore_brings_no_signing_key_back() {
    let place = Place::new();
    let db = place.open(BORN).await;
    let key = StoredKey {
        id: "kid".to_owned(),
        purpose: Purpose::Access,
        algorithm: "EdDSA".to_owned(),
        public_part: "{}".to_owned(),
        sealed: vec![1, 2, 3],
        life: Life::new(BORN, BORN),
    };
    let mut tx = db.begin().await.unwrap();
    signing_key::insert(&mut tx, &key).await.unwrap();
    assert_eq!(signing_key::list(&mut tx).await.unwrap(), [key]);
    tx.commit().await.unwrap();
    run_backup(place.database(), place.copy()).await.unwrap();
    db.close().await;
    run_restore(place.copy(), place.database()).await.unwrap();
    let db = place.open(BORN).await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM signing_keys").await, 0);
}

#[tokio::test]
async fn ids_that_nobody_can_know_of_are_left_out() {
    // LG-12: the replaced database is gone, damaged, or another one.
    let source = Place::new();
    let db = source.open(BORN).await;
    let ada = add_user(&db, "ada").await;
    run_backup(source.database(), source.copy()).await.unwrap();

    let gone = Place::new();
    let restored = run_restore(source.copy(), gone.file("new/auth.db")).await.unwrap();
    assert_eq!((restored.kept_as, restored.last_user_id), (None, ada + 1_000_000));
    assert_eq!(mode(&gone.file("new")), 0o700);

    let damaged = Place::new();
    std::fs::write(damaged.database(), "not a database at all, but something worth keeping. ".repeat(500))
        .unwrap();
    std::fs::write(damaged.file("auth.db-wal"), "its log").unwrap();
    let restored = run_restore(source.copy(), damaged.database()).await.unwrap();
    assert_eq!(restored.last_user_id, ada + 1_000_000);
    let kept = restored.kept_as.unwrap();
    assert!(std::fs::read_to_string(&kept).unwrap().starts_with("not a database"));
    assert!(damaged.file("auth.db.before-restore-1700000000-wal").exists());
    assert!(!damaged.file("auth.db-wal").exists(), "the old log would be read into the new database");
    assert_eq!(number(&damaged.open(BORN).await, "SELECT COUNT(*) FROM users").await, 1);

    let foreign = Place::new();
    let db = foreign.open(BORN + std::time::Duration::from_micros(1)).await;
    for id in 0..5 {
        add_user(&db, &id.to_string()).await;
    }
    db.close().await;
    let restored = run_restore(source.copy(), foreign.database()).await.unwrap();
    assert_eq!(restored.last_user_id, 5 + 1_000_000);

    // Restored again: the first restore's gap is known to the file it made.
    let second = Timestamp::from_micros(NOW.micros() + 1_000_000);
    let again = restore(&source.copy(), &foreign.database(), second).unwrap();
    assert_eq!(again.last_user_id, 5 + 1_000_000);
}

#[tokio::test]
async fn the_bound_for_tokens_never_goes_back() {
    // DB-07
    let place = Place::new();
    let db = place.open(BORN).await;
    run_backup(place.database(), place.copy()).await.unwrap();
    set(&db, meta::TOKENS_NOT_BEFORE, "1700000500").await;
    db.close().await;
    let restored = run_restore(place.copy(), place.database()).await.unwrap();
    assert_eq!(restored.tokens_not_before, 1_700_000_500);
}

#[tokio::test]
async fn what_is_no_backup_of_ours_changes_nothing() {
    let place = Place::new();
    let db = place.open(BORN).await;
    add_user(&db, "ada").await;
    db.close().await;
    let before = std::fs::read(place.database()).unwrap();
    let newer = open(place.file("newer.db"), 1).await;
    migrate(&newer, Mode::Auto, BORN).await.unwrap();
    set(&newer, "compatible_from", "999").await;
    let mut tx = newer.begin().await.unwrap();
    tx.execute("INSERT INTO schema_migrations VALUES (999, 'later', 'x', 0)", &[]).await.unwrap();
    tx.commit().await.unwrap();
    newer.close().await;
    std::fs::write(place.file("empty.db"), "").unwrap();
    std::fs::write(
        place.file("text.db"),
        "a text that is no database, and long enough to be looked at".repeat(9),
    )
    .unwrap();
    let mut torn = before.clone();
    for byte in &mut torn[8192..12_288] {
        *byte ^= 0x5a;
    }
    std::fs::write(place.file("torn.db"), torn).unwrap();
    for name in ["newer.db", "empty.db", "text.db", "torn.db", "none.db", "auth.db"] {
        let result = run_restore(place.file(name), place.database()).await;
        assert!(result.is_err(), "{name}");
        assert_eq!(std::fs::read(place.database()).unwrap(), before, "{name}");
    }
    assert!(matches!(
        run_restore(place.file("newer.db"), place.database()).await,
        Err(Error::SchemaTooNew { .. })
    ));
    let mine = ["auth.db", "auth.db.lock", "newer.db", "newer.db.lock", "empty.db", "text.db", "torn.db"];
    assert!(place.others(&mine).is_empty(), "{:?}", place.others(&mine));
}

#[tokio::test]
async fn whoever_has_the_database_open_keeps_a_restore_away() {
    let place = Place::new();
    let db = place.open(BORN).await;
    run_backup(place.database(), place.copy()).await.unwrap();
    // A command beside the server, as always.
    let command = open(place.database(), 1).await;
    add_user(&command, "ada").await;
    db.close().await;
    assert!(matches!(run_restore(place.copy(), place.database()).await, Err(Error::Refused(_))));
    command.close().await;
    // A program that knows nothing of our lock.
    let foreign = rusqlite::Connection::open(place.database()).unwrap();
    let users: i64 = foreign.query_row("SELECT COUNT(*) FROM users", [], |row| row.get(0)).unwrap();
    assert_eq!(users, 1);
    assert!(matches!(run_restore(place.copy(), place.database()).await, Err(Error::Refused(_))));
    drop(foreign);
    run_restore(place.copy(), place.database()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_restore_runs_nothing_else_begins() {
    let place = Place::new();
    place.open(BORN).await.close().await;
    // What a restore does first.
    let lock = std::fs::File::open(place.file("auth.db.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let opening = tokio::spawn(Db::open_sqlite(SqliteOptions::new(place.database())));
    let copying = tokio::spawn(run_backup(place.database(), place.copy()));
    assert!(matches!(run_restore(place.database(), place.database()).await, Err(Error::Refused(_))));
    assert!(matches!(opening.await.unwrap(), Err(Error::Busy)));
    assert!(matches!(copying.await.unwrap(), Err(Error::Busy)));
    drop(lock);
    run_backup(place.database(), place.copy()).await.unwrap();
}
