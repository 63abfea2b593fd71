//! Importing the users of a Django service into an empty database: users a second, processor time, and the most memory it ever
//! held.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, params};

use crate::bench::Bench;
use crate::child::Child;
use crate::clock;
use crate::postgres::Cluster;
use crate::procfs::{self, CpuReading};
use crate::report::{Bar, Row};
use crate::stats::Summary;

/// The bar of the larger import, in users a second.
const LEAST: f64 = 50_000.0;
/// Most memory of the larger import, in MiB: a part are SQLite's pages, the rest is bounded by the size of a batch.
const MOST_MEMORY: f64 = 256.0;
/// An import may take this long.
const LONGEST: Duration = Duration::from_secs(1_800);

/// The tables as Django makes them.
const SCHEMA: &str = r#"
CREATE TABLE "auth_user" (
    "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "password" varchar(128) NOT NULL, "last_login" datetime NULL,
    "is_superuser" bool NOT NULL, "username" varchar(150) NOT NULL UNIQUE, "last_name" varchar(150) NOT NULL,
    "email" varchar(254) NOT NULL, "is_staff" bool NOT NULL, "is_active" bool NOT NULL, "date_joined" datetime NOT NULL,
    "first_name" varchar(150) NOT NULL);
CREATE TABLE "auth_group" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(150) NOT NULL UNIQUE);
CREATE TABLE "auth_user_groups" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" bigint NOT NULL,
    "group_id" integer NOT NULL);
CREATE UNIQUE INDEX "auth_user_groups_unique" ON "auth_user_groups" ("user_id", "group_id");
INSERT INTO auth_group VALUES (1, 'Editors'), (2, 'Readers');
"#;
/// Names and addresses in no order, and neither in that of the other: the indexes are filled everywhere at once. One user in ten
/// is in a group.
const USERS: &str = "
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1),
    names (n, name) AS (SELECT n, lower(hex(randomblob(4))) || n FROM numbers)
    INSERT INTO auth_user SELECT n, 'pbkdf2_sha256$870000$' || hex(randomblob(11)) || '$' || ?2, NULL, 0, name, 'Example',
        lower(hex(randomblob(5))) || n || '@example.com', 0, 1, '2024-05-01 12:00:00.123456', 'Ann' FROM names";
const MEMBERS: &str = "INSERT INTO auth_user_groups (user_id, group_id) SELECT id, 1 + id / 10 % 2 FROM auth_user WHERE id % 10 = 0";
/// A tag of 32 bytes.
const TAG: &str = "UvwbNXHJ9taEZuNuG74/3I856IGeAfjgQYOtcPHS3hQ=";

/// Imports a hundred thousand users and a million (a thousand and ten thousand in a quick run) into SQLite, and the latter into
/// PostgreSQL, too; each twice.
pub(crate) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let (fewer, more) = (bench.pick(100_000, 1_000), bench.pick(1_000_000, 10_000));
    let mut rows = Vec::new();
    let (folder, source) = source(bench, fewer).await?;
    rows.extend(measure(bench, &folder, &source, fewer, None).await?);
    let (folder, source) = self::source(bench, more).await?;
    let [speed, memory, rest @ ..] = measure(bench, &folder, &source, more, None).await?;
    rows.extend([speed.with_bar(Bar::AtLeast(LEAST)), memory.with_bar(Bar::AtMost(MOST_MEMORY))]);
    rows.extend(rest);
    let cluster = Cluster::start_empty(bench, "import-pg").await?;
    rows.extend(measure(bench, &folder, &source, more, Some(&cluster.url)).await?);
    cluster.stop().await?;
    Ok(rows)
}

/// Makes a Django database in a folder of its own.
async fn source(bench: &Bench, count: i64) -> Result<(PathBuf, PathBuf)> {
    let folder = bench.folder(&format!("import-{count}"))?;
    let source = folder.join("django.sqlite3");
    eprintln!("  making a Django database of {count} users");
    let made = source.clone();
    tokio::task::spawn_blocking(move || make(&made, count)).await.context("making it panicked")??;
    Ok((folder, source))
}

/// Imports it twice, into the embedded database or the one at `url`: the speed, the memory, and what else there is to say.
async fn measure(
    bench: &Bench,
    folder: &Path,
    source: &Path,
    count: i64,
    url: Option<&str>,
) -> Result<[Row; 4]> {
    let first = import(bench, folder, source, url).await?;
    let again = import(bench, folder, source, url).await?;
    let rate = |seconds: f64| Summary::of(&[count as f64 / seconds]);
    let engine = if url.is_some() { " on PostgreSQL" } else { "" };
    let speed = format!("users imported per second{engine}, {count} new ones");
    let each = Summary::of(&[first.processor.as_secs_f64() * 1e6 / count as f64]);
    Ok([
        Row::absolute(speed, " /s", rate(first.seconds)),
        Row::absolute("  (most memory held by it)", " MiB", Summary::of(&[first.peak_mib])),
        Row::absolute("  (processor time of it, each)", " us", each),
        Row::absolute("  (the same users again, unchanged)", " /s", rate(again.seconds)),
    ])
}

fn make(file: &Path, count: i64) -> Result<()> {
    let mut connection = Connection::open(file)?;
    // Nothing is lost when this file is: it is made anew by the next run.
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.execute_batch(SCHEMA)?;
    let transaction = connection.transaction()?;
    let made = transaction.execute(USERS, params![count, TAG])?;
    transaction.execute(MEMBERS, [])?;
    transaction.commit()?;
    ensure!(i64::try_from(made) == Ok(count), "{made} users were made instead of {count}");
    Ok(())
}

/// What an import took.
struct Cost {
    seconds: f64,
    peak_mib: f64,
    /// Of all its threads, up to a few milliseconds before its end.
    processor: Duration,
}

async fn import(bench: &Bench, folder: &Path, source: &Path, url: Option<&str>) -> Result<Cost> {
    let arguments = ["import", "django", "--json", "--database"].map(Into::into);
    let arguments = [arguments.as_slice(), &[source.into()]].concat();
    let data = folder.join("data").display().to_string();
    let mut environment =
        vec![("SECRET_KEY".to_owned(), bench.secret.clone()), ("DATA_DIR".to_owned(), data)];
    environment.extend(url.map(|url| ("DATABASE_URL".to_owned(), url.to_owned())));
    let began = clock::now();
    let mut child = Child::start(&bench.service, &arguments, &environment, &folder.join("import.log"))?;
    let (nothing, mut last, mut peak) = (CpuReading::default(), CpuReading::default(), 0);
    // It ends by itself; until then what the kernel says of it is read again and again.
    while child.is_running()? {
        // Gone between the question and this is as good as its end.
        peak = procfs::peak_kib(child.pid()).unwrap_or(peak).max(peak);
        last = CpuReading::take(child.pid()).unwrap_or(last);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = clock::now().duration_since(began).as_secs_f64();
    child.finish(LONGEST).await?;
    Ok(Cost { seconds, peak_mib: peak as f64 / 1024.0, processor: nothing.until(&last) })
}
