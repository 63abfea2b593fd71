//! Configuration: what an operator may choose, where it is written, and whether it makes sense.
//!
//! | file | what |
//! |---|---|
//! | `table` | every setting: name, kind, defaults, help |
//! | `sources`, `dotenv`, `file` | the environment, `.env` and the TOML file |
//! | `reader`, `value`, `duration` | from texts to values |
//! | `settings`, `secret`, `services`, `mail` | the values together, and what must hold between them |
//! | `problem`, `show` | what is told to the operator |

mod dotenv;
mod duration;
mod file;
mod mail;
mod problem;
mod reader;
pub(crate) mod secret;
mod services;
mod settings;
mod show;
mod sources;
mod table;
mod value;

use std::fmt;

pub(crate) use problem::{Problem, Problems};
pub(crate) use settings::{Config, Hash, Log};
pub(crate) use show::{help, in_force, markdown};
pub(crate) use sources::{Inputs, Sources};
pub(crate) use value::{Database, Deadline, Origins, database as parse_database, deadline as parse_deadline};

/// How the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// On a developer's machine, without configuration.
    Dev,
    /// In production.
    Serve,
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Dev => "dev",
            Self::Serve => "serve",
        })
    }
}

/// What a command needs of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Everything, keys included.
    Server,
    /// The database and the rules for accounts; no key is asked for or read.
    Database,
    /// The database and what opens the signing keys in it.
    SigningKeys,
}

/// A configuration and what is odd about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What is in force.
    pub(crate) config: Config,
    /// Lines for the operator.
    pub(crate) warnings: Vec<String>,
}

/// Reads and checks the configuration.
///
/// # Errors
/// All problems at once.
pub(crate) fn load(inputs: &Inputs, mode: Mode, needs: Needs) -> Result<Loaded, Problems> {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let sources = Sources::read(inputs, &mut problems, &mut warnings);
    let mut reader = reader::Reader::new(&sources, mode, &inputs.folder);
    let config = settings::settle(&mut reader, needs);
    problems.append(&mut reader.problems);
    warnings.append(&mut reader.warnings);
    if problems.is_empty() { Ok(Loaded { config, warnings }) } else { Err(Problems(problems)) }
}

#[cfg(test)]
mod tests;
