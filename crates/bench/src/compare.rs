//! The replaced stack side by side: Django, Django REST framework and SimpleJWT under gunicorn.
//!
//! The application in `crates/bench/django` is our own, with the same routes and settings as the service that bookstore-auth
//! replaces; its packages come from PyPI into a virtual environment. It hashes as Django does (PBKDF2), we as we do
//! (Argon2id): the rows about logins and registrations compare the services as they are, not the hash functions.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bench::Bench;
use crate::child::Child;
use crate::load::{Until, User};
use crate::measure::{loggers_in, median_text, micros, refreshers, registrants, time_text, verifiers};
use crate::procfs;
use crate::report::Row;
use crate::script::{Endpoint, Script, TokenPair, account_name};
use crate::server::{Server, free_port};
use crate::service;
use crate::stats::{Summary, percentile};

/// Connections per side.
const USERS: usize = 16;

/// Accounts on each side, made by registering them.
const ACCOUNTS: u64 = 32;

/// Installing packages and migrating may take this long.
const LONGEST_STEP: Duration = Duration::from_secs(600);

/// What is asked for; requests per round of ours and of Django's (a tenth of them in a quick run).
const KINDS: [(&str, u64, u64); 4] =
    [("verify", 20_000, 2_000), ("refresh", 4_000, 800), ("login", 160, 48), ("register", 160, 48)];

/// One of the two services.
#[derive(Debug)]
struct Contender {
    server: Server,
    pairs: Vec<TokenPair>,
    started_ms: f64,
}

/// What a contender did with one type of request: a number per round.
#[derive(Debug, Default)]
struct Results {
    rates: Vec<f64>,
    costs: Vec<f64>,
    p99: Vec<f64>,
}

/// Runs both and gives the rows.
pub(crate) async fn run(bench: &Bench, folder: &Path, workers: Option<usize>) -> Result<Vec<Row>> {
    let workers = workers.unwrap_or(2 * bench.cores + 1);
    eprintln!("comparing with Django under gunicorn ({workers} processes)");
    let python = environment(folder).await?;
    let django = start_django(bench, &python, workers).await?;
    let ours = service::start(bench, &bench.folder("compare")?, &[]).await?;
    let mut both = [contender(ours).await?, contender(django).await?];
    let mut rows = Vec::new();
    for (kind, ours, django) in KINDS {
        eprintln!("  {kind}");
        let [ours, django] = [ours, django].map(|count| bench.pick(count, count / 10));
        rows.append(&mut compare(bench, &mut both, kind, [ours, django], false).await?);
        if kind == "verify" {
            rows.append(&mut compare(bench, &mut both, kind, [ours / 2, django], true).await?);
        }
    }
    rows.append(&mut weigh(&both)?);
    for contender in both {
        contender.server.stop().await?;
    }
    Ok(rows)
}

async fn contender(mut server: Server) -> Result<Contender> {
    let mut users: Vec<User> = (1..=ACCOUNTS)
        .map(|number| {
            let script = Script::Named { name: account_name(number) };
            User::new(server.endpoint, usize::try_from(number).unwrap_or(0), script)
        })
        .collect();
    server.load(&mut users, Until::Answered(ACCOUNTS)).await?;
    let pairs = service::open_sessions(&mut server, ACCOUNTS, 32).await?;
    let started_ms = server.started_in.as_secs_f64() * 1e3;
    Ok(Contender { server, pairs, started_ms })
}

/// Lets both answer the same type of request in turns. gunicorn's sync workers close the connection after each
/// answer; with `close` ours is asked to do the same.
async fn compare(
    bench: &Bench,
    both: &mut [Contender; 2],
    kind: &str,
    counts: [u64; 2],
    close: bool,
) -> Result<Vec<Row>> {
    let mut results = [Results::default(), Results::default()];
    let mut users: Vec<Vec<User>> = Vec::new();
    for contender in both.iter_mut() {
        // A session that was refreshed has other tokens now: every type of request begins with new ones.
        contender.pairs = service::open_sessions(&mut contender.server, ACCOUNTS, 32).await?;
        users.push(users_for(kind, Endpoint { close, ..contender.server.endpoint }, &contender.pairs));
    }
    for round in 0..bench.pick(5, 2) {
        for turn in 0..2 {
            let number = (round + turn) % 2;
            let (cost, mut outcome) =
                both[number].server.cost(&mut users[number], counts[number].max(16)).await?;
            results[number].rates.push(outcome.rate());
            results[number].costs.push(micros(cost));
            results[number].p99.push(micros(percentile(&mut outcome.latencies, 0.99)));
        }
    }
    let [ours, django] = results;
    let name = if close { format!("{kind}, a new connection each time") } else { kind.to_owned() };
    let row = |measure: String, [ours, django]: [&[f64]; 2], text: fn(&[f64]) -> String| {
        Row::ratio(measure, text(ours), text(django), Summary::of_ratios(ours, django))
    };
    let rate: fn(&[f64]) -> String = |values| median_text(values, 0, "/s");
    Ok(vec![
        row(
            format!("django: {name}: requests per second, {USERS} clients"),
            [&ours.rates, &django.rates],
            rate,
        ),
        row(format!("django: {name}: processor time per request"), [&ours.costs, &django.costs], time_text),
        row(format!("django: {name}: 99th percentile of the latency"), [&ours.p99, &django.p99], time_text),
    ])
}

