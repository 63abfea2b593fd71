//! A private PostgreSQL server of one measure, durable as in production, with seeded accounts.
//!
//! `tests/postgres` knows where Debian puts the programs and makes the cluster; the server is a child like every other.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio_postgres::{Client, NoTls};

use crate::bench::{Bench, POPULATION};
use crate::child::Child;
use crate::load::{Until, User};
use crate::script::Script;
use crate::{clock, service};

/// How long a server may take to be ready.
const LONGEST_START: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub(crate) struct Cluster {
    server: Child,
    /// What `DATABASE_URL` says.
    pub(crate) url: String,
}

impl Cluster {
    /// Makes and starts a server in a new folder of the run, with [`POPULATION`] accounts and as many dormant sessions.
    pub(crate) async fn start(bench: &Bench, name: &str) -> Result<Self> {
        let cluster = Self::start_empty(bench, name).await?;
        cluster.seed(bench, &bench.folder(&format!("{name}-seed"))?).await?;
        Ok(cluster)
    }

    /// The same without a schema.
    pub(crate) async fn start_empty(bench: &Bench, name: &str) -> Result<Self> {
        bench.let_others_pass()?;
        let folder = bench.folder(name)?;
        let url = make(&folder)?;
        let arguments = [OsString::from("serve"), folder.clone().into()];
        let server = Child::start(&script()?, &arguments, &[], &folder.join("server.log"))?;
        let mut cluster = Self { server, url };
        cluster.wait().await?;
        cluster.check_durable().await?;
        Ok(cluster)
    }

    /// A connection of the bench's own.
    pub(crate) async fn connect(&self) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        // It ends with its client; what goes wrong is said by the statement that meets it.
        tokio::spawn(connection);
        Ok(client)
    }

    /// The ids of `count` sessions that nobody has tokens of, in hexadecimal.
    pub(crate) async fn dormant_sessions(&self, count: usize) -> Result<Vec<String>> {
        let rows = self.connect().await?.query(DORMANT, &[&i64::try_from(count)?]).await?;
        ensure!(rows.len() == count, "{} dormant sessions instead of {count}", rows.len());
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Ends the server when nobody is connected any more.
    pub(crate) async fn stop(self) -> Result<()> {
        self.server.stop().await
    }

    async fn wait(&mut self) -> Result<()> {
        let start = clock::now();
        loop {
            self.server.check()?;
            match self.connect().await {
                Ok(_) => return Ok(()),
                Err(error) if clock::now().duration_since(start) > LONGEST_START => {
                    return Err(error.context("PostgreSQL does not start"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Numbers of a server that does not flush would say nothing.
    async fn check_durable(&self) -> Result<()> {
        let client = self.connect().await?;
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            let row = client.query_one("SELECT current_setting($1)", &[&name]).await?;
            let value: &str = row.get(0);
            ensure!(value == "on", "PostgreSQL runs with {name} = {value}");
        }
        Ok(())
    }

    /// The service makes the schema and one account; the others are that account's row under other names.
    async fn seed(&self, bench: &Bench, folder: &Path) -> Result<()> {
        let mut server = service::start(bench, folder, &[("DATABASE_URL", &self.url)]).await?;
        let script = Script::Register { prefix: "pattern".to_owned(), made: 0 };
        let mut users = vec![User::new(server.endpoint, 0, script)];
        server.load(&mut users, Until::Answered(1)).await?;
        drop(users);
        server.stop().await?;
        let client = self.connect().await?;
        let last = i64::try_from(POPULATION)?;
        for statement in [USERS, SESSIONS] {
            let made = client.execute(statement, &[&last]).await?;
            ensure!(made == POPULATION, "seeding made {made} rows instead of {POPULATION}");
        }
        client.batch_execute("VACUUM ANALYZE").await.context("cannot tidy up after seeding")
    }
}

fn script() -> Result<PathBuf> {
    Ok(service::workspace()?.join("tests/postgres"))
}

/// Makes a cluster in `folder` and gives the address of its database.
fn make(folder: &Path) -> Result<String> {
    let output = Command::new(script()?).arg("make").arg(folder).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tests/postgres could not make a cluster: {said}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

const USERS: &str = "
    INSERT INTO users (username, username_key, username_claim, email, first_name, last_name, password_hash,
        password_scheme, password_trims, is_staff, is_superuser, epoch, created_at)
    SELECT name, name, name, name || '@example.com', first_name, last_name, password_hash,
        password_scheme, password_trims, is_staff, is_superuser, epoch, created_at
    FROM (SELECT 'reader' || lpad(n::text, 7, '0') AS name FROM generate_series(1, $1::bigint) n) names, users
    WHERE username = 'pattern-1'";

const SESSIONS: &str = "
    INSERT INTO sessions (id, user_id, generation, jti, created_at, last_used_at, rotated_at, idle_expires_at,
        expires_at, keep_until, address, user_agent)
    SELECT substr(uuid_send(gen_random_uuid()), 1, 12) || '\\x00000000'::bytea, id, 0, uuid_send(gen_random_uuid()),
        created_at, created_at, created_at, created_at + 604800000000, created_at + 2592000000000,
        created_at + 2678400000000, '127.0.0.1', 'bench'
    FROM users WHERE username LIKE 'reader%' ORDER BY id LIMIT $1";

const DORMANT: &str =
    "SELECT encode(id, 'hex') FROM sessions WHERE user_agent = 'bench' ORDER BY id LIMIT $1";
