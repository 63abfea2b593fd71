//! The command line. No option takes a secret: arguments are visible to every user of the machine (KY-01).

mod admin;
mod transfer;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use self::admin::{ApiKey, ApiKeyCreate, ApiKeyList, BootstrapToken};
pub(crate) use self::transfer::{Export, ExportFile, Import, ImportDjango, ImportFile};
use crate::config::{self, Mode};

/// The authentication service of a system of services: registers users, logs them in, and hands out tokens that every
/// other service can check by itself.
#[derive(Debug, Parser)]
#[command(name = "bookstore-auth", version, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.")]
pub(crate) struct CommandLine {
    /// A TOML file with settings (also CONFIG_FILE in the environment or in .env)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start for development: this machine only, no configuration needed
    #[command(after_long_help = config::help(Mode::Dev))]
    Dev,
    /// Start for production
    #[command(after_long_help = config::help(Mode::Serve))]
    Serve(Serve),
    /// Show the settings in force and where each comes from; secrets are masked
    Config(ConfigArgs),
    /// Bring the database schema up to date
    Migrate(Migrate),
    /// Manage accounts; a running server follows within REVOCATION_BOUND
    #[command(subcommand)]
    User(User),
    /// Manage groups and who is in them
    #[command(subcommand)]
    Group(Group),
    /// Manage API keys, which services exchange at /token/ for short-lived tokens
    #[command(subcommand)]
    ApiKey(ApiKey),
    /// Make a token that makes the first administrator at /admin/api/bootstrap/, once and for a short time
    BootstrapToken(BootstrapToken),
    /// Manage the public keys that sign tokens, now or later; running servers follow within REVOCATION_BOUND
    #[command(subcommand)]
    Key(Key),
    /// Check, search and export the audit trail, and sign its state
    #[command(subcommand)]
    Audit(Audit),
    /// Copy the database to a file, also while the service runs
    Backup {
        /// The file to write; it must not exist yet
        file: PathBuf,
    },
    /// Put a backup in the place of the database; the service must be stopped
    Restore {
        /// A file that `backup` has written
        file: PathBuf,
    },
    /// After pg_restore, before the service starts: end all sessions, leave out ids that may be issued already
    AfterRestore(AfterRestore),
    /// Move the installation from the embedded database to PostgreSQL; all but the last step while the service runs
    #[command(after_long_help = COPY_HELP)]
    Copy(Copy),
    /// Make and ask lists of breached passwords (BREACHED_PASSWORDS)
    #[command(subcommand)]
    Breached(Breached),
    /// Bring the users of another system over
    #[command(subcommand)]
    Import(Import),
    /// Write all users to a file that `import` reads, with their password hashes
    #[command(subcommand)]
    Export(Export),
    /// Print the OpenAPI description of the HTTP interface
    Openapi,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Ask the service on BIND whether it is alive, for containers
    Healthcheck,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Take a database that `dev` has made into production, with the accounts in it
    #[arg(long)]
    pub(crate) adopt_dev_database: bool,
    /// Serve a database that `copy` has moved elsewhere after all; what happened there since is not here
    #[arg(long)]
    pub(crate) take_back_moved_database: bool,
}

const COPY_HELP: &str = "\
How to move:
  1. Create an empty database. Run `copy` while the service runs, once or as often as you like: each run brings over what
     has changed since the one before, and says how much that was. The target cannot be served yet.
  2. Stop the service and run `copy --final`. It copies the rest, compares both sides row by row (counts and SHA-256), and
     marks the file: `serve` refuses it from then on.
  3. Start the service with the same settings and DATABASE_URL set to the target. Nobody is logged out.
A run that was ended, in whatever way, is simply run again.";

