//! The binary: reads arguments, environment and files, builds the service, and runs it or does one thing and ends.
//!
//! | module | what |
//! |---|---|
//! | `args` | the command line |
//! | `command` | one file a command |
//! | `config` | every setting, where it comes from, whether it makes sense |
//! | `start` | from a configuration to a database and a service |
//! | `logs` | how log lines look |
//! | `failure` | what a person is told when something fails |
//!
//! To add a command: a variant in `args`, a file in `command` with a `run`, a line in `command/mod.rs`.

mod args;
mod command;
mod config;
mod failure;
mod logs;
mod open_files;
mod start;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match command::run(args::CommandLine::parse()) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}