fn users_for(kind: &str, endpoint: Endpoint, pairs: &[TokenPair]) -> Vec<User> {
    match kind {
        "register" => registrants(endpoint, "new", USERS),
        "login" => loggers_in(endpoint, ACCOUNTS, USERS),
        "refresh" => refreshers(endpoint, pairs, USERS),
        _ => verifiers(endpoint, pairs, USERS),
    }
}

/// Memory after all that work, and the time to the first answer.
fn weigh(both: &[Contender; 2]) -> Result<Vec<Row>> {
    let mut memory = Vec::new();
    for contender in both {
        memory.push(procfs::proportional_kib(contender.server.pid())? as f64 / 1024.0);
    }
    let started = [both[0].started_ms, both[1].started_ms];
    let row = |measure: &str, values: &[f64], unit: &str| {
        let [left, right] = [values[0], values[1]].map(|value| format!("{value:.1} {unit}"));
        Row::ratio(measure, left, right, Summary::of_ratios(&values[..1], &values[1..]))
    };
    Ok(vec![
        row("django: memory of all processes (proportional)", &memory, "MiB"),
        row("django: start to first answer", &started, "ms"),
    ])
}

/// Starts the application under gunicorn on an empty database.
async fn start_django(bench: &Bench, python: &Path, workers: usize) -> Result<Server> {
    let folder = bench.folder("django")?;
    let application = application()?;
    let port = free_port()?;
    let settings = [
        ("PYTHONPATH", application.display().to_string()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("DJANGO_SETTINGS_MODULE", "bookstore.settings".to_owned()),
        ("DATA_DIR", folder.display().to_string()),
        ("SECRET_KEY", bench.secret.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    step(python, &["-m", "django", "migrate", "--verbosity", "0"], &settings, &folder.join("migrate.log"))
        .await?;
    let bind = format!("127.0.0.1:{port}");
    let processes = workers.to_string();
    let arguments = [
        "-m",
        "gunicorn",
        "--bind",
        &bind,
        "--workers",
        &processes,
        "--worker-class",
        "sync",
        "bookstore.wsgi",
    ];
    // There is no /healthz: its 404 is the first answer.
    Server::start(python, &arguments.map(OsString::from), &settings, &folder, port, &[404]).await
}

fn application() -> Result<PathBuf> {
    let folder = service::workspace()?.join("crates/bench/django");
    ensure!(folder.join("requirements.txt").is_file(), "{} is missing", folder.display());
    Ok(folder)
}

/// The Python of a virtual environment with the required packages, made when it is missing or out of date.
async fn environment(folder: &Path) -> Result<PathBuf> {
    let requirements = application()?.join("requirements.txt");
    let wanted = fs::read(&requirements)?;
    let home = folder.join("venv");
    let (python, mark) = (home.join("bin/python"), home.join("installed.txt"));
    if fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    eprintln!("  installing Django and gunicorn into {}", home.display());
    let log = folder.join("venv.log");
    // An index or proxy that the user set up counts here.
    let everything: Vec<(String, String)> = std::env::vars().collect();
    let place = home.display().to_string();
    step(Path::new("python3"), &["-m", "venv", "--clear", &place], &[], &log)
        .await
        .context("python3 with venv is needed")?;
    let list = requirements.display().to_string();
    step(&python, &["-m", "pip", "install", "--quiet", "--requirement", &list], &everything, &log).await?;
    fs::write(mark, wanted)?;
    Ok(python)
}

/// Runs a program to its end.
async fn step(
    program: &Path,
    arguments: &[&str],
    environment: &[(String, String)],
    log: &Path,
) -> Result<()> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    Child::start(program, &arguments, environment, log)?.finish(LONGEST_STEP).await
}