#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The embedded database, as sqlite:PATH; without it the one that is configured
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<String>,
    /// The database to move to, as postgres://user@host/database?sslmode=verify-full. With a password in it, better in the
    /// environment than here, where every user of this machine sees it
    #[arg(long, value_name = "URL", env = "COPY_TO", hide_env_values = true)]
    pub(crate) to: String,
    /// Complete the move; the service must be stopped
    #[arg(long = "final")]
    pub(crate) last: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Whose defaults apply
    #[arg(long, value_enum, default_value_t = ModeName::Serve)]
    pub(crate) mode: ModeName,
    /// Print docs/configuration.md instead
    #[arg(long)]
    pub(crate) markdown: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ModeName {
    Dev,
    Serve,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Dev => Self::Dev,
            ModeName::Serve => Self::Serve,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Only name what is pending; the exit code is 1 if anything is
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AfterRestore {
    /// The highest user id that was ever issued; without it a million ids are left out
    #[arg(long, value_name = "ID")]
    pub(crate) last_id: Option<i64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Create an account
    Create(UserCreate),
    /// List accounts in the order of their ids
    List(UserList),
    /// Show an account with its groups and permissions
    Show(UserShow),
    /// Disable an account: its sessions end, it cannot log in
    Disable(UserName),
    /// Enable a disabled account
    Enable(UserName),
    /// Set the password of an account; its sessions end
    SetPassword(UserSetPassword),
    /// Delete an account for good; its id is never issued again
    Delete(UserDelete),
}

#[derive(Debug, Args)]
pub(crate) struct UserCreate {
    /// The user name
    pub(crate) username: String,
    /// The e-mail address
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) email: String,
    /// Mark the account as staff
    #[arg(long)]
    pub(crate) staff: bool,
    /// Mark the account as superuser
    #[arg(long)]
    pub(crate) superuser: bool,
    #[command(flatten)]
    pub(crate) password: PasswordSource,
    /// Print the account as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PasswordSource {
    /// Read the password from standard input instead of asking for it
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UserList {
    /// Begin after this id
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<i64>,
    /// How many to list
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Print JSON: {"users": [..], "next": ID or null}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UserName {
    /// The name or the id of the account
    #[arg(value_name = "NAME|ID")]
    pub(crate) user: String,
}

#[derive(Debug, Args)]
pub(crate) struct UserShow {
    /// The name or the id of the account
    #[arg(value_name = "NAME|ID")]
    pub(crate) user: String,
    /// Print the account as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// List groups in the order of their ids
    List(GroupList),
    /// Create a group
    Create {
        /// The name
        name: String,
    },
    /// Delete a group; its members lose what it gave
    Delete {
        /// The name
        name: String,
    },
    /// Add an account to a group
    Add(GroupMember),
    /// Take an account out of a group
    Remove(GroupMember),
}

#[derive(Debug, Args)]
pub(crate) struct GroupList {
    /// Begin after this id
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<i64>,
    /// How many to list
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Print JSON: {"groups": [..], "next": ID or null}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GroupMember {
    /// The name of the group
    pub(crate) group: String,
    /// The name or the id of the account
    #[arg(value_name = "NAME|ID")]
    pub(crate) user: String,
}

#[derive(Debug, Args)]
pub(crate) struct UserSetPassword {
    /// The name or the id of the account
    #[arg(value_name = "NAME|ID")]
    pub(crate) user: String,
    #[command(flatten)]
    pub(crate) password: PasswordSource,
}

#[derive(Debug, Args)]
pub(crate) struct UserDelete {
    /// The name or the id of the account
    #[arg(value_name = "NAME|ID")]
    pub(crate) user: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// List the keys and what each does
    List {
        /// Print JSON: {"keys": [..]}
        #[arg(long)]
        json: bool,
    },
    /// Publish the next keys now; they sign after KEY_PUBLISH_AHEAD
    Rotate,
    /// In an emergency: end keys at once. All tokens that they signed are refused; another key signs
    Drop(KeyDrop),
}

#[derive(Debug, Args)]
pub(crate) struct KeyDrop {
    /// The id of the key, as `key list` shows it; it may begin with a hyphen
    #[arg(
        value_name = "KID",
        allow_hyphen_values = true,
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub(crate) id: Option<String>,
    /// All keys, also those that sign refresh tokens: everybody must log in again
    #[arg(long)]
    pub(crate) all: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Breached {
    /// Make a list: of Pwned Passwords' SHA-1 file (sorted by digest), or of any passwords
    Build(BreachedBuild),
    /// Ask whether a password is in a list, after checking that the list is whole; the exit code is 1 if it is
    Check(BreachedCheck),
}

#[derive(Debug, Args)]
pub(crate) struct BreachedBuild {
    /// Lines of SHA-1:COUNT sorted by digest, as the downloader of Pwned Passwords writes them; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// The list to write; it must not exist yet
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// Leave out what was seen less often
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub(crate) at_least: u64,
    /// The lines are passwords instead, in any order
    #[arg(long, conflicts_with = "at_least")]
    pub(crate) plain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BreachedCheck {
    /// The list; without it the one of BREACHED_PASSWORDS
    #[arg(long, value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// Read the password from standard input instead of asking for it
    #[arg(long)]
    pub(crate) stdin: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check the whole trail; exit code 1 if anything was changed, removed, put in or moved
    Verify(AuditVerify),
    /// Sign how far the trail goes now, and print that: to be kept elsewhere
    Checkpoint,
    /// List what happened, the latest first
    Search(AuditSearch),
    /// Print the whole trail in order, as JSON Lines
    Export,
}

#[derive(Debug, Args)]
pub(crate) struct AuditVerify {
    /// A file with checkpoints that were kept elsewhere, such as lines of a log; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AuditSearch {
    /// What happened to this account: its name or id; id:7 also when it was deleted
    #[arg(long, value_name = "NAME|ID")]
    pub(crate) user: Option<String>,
    /// What happened, such as login.failed
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// From this date or UTC time on
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Before this date or UTC time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// How many to list
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Print JSON Lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    // Ids of keys are base64url: one in 64 begins with a hyphen.
    #[test]
    fn a_key_id_may_look_like_an_option() {
        for line in [["-abc", "--yes"], ["--yes", "-abc"], ["--yes", "--bc"]] {
            let line = ["bookstore-auth", "key", "drop"].into_iter().chain(line);
            let Command::Key(Key::Drop(args)) = CommandLine::parse_from(line).command else {
                panic!("another command")
            };
            assert!(args.yes && !args.all && args.id.is_some_and(|id| id.ends_with("bc")));
        }
        for line in [&["key", "drop"][..], &["key", "drop", "--all", "abc"]] {
            assert!(CommandLine::try_parse_from(["bookstore-auth"].iter().chain(line)).is_err(), "{line:?}");
        }
    }

    // KY-01: no argument anywhere takes a secret.
    #[test]
    fn no_argument_takes_a_secret() {
        fn look(command: &clap::Command) {
            for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values()) {
                let name = argument.get_id().as_str();
                assert!(!name.contains("password") && !name.contains("secret"), "{name}");
            }
            command.get_subcommands().for_each(look);
        }
        look(&CommandLine::command());
    }
}
