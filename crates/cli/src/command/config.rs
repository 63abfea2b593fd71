//! `config`: what is in force, and what is wrong with it.

use std::process::ExitCode;

use super::output::print;
use crate::args::ConfigArgs;
use crate::config::{Inputs, Needs, Sources, in_force, load, markdown};

pub(super) fn run(inputs: &Inputs, args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    if args.markdown {
        print(&markdown())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mode = args.mode.into();
    let sources = Sources::read(inputs, &mut Vec::new(), &mut Vec::new());
    print(&in_force(&sources, mode))?;
    for warning in load(inputs, mode, Needs::Server)?.warnings {
        eprintln!("bookstore-auth: warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}
