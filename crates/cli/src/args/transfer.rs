//! Arguments of `import` and `export`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// From a Django service: users, groups, permissions, refused tokens; repeatable, also while that service runs
    #[command(after_long_help = IMPORT_HELP)]
    Django(ImportDjango),
    /// From a CSV file with a line of column names
    #[command(after_long_help = IMPORT_FILE_HELP)]
    Csv(ImportFile),
    /// From a file with a JSON object on each line
    #[command(after_long_help = IMPORT_FILE_HELP)]
    Jsonl(ImportFile),
}

const IMPORT_HELP: &str = "\
Users keep their ids and passwords. Run it as often as you like, with --dry-run first: each run brings what has changed there since
the one before; what has changed on both sides stays as it is here and is named. A run that was ended is simply run again.";

const IMPORT_FILE_HELP: &str = "\
Columns or members: username; and, each of them optional: id, email, first_name, last_name, password_hash, password_trims, is_active,
is_staff, is_superuser, groups, permissions, date_joined, last_login. docs/moving-in.md says what each may hold.";

#[derive(Debug, Args)]
pub(crate) struct ImportDjango {
    /// The Django service's SQLite file
    #[arg(long, value_name = "FILE", required_unless_present = "from", conflicts_with = "from")]
    pub(crate) database: Option<PathBuf>,
    /// Its database, as sqlite:PATH or postgres://user@host/database?sslmode=verify-full. With a password in it, better in the
    /// environment than here, where every user of this machine sees it
    #[arg(long, value_name = "URL", env = "IMPORT_FROM", hide_env_values = true)]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

#[derive(Debug, Args)]
pub(crate) struct ImportFile {
    /// The file; - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

#[derive(Debug, Args)]
pub(crate) struct Reporting {
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write every note to this new file, one a line as JSON; the report holds the first thousand
    #[arg(long, value_name = "FILE")]
    pub(crate) notes: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Export {
    /// As CSV with a line of column names
    Csv(ExportFile),
    /// As a JSON object on each line
    Jsonl(ExportFile),
}

#[derive(Debug, Args)]
pub(crate) struct ExportFile {
    /// The new file, for its owner alone; - for standard output
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Leave the password hashes out
    #[arg(long)]
    pub(crate) without_passwords: bool,
}
