//! `dev` and `serve`: runs the service until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use server::{Cors, Edge, Limits, ServerSettings};
use service::clock::Clock;
use service::{App, worker};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::output::print;
use crate::config::{Config, Inputs, Loaded, Mode, Needs, Origins, load};
use crate::start::Adopt;
use crate::{logs, open_files, start};

/// How long the database may take to close after the last request.
const CLOSING: Duration = Duration::from_secs(10);
/// Connections at the same time to a listener of administrators' own: each is an open file that others cannot have.
const ADMINISTRATORS: usize = 64;

pub(super) fn run(inputs: &Inputs, mode: Mode, adopt: Adopt) -> anyhow::Result<ExitCode> {
    let Loaded { config, warnings } = load(inputs, mode, Needs::Server)?;
    logs::start(config.log);
    for warning in warnings {
        tracing::warn!(event = "configuration", "{warning}");
    }
    // The generator needs some 20 ms to seed itself, once; meanwhile the database opens.
    std::thread::spawn(crypto::random::fill::<1>);
    let runtime = Builder::new_multi_thread()
        .worker_threads(config.worker_threads)
        .thread_name("net")
        .enable_all()
        .build()
        .context("no runtime for the network")?;
    runtime.block_on(serve(config, adopt))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(ExitCode::SUCCESS)
}

async fn serve(mut config: Config, adopt: Adopt) -> anyhow::Result<()> {
    let (told, shutdown) = (CancellationToken::new(), CancellationToken::new());
    let signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    tokio::spawn(stop_on(signals, told.clone()));
    let listener = listen("BIND", config.bind).await?;
    let app = open(&mut config, adopt).await?;
    if app.settings.mail.is_none() {
        tracing::info!(
            event = "mail_off",
            "SMTP_HOST is not set: no mail is sent, and what needs mail is off"
        );
    }
    let router = server::router(app.clone(), settings(&config));
    if let Some(address) = config.metrics_bind {
        let metrics = TcpListener::bind(address).await.with_context(|| format!("METRICS_BIND {address}"))?;
        let (router, stopped) = (server::metrics_router(app.clone(), &router), shutdown.clone());
        tokio::spawn(async move { server::serve(metrics, router, Limits::default(), stopped).await });
    }
    let administration = administer(&app, &router, config.admin.bind, &shutdown).await?;
    tokio::spawn(leave(app.clone(), config.shutdown_delay, told, shutdown.clone()));
    let worker = tokio::spawn(worker::run(app.clone()));
    // A service does not stop because nobody reads its output.
    _ = print(&start_line(&config, &listener)?);
    let served = server::serve(listener, router, open_files::limits(), shutdown).await;
    let administered = match administration {
        Some(running) => running.await.map_err(io::Error::other).flatten(),
        None => Ok(()),
    };
    worker.abort();
    close(&app).await;
    served.and(administered).context("the network failed")
}

/// Serves the routes of administrators at an address of their own, if they have one.
async fn administer(
    app: &App,
    server: &Edge,
    address: Option<SocketAddr>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<JoinHandle<io::Result<()>>>> {
    let Some(address) = address else { return Ok(None) };
    let listener = listen("ADMIN_BIND", address).await?;
    let (router, shutdown) = (server::admin_router(app.clone(), server), shutdown.clone());
    tracing::info!(event = "administration", address = %listener.local_addr()?, "administrators are answered there alone");
    let limits = Limits { connections: ADMINISTRATORS, ..Limits::default() };
    Ok(Some(tokio::spawn(server::serve(listener, router, limits, shutdown))))
}

async fn listen(name: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "{name} {address} cannot be used (is another program using it? then set {name} to another port)"
        )
    })
}

/// Opens the database and everything on it.
async fn open(config: &mut Config, adopt: Adopt) -> anyhow::Result<App> {
    let clock = Clock::system();
    let db = start::database(config, &clock, adopt.moved).await?;
    start::claim(&db, config, adopt.dev, clock.now()).await?;
    if config.mode == Mode::Dev {
        start::fill_in_dev_keys(config)?;
        if config.keys.signing.is_none() {
            config.keys.signing = Some(start::dev_secret(&config.data_dir, start::DEV_SECRET)?);
        }
    }
    start::app(config, db, config.keys.signing.as_ref(), clock).await
}

/// Once it is told to stop, the service says that it is not ready, and answers on until proxies have heard it.
async fn leave(app: App, delay: Duration, told: CancellationToken, shutdown: CancellationToken) {
    told.cancelled().await;
    service::health::leave(&app);
    tokio::time::sleep(delay).await;
    shutdown.cancel();
}

/// Cancels at the first signal; ends the process at the second.
async fn stop_on([mut terminate, mut interrupt]: [Signal; 2], told: CancellationToken) {
    for first in [true, false] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if first {
            tracing::info!(event = "stopping", "stopping: requests in work are finished first");
            told.cancel();
        }
    }
    tracing::warn!(event = "stopped", "stopped at once, at the second signal");
    std::process::exit(1);
}

async fn close(app: &App) {
    app.hasher.shutdown();
    if tokio::time::timeout(CLOSING, app.db.close()).await.is_err() {
        tracing::warn!(event = "stopped", "the database did not close in time; nothing acknowledged is lost");
    }
    tracing::info!(event = "stopped", "stopped");
}

fn settings(config: &Config) -> ServerSettings {
    ServerSettings {
        verify_invalid_status: config.verify_invalid_status,
        cors: match &config.origins {
            Origins::Any => Cors::AnyOrigin,
            Origins::List(origins) => Cors::List(origins.clone()),
        },
        trusted_proxies: config.trusted_proxies.clone(),
        docs: config.docs,
        admin: config.admin.is_on && config.admin.bind.is_none(),
        forward_auth_cookie: config.services.cookie.clone(),
        loopback_hosts_only: config.mode == Mode::Dev,
        ..ServerSettings::default()
    }
}

/// Names mode, address, database and API documentation, in one line whatever LOG_LEVEL says.
fn start_line(config: &Config, listener: &TcpListener) -> anyhow::Result<String> {
    let address = format!("http://{}", listener.local_addr()?);
    let database = config.database.to_string();
    let version = env!("CARGO_PKG_VERSION");
    let docs = config.docs.then(|| format!("{address}/docs"));
    if config.log.json {
        let line = serde_json::json!({
            "level": "INFO", "event": "started", "version": version, "mode": config.mode.to_string(),
            "address": address, "database": database, "docs": docs,
        });
        return Ok(format!("{line}\n"));
    }
    let mode = match config.mode {
        Mode::Dev => "in development mode (not for production)",
        Mode::Serve => "in production mode",
    };
    let docs = docs.unwrap_or_else(|| "off (DOCS=on)".to_owned());
    Ok(format!("bookstore-auth {version} {mode} on {address}, database {database}, API docs {docs}\n"))
}
