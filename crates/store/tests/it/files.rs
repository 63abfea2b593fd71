//! DB-04: how the file is used and who may read it.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use store::{Db, Error, SqliteOptions};

use crate::child;
use crate::given::{add, ids, make_tables, open, scratch};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_pragmas_that_promises_rest_on_are_in_force() {
    // DB-04
    let scratch = scratch(16).await;
    for mut tx in [scratch.db.begin().await.unwrap(), scratch.db.read().await.unwrap()] {
        for (sql, expected) in [
            ("PRAGMA synchronous", 2),
            ("PRAGMA foreign_keys", 1),
            ("PRAGMA trusted_schema", 0),
            ("PRAGMA fullfsync", 1),
        ] {
            assert_eq!(tx.query_opt(sql, &[]).await.unwrap().unwrap().int(0).unwrap(), expected, "{sql}");
        }
        let journal = tx.query_opt("PRAGMA journal_mode", &[]).await.unwrap().unwrap();
        assert_eq!(journal.text(0).unwrap(), "wal");
        // A misspelt column in double quotes is an error, not a text.
        assert!(tx.query("SELECT \"no such column\" FROM log", &[]).await.is_err());
    }
}

#[tokio::test]
#[ignore = "a child of the_files_are_for_their_owner_alone"]
async fn child_makes_a_database() {
    let Some(path) = child::database() else { return };
    let db = open(path.clone(), 16).await;
    make_tables(&db).await;
    add(&db, 1).await.unwrap();
    assert_eq!(ids(&db).await, [1]);
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let file = path.with_file_name(format!("auth.db{suffix}"));
        assert_eq!(mode(&file), 0o600, "{file:?}");
    }
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(path.parent().unwrap().parent().unwrap()), 0o700);
}

#[tokio::test]
async fn the_files_are_for_their_owner_alone() {
    // DB-04, KY-03: whatever the umask.
    for umask in ["000", "022", "277"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/auth.db");
        let before = format!("umask {umask}");
        if umask == "277" {
            // Not even we could enter folders made under it.
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            for made in [folder.path().join("a"), folder.path().join("a/b")] {
                std::fs::set_permissions(made, Permissions::from_mode(0o700)).unwrap();
            }
        }
        let command = child::shell(&before, "files::child_makes_a_database", &path);
        tokio::task::spawn_blocking(|| child::succeed(command)).await.unwrap();
    }
}

#[tokio::test]
async fn rights_that_others_had_are_taken_away() {
    // DB-04
    let scratch = scratch(16).await;
    scratch.db.close().await;
    std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o644)).unwrap();
    let db = open(scratch.path(), 16).await;
    assert_eq!(mode(&scratch.path()), 0o600);
    add(&db, 1).await.unwrap();
}

#[tokio::test]
async fn a_link_and_its_target_are_one_database() {
    let scratch = scratch(16).await;
    let link = scratch.folder.path().join("link.db");
    symlink(scratch.path(), &link).unwrap();
    let other = open(link, 16).await;
    add(&other, 1).await.unwrap();
    assert_eq!(ids(&scratch.db).await, [1]);
    assert!(!scratch.folder.path().join("link.db.lock").exists());
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.db");
    std::fs::write(&path, "The quick brown fox jumps over the lazy dog. ".repeat(100)).unwrap();
    let result = Db::open_sqlite(SqliteOptions::new(&path)).await;
    assert!(matches!(result, Err(Error::Corrupt(_))));
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("The quick brown fox"));
    let result = Db::open_sqlite(SqliteOptions::new(folder.path())).await;
    assert!(result.is_err());
}

#[tokio::test]
async fn odd_names_are_names() {
    let folder = tempfile::tempdir().unwrap();
    for name in [":memory:", "file:x?mode=memory", "a b'\"$1.db"] {
        let path = folder.path().join(name);
        let db = open(path.clone(), 16).await;
        make_tables(&db).await;
        db.close().await;
        assert!(path.metadata().unwrap().len() > 0);
    }
}
