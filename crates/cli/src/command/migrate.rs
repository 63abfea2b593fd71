//! `migrate`: brings the schema up to date, also where the service itself may not (MIGRATE=never).

use std::process::ExitCode;

use anyhow::Context;
use service::clock::Clock;
use store::migrate::{Mode, migrate, pending};

use super::{block_on, existing, load_for_database, output};
use crate::args::Migrate;
use crate::config::Inputs;
use crate::start;

pub(super) fn run(inputs: &Inputs, args: &Migrate) -> anyhow::Result<ExitCode> {
    let config = load_for_database(inputs, crate::config::Mode::Serve)?.config;
    if args.check {
        existing(&config.database)?;
    }
    let failed = format!("the database {} cannot be migrated", config.database);
    block_on(async {
        let db = start::connect(&config).await?;
        let (names, done) = if args.check {
            (pending(&db).await.context(failed)?, "pending")
        } else {
            (migrate(&db, Mode::Auto, Clock::system().now()).await.context(failed)?.applied, "applied")
        };
        db.close().await;
        let mut text: String = names.iter().map(|name| format!("{done}: {name}\n")).collect();
        if names.is_empty() {
            text = "the schema is up to date\n".to_owned();
        }
        output::print(&text)?;
        Ok(if args.check && !names.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}
