//! Load and comparison: every performance claim of the service, measured.
//!
//! `cargo run --release -p bench` prints the whole table; docs/benchmarks.md says what each line means.
//!
//! * [`measure`] has one file per measure; [`compare`] runs the replaced stack side by side.
//! * [`load`], [`script`] and [`http`] are the client; [`server`], [`child`], [`service`], [`postgres`], [`bare`] and
//!   [`bare_update`] the processes.
//! * [`procfs`], [`stats`] and [`report`] turn what happened into numbers.
//!
//! To add a measure: a file in `measure/`, its name in [`measure::Measure`], a line in docs/benchmarks.md.

mod bare;
mod bare_update;
mod bench;
mod child;
mod clock;
mod compare;
mod http;
mod load;
mod measure;
mod postgres;
mod procfs;
mod report;
mod script;
mod seed;
mod server;
mod service;
mod stats;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::json;

use crate::bench::Bench;
use crate::measure::Measure;
use crate::report::Row;

/// Measures bookstore-auth against its own parts and prints a table.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    command: Option<Task>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Runs one measure.
    Only { name: Measure },
    /// Runs every measure, then the replaced stack (Django under gunicorn, from PyPI) side by side.
    Compare {
        /// gunicorn's processes [default: two per core and one].
        #[arg(long)]
        gunicorn_workers: Option<usize>,
        /// Leave the measures out and compare only.
        #[arg(long)]
        alone: bool,
    },
    /// Serves the bare handler (the bench starts this itself).
    #[command(hide = true)]
    Bare {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        workers: usize,
        #[arg(long)]
        middleware: bool,
        #[arg(long)]
        database: Option<String>,
    },
    /// Becomes another program that ends with the bench (the bench starts this itself).
    #[command(hide = true)]
    Launch {
        bench: u32,
        program: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
struct Options {
    /// Short rounds, and 100,000 accounts instead of a million: to see that everything works.
    #[arg(long, global = true)]
    quick: bool,
    /// Also write the results to this file.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure this binary instead of building one.
    #[arg(long, global = true, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Network threads of the service and of the bare handler [default: one per core].
    #[arg(long, global = true)]
    workers: Option<usize>,
    /// Where databases and the Python environment go [default: target/bench]. A disk, not memory: commits are measured.
    #[arg(long, global = true, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Task::Bare { port, workers, middleware, database }) => {
            bare::serve(port, workers, middleware, database.as_deref())
        }
        Some(Task::Launch { bench, program, arguments }) => child::launch(bench, &program, &arguments),
        task => {
            // One thread: the client must not take more than one core, and children hang on the thread that made them.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let result = runtime.block_on(until_interrupted(measure_all(task, cli.options)));
            // Seeding may still be at work after an interrupt.
            runtime.shutdown_background();
            result
        }
    }
}

/// Runs the work unless the user or the system wants us to end; dropping it ends the children.
async fn until_interrupted(work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = work => result,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

async fn measure_all(task: Option<Task>, options: Options) -> Result<()> {
    let binary = match options.binary {
        Some(binary) => {
            binary.canonicalize().with_context(|| format!("no binary at {}", binary.display()))?
        }
        None => service::build()?,
    };
    let folder = match options.folder {
        Some(folder) => folder,
        None => service::workspace()?.join("target/bench"),
    };
    let bench = Bench::new(options.quick, options.workers, binary, &folder)?;
    let mut rows = Vec::new();
    for measure in chosen(task.as_ref()) {
        eprintln!(
            "measuring {}",
            measure.to_possible_value().map_or_else(String::new, |name| name.get_name().to_owned())
        );
        rows.append(&mut measure.run(&bench).await?);
    }
    if let Some(Task::Compare { gunicorn_workers, .. }) = task {
        rows.append(&mut compare::run(&bench, &folder, gunicorn_workers).await?);
    }
    show(&bench, &rows, options.json.as_deref())
}

fn chosen(task: Option<&Task>) -> &[Measure] {
    match task {
        Some(Task::Only { name }) => std::slice::from_ref(name),
        Some(Task::Compare { alone: true, .. }) => &[],
        _ => Measure::value_variants(),
    }
}

fn show(bench: &Bench, rows: &[Row], file: Option<&std::path::Path>) -> Result<()> {
    let settings = json!({
        "quick": bench.quick, "cores": bench.cores, "network_threads": bench.workers,
        "processor": procfs::processor(), "kernel": procfs::kernel(),
    });
    println!(
        "\n{} cores ({}), Linux {}, {} network threads{}\n",
        bench.cores,
        procfs::processor(),
        procfs::kernel(),
        bench.workers,
        if bench.quick { "; QUICK: rounds too short to be believed" } else { "" },
    );
    println!("{}", report::table(rows));
    let missed = rows.iter().filter(|row| row.met() == Some(false)).count();
    let judged = rows.iter().filter(|row| row.met().is_some()).count();
    println!("{} of {judged} bars met", judged - missed);
    file.map_or(Ok(()), |file| report::write_json(file, &settings, rows))
}
