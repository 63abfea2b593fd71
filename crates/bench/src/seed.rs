//! Many accounts at once: written into the database file, all with one ready-made password hash.
//!
//! Registering a million accounts through the service would take hours of hashing and measure nothing. The service makes
//! the schema and one account; the others are that account's row under other names.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, params};

use crate::bench::Bench;
use crate::load::{Until, User};
use crate::script::Script;
use crate::service;

/// Rows per transaction.
const CHUNK: i64 = 100_000;

/// The name of the account that the others are made from.
const PATTERN: &str = "pattern-1";

/// Makes `folder` with a database of `population` accounts `reader0000001`, ... and as many dormant sessions.
pub(crate) async fn prepare(bench: &Bench, folder: &Path, population: u64) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut server = service::start(bench, folder, &[]).await?;
    let script = Script::Register { prefix: "pattern".to_owned(), made: 0 };
    let mut users = vec![User::new(server.endpoint, 0, script)];
    server.load(&mut users, Until::Answered(1)).await?;
    drop(users);
    server.stop().await?;
    let file = database(folder);
    let population = i64::try_from(population)?;
    tokio::task::spawn_blocking(move || fill(&file, population)).await.context("seeding panicked")?
}

/// The database file in the service's data folder.
pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("auth.db")
}

fn fill(file: &Path, population: i64) -> Result<()> {
    let mut connection = Connection::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    // Nothing is lost when this file is: it is made anew by the next run.
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -400_000)?;
    let mut done = 0;
    while done < population {
        let last = population.min(done + CHUNK);
        let transaction = connection.transaction()?;
        let users = transaction.execute(USERS, params![PATTERN, done + 1, last])?;
        let sessions = transaction.execute(SESSIONS, params![PATTERN, done + 1, last])?;
        transaction.commit()?;
        if [users, sessions].map(i64::try_from) != [Ok(last - done); 2] {
            bail!("seeding made {users} accounts and {sessions} sessions instead of {}", last - done);
        }
        done = last;
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// Accounts ?2..=?3 after the pattern of account ?1.
const USERS: &str = "
    WITH RECURSIVE pattern AS MATERIALIZED (SELECT * FROM users WHERE username_claim = ?1),
    numbers (n) AS (SELECT ?2 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?3),
    names (name) AS (SELECT printf('reader%07d', n) FROM numbers)
    INSERT INTO users (username, username_key, username_claim, email, first_name, last_name, password_hash,
        password_scheme, password_trims, is_staff, is_superuser, epoch, created_at)
    SELECT name, name, name, name || '@example.com', first_name, last_name, password_hash,
        password_scheme, password_trims, is_staff, is_superuser, epoch, created_at
    FROM names, pattern";

/// One session per account that nobody uses, so that the table of sessions is as deep as that of users.
const SESSIONS: &str = "
    WITH RECURSIVE pattern AS MATERIALIZED (SELECT created_at AS now FROM users WHERE username_claim = ?1),
    numbers (n) AS (SELECT ?2 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?3)
    INSERT INTO sessions (id, user_id, generation, jti, created_at, last_used_at, rotated_at, idle_expires_at,
        expires_at, keep_until, address, user_agent)
    SELECT unhex(hex(randomblob(12)) || '00000000'), users.id, 0, randomblob(16), now, now, now, now + 604800000000,
        now + 2592000000000, now + 2678400000000, '127.0.0.1', 'bench'
    FROM numbers JOIN users ON users.username_claim = printf('reader%07d', n), pattern";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_account_gets_the_hash_and_a_session() {
        let folder = tempfile::tempdir().unwrap();
        let file = database(folder.path());
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch(include_str!("../../store/migrations/sqlite/0001_initial.sql")).unwrap();
        connection
            .execute(
                "INSERT INTO users (username, username_key, username_claim, email, password_hash, password_scheme, created_at)
                 VALUES (?1, ?1, ?1, '', 'the hash', 'the scheme', 1700000000000000)",
                [PATTERN],
            )
            .unwrap();
        fill(&file, 2500).unwrap();
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM users WHERE password_hash = 'the hash'"), 2501);
        assert_eq!(
            count(
                "SELECT count(DISTINCT user_id) FROM sessions WHERE length(id) = 16 AND typeof(id) = 'blob'"
            ),
            2500
        );
        assert_eq!(count("SELECT count(*) FROM users WHERE username_claim = 'reader0002500'"), 1);
    }
}
