//! From the sources to values that the program can use; everything that is wrong is found in one go.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crypto::jws::Algorithm;
use crypto::secret::Secret;
use ipnet::IpNet;
use service::settings::{AccountSettings, MailSettings, TokenRoles, Verification};

use super::problem::Problem;
use super::reader::Reader;
use super::services::{self, Services};
use super::value::{Database, Deadline, Origins};
use super::{Mode, Needs, mail, secret};

/// What is in force. `Debug` shows no secret (KY-01).
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) mode: Mode,
    pub(crate) keys: Keys,
    pub(crate) bind: SocketAddr,
    pub(crate) metrics_bind: Option<SocketAddr>,
    pub(crate) database: Database,
    /// Most connections to a database server.
    pub(crate) database_pool: usize,
    pub(crate) data_dir: PathBuf,
    /// Whether the schema is brought up to date at the start.
    pub(crate) migrate: bool,
    pub(crate) tokens: Tokens,
    pub(crate) verify_invalid_status: u16,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: bool,
    pub(crate) hard_stop: bool,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) origins: Origins,
    pub(crate) docs: bool,
    pub(crate) admin: Admin,
    pub(crate) services: Services,
    pub(crate) accounts: AccountSettings,
    /// How mails are written and sent, if they are.
    pub(crate) mail: Option<MailSettings>,
    pub(crate) log: Log,
    pub(crate) hash: Hash,
    pub(crate) worker_threads: usize,
    pub(crate) shutdown_delay: Duration,
    pub(crate) commit_batch: usize,
    pub(crate) revocation_bound: Duration,
    pub(crate) feed_max_staleness: Duration,
    /// Whether replicas tell each other of changes through the database.
    pub(crate) feed_notify: bool,
    /// How often the state of the audit trail is signed.
    pub(crate) audit_checkpoint_interval: Duration,
    /// How long the audit trail is kept; `None` for ever.
    pub(crate) audit_retention: Option<Duration>,
}

/// The keys of the tokens.
#[derive(Debug)]
pub(crate) struct Keys {
    /// `None` in development when none is set, and where a command needs none.
    pub(crate) signing: Option<Secret>,
    pub(crate) fallbacks: Vec<Secret>,
    pub(crate) legacy_until: Deadline,
    /// What signs; HS256 also where a command needs no keys.
    pub(crate) algorithm: Algorithm,
    /// Opens the stored keys; `None` when not set, and where a command needs no keys.
    pub(crate) encryption: Option<Secret>,
    pub(crate) encryption_fallbacks: Vec<Secret>,
    pub(crate) hs256_until: Deadline,
    pub(crate) rfc9068: bool,
    pub(crate) rotation_interval: Duration,
    pub(crate) publish_ahead: Duration,
    /// Whether stored keys that cannot be opened are passed over, for the commands that end keys.
    pub(crate) for_repair: bool,
}

/// Lifetimes and claims.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) access_lifetime: Duration,
    pub(crate) refresh_lifetime: Duration,
    pub(crate) session_lifetime: Duration,
    pub(crate) refresh_grace: Duration,
    pub(crate) rotation: bool,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) roles: TokenRoles,
}

/// What new passwords must satisfy.
#[derive(Debug)]
pub(crate) struct Passwords {
    /// All of Django's validators, or the length alone.
    pub(crate) full: bool,
    pub(crate) min_length: usize,
    /// The file of a list of breached ones.
    pub(crate) breached: Option<PathBuf>,
}

/// What administrators may do.
#[derive(Debug)]
pub(crate) struct Admin {
    /// Whether their routes are there.
    pub(crate) is_on: bool,
    /// Where they are, if not beside the others.
    pub(crate) bind: Option<SocketAddr>,
    /// How long a login lets them change things.
    pub(crate) fresh_login: Duration,
    /// How long an API key may live.
    pub(crate) api_key_lifetime: Duration,
}

/// The worker threads for hashing.
#[derive(Debug)]
pub(crate) struct Hash {
    pub(crate) threads: usize,
    pub(crate) queue: usize,
    pub(crate) max_wait: Duration,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) json: bool,
    pub(crate) level: &'static str,
}

/// Reads and checks everything. What is wrong has gone to the reader's problems when this returns.
pub(crate) fn settle(reader: &mut Reader<'_>, needs: Needs) -> Config {
    let data_dir = PathBuf::from(reader.text("DATA_DIR"));
    let (bind, services) = (reader.address("BIND"), services::settle(reader));
    let mail = mail::settle(reader, needs, services.public_url.as_deref(), (bind, &data_dir));
    let config = Config {
        mode: reader.mode,
        keys: keys(reader, needs),
        bind,
        metrics_bind: reader.optional_address("METRICS_BIND"),
        database: reader.database("DATABASE_URL", &data_dir),
        database_pool: reader.count("DATABASE_POOL"),
        migrate: reader.choice("MIGRATE") == "auto",
        tokens: tokens(reader),
        verify_invalid_status: if reader.choice("VERIFY_INVALID_STATUS") == "401" { 401 } else { 400 },
        passwords: Passwords {
            full: reader.choice("PASSWORD_POLICY") == "full",
            min_length: reader.count("PASSWORD_MIN_LENGTH"),
            breached: reader.optional_text("BREACHED_PASSWORDS").map(PathBuf::from),
        },
        throttle: reader.switch("THROTTLE"),
        hard_stop: reader.switch("HARD_STOP"),
        trusted_proxies: reader.networks("TRUSTED_PROXIES"),
        origins: reader.origins("CORS_ALLOWED_ORIGINS"),
        docs: reader.switch("DOCS"),
        admin: Admin {
            is_on: reader.switch("ADMIN_API"),
            bind: reader.optional_address("ADMIN_BIND"),
            fresh_login: reader.duration("ADMIN_FRESH_AUTH"),
            api_key_lifetime: reader.duration("API_KEY_MAX_LIFETIME"),
        },
        services,
        accounts: accounts(reader),
        mail,
        log: Log { json: reader.choice("LOG_FORMAT") == "json", level: reader.choice("LOG_LEVEL") },
        hash: Hash {
            threads: reader.count("HASH_THREADS"),
            queue: reader.count("HASH_QUEUE"),
            max_wait: reader.duration("HASH_MAX_WAIT"),
        },
        worker_threads: reader.count("WORKER_THREADS"),
        shutdown_delay: reader.duration("SHUTDOWN_DELAY"),
        commit_batch: reader.count("COMMIT_BATCH"),
        revocation_bound: reader.duration("REVOCATION_BOUND"),
        feed_max_staleness: reader.duration("FEED_MAX_STALENESS"),
        feed_notify: reader.switch("FEED_NOTIFY"),
        audit_checkpoint_interval: reader.duration("AUDIT_CHECKPOINT_INTERVAL"),
        audit_retention: reader.retention("AUDIT_RETENTION"),
        data_dir,
    };
    match config.mode {
        Mode::Dev => check_dev(&config, &mut reader.problems),
        Mode::Serve => {
            check_serve(&config, &mut reader.problems);
            reader.warnings.extend(risks(&config));
        }
    }
    check_lifetimes(&config, &mut reader.problems);
    if needs == Needs::Server {
        check_profile(&config, &mut reader.problems);
    }
    config
}

fn accounts(reader: &mut Reader<'_>) -> AccountSettings {
    AccountSettings {
        verification: match reader.choice("EMAIL_VERIFICATION") {
            "off" => Verification::Off,
            "required" => Verification::Required,
            _ => Verification::Optional,
        },
        login_by_email: reader.switch("LOGIN_BY_EMAIL"),
        login_notices: reader.switch("LOGIN_NOTICES"),
        deletion_grace: reader.duration("ACCOUNT_DELETION_GRACE"),
        unverified_lifetime: reader.retention("UNVERIFIED_ACCOUNT_LIFETIME"),
    }
}

fn tokens(reader: &mut Reader<'_>) -> Tokens {
    Tokens {
        access_lifetime: reader.duration("ACCESS_TOKEN_LIFETIME"),
        refresh_lifetime: reader.duration("REFRESH_TOKEN_LIFETIME"),
        session_lifetime: reader.duration("SESSION_LIFETIME"),
        refresh_grace: reader.duration("REFRESH_GRACE"),
        rotation: reader.switch("REFRESH_ROTATION"),
        issuer: reader.optional_text("ISSUER"),
        audience: reader.optional_text("AUDIENCE"),
        roles: match reader.choice("TOKEN_ROLES") {
            "roles" => TokenRoles::Roles,
            "scope" => TokenRoles::Scope,
            _ => TokenRoles::Off,
        },
    }
}

fn keys(reader: &mut Reader<'_>, needs: Needs) -> Keys {
    let allow_short = reader.switch("ALLOW_SHORT_SECRET_KEY");
    let legacy_until = reader.deadline("LEGACY_TOKENS_UNTIL");
    let signing = signing_key(reader, needs);
    let fallbacks: Vec<Secret> = reader.secret_list("SECRET_KEY_FALLBACKS");
    if needs == Needs::Server && reader.mode == Mode::Serve {
        let named = signing.iter().map(|key| ("SECRET_KEY", key));
        let named = named.chain(fallbacks.iter().map(|key| ("a key in SECRET_KEY_FALLBACKS", key)));
        let faults: Vec<Problem> =
            named.filter_map(|(name, key)| secret::fault(name, key, allow_short)).collect();
        reader.problems.extend(faults);
    }
    if fallbacks.iter().any(|key| Some(key) == signing.as_ref()) {
        reader.problems.push(Problem::new(
            "SECRET_KEY_FALLBACKS holds SECRET_KEY itself.",
            "keep only earlier keys there; SECRET_KEY is the new one.",
        ));
    }
    reader.warnings.extend(signing.iter().filter_map(|key| secret::oddity("SECRET_KEY", key)));
    let keys = Keys {
        legacy_until,
        algorithm: algorithm(reader, needs),
        encryption: encryption_key(reader, needs),
        encryption_fallbacks: reader.secret_list("KEY_ENCRYPTION_KEY_FALLBACKS"),
        hs256_until: reader.deadline("HS256_VERIFY_UNTIL"),
        rfc9068: reader.choice("TOKEN_PROFILE") == "rfc9068",
        rotation_interval: reader.duration("KEY_ROTATION_INTERVAL"),
        publish_ahead: reader.duration("KEY_PUBLISH_AHEAD"),
        for_repair: needs == Needs::SigningKeys,
        signing,
        fallbacks,
    };
    check_encryption(reader, &keys, needs);
    keys
}

fn algorithm(reader: &mut Reader<'_>, needs: Needs) -> Algorithm {
    let chosen = Algorithm::of(reader.choice("SIGNING_ALG")).unwrap_or(Algorithm::Hs256);
    if needs == Needs::Database { Algorithm::Hs256 } else { chosen }
}

fn encryption_key(reader: &mut Reader<'_>, needs: Needs) -> Option<Secret> {
    let names = ["KEY_ENCRYPTION_KEY", "KEY_ENCRYPTION_KEY_FILE"];
    let key = reader.optional_text(names[0]).map(Secret::from);
    let file = reader.optional_text(names[1]).map(PathBuf::from);
    if needs == Needs::Database { None } else { text_or_file(reader, names, key, file) }
}

/// The key-encryption key opens what must not be opened with anything that services hold (KY-02).
fn check_encryption(reader: &mut Reader<'_>, keys: &Keys, needs: Needs) {
    let Some(encryption) = &keys.encryption else {
        if keys.algorithm.is_public() && needs == Needs::Server && reader.mode == Mode::Serve {
            reader.problems.push(secret::no_encryption_key(keys.algorithm));
        }
        return;
    };
    let shared = keys.signing.iter().map(|key| ("SECRET_KEY", key));
    let shared = shared.chain(keys.fallbacks.iter().map(|key| ("a key in SECRET_KEY_FALLBACKS", key)));
    reader.problems.extend(secret::encryption_fault(encryption, shared, reader.mode));
    reader.warnings.extend(secret::oddity("KEY_ENCRYPTION_KEY", encryption));
}

/// A secret that is set by itself or as a file.
pub(super) fn text_or_file(
    reader: &mut Reader<'_>,
    [name, file_name]: [&'static str; 2],
    key: Option<Secret>,
    file: Option<PathBuf>,
) -> Option<Secret> {
    match (key, file) {
        (Some(_), Some(_)) => {
            let sources = [reader.source(name), reader.source(file_name)];
            reader.problems.push(Problem::new(
                format!("{name} ({}) and {file_name} ({}) are both set.", sources[0], sources[1]),
                "keep one of them.",
            ));
            None
        }
        (Some(key), None) => Some(key),
        (None, Some(path)) => secret::from_file(file_name, &reader.folder.join(path))
            .map_err(|problem| reader.problems.push(problem))
            .ok(),
        (None, None) => None,
    }
}

fn signing_key(reader: &mut Reader<'_>, needs: Needs) -> Option<Secret> {
    let key = reader.optional_text("SECRET_KEY").map(Secret::from);
    let file = reader.optional_text("SECRET_KEY_FILE").map(PathBuf::from);
    if needs != Needs::Server {
        return None;
    }
    let is_set = key.is_some() || file.is_some();
    if !is_set && reader.mode == Mode::Serve && !algorithm(reader, needs).is_public() {
        reader.problems.push(Problem::new(
            "SECRET_KEY is not set.",
            format!(
                "set SECRET_KEY or SECRET_KEY_FILE to the key that your services check tokens with, or {}.",
                secret::MAKE_ONE
            ),
        ));
    }
    text_or_file(reader, ["SECRET_KEY", "SECRET_KEY_FILE"], key, file)
}

fn check_dev(config: &Config, problems: &mut Vec<Problem>) {
    let listeners = [
        ("BIND", Some(config.bind)),
        ("METRICS_BIND", config.metrics_bind),
        ("ADMIN_BIND", config.admin.bind),
    ];
    for (name, address) in listeners {
        let Some(address) = address.filter(|address| !address.ip().is_loopback()) else { continue };
        problems.push(Problem::new(
            format!("{name} is {address}, but the development mode answers this machine only."),
            "use a loopback address such as 127.0.0.1, or `bookstore-auth serve`.",
        ));
    }
}

fn check_serve(config: &Config, problems: &mut Vec<Problem>) {
    if config.accounts.verification == Verification::Required && config.mail.is_none() {
        problems.push(Problem::new(
            "EMAIL_VERIFICATION is required, and there is no way to send the mails that verify addresses.",
            "set SMTP_HOST and MAIL_FROM, or use EMAIL_VERIFICATION=optional.",
        ));
    }
    if let Some(issuer) = config.tokens.issuer.as_deref().filter(|issuer| !is_good_issuer(issuer)) {
        problems.push(Problem::new(
            format!("ISSUER is {issuer:?}, an address that is not https."),
            "write it with https://, or give a plain name.",
        ));
    }
    let listeners = [
        ("METRICS_BIND", config.metrics_bind),
        ("ADMIN_BIND", config.admin.bind),
        ("BIND", Some(config.bind)),
    ];
    for (place, (name, address)) in listeners.iter().enumerate() {
        let twin = listeners[place + 1..].iter().find(|(_, other)| other == address);
        if let (Some((other, _)), Some(address)) = (twin, address.filter(|address| address.port() != 0)) {
            problems.push(Problem::new(
                format!("{name} and {other} are both {address}."),
                format!("give {name} a port of its own, on a private address."),
            ));
        }
    }
    if config.admin.bind.is_some() && !config.admin.is_on {
        problems.push(Problem::new(
            "ADMIN_BIND is set, and the routes of administrators are off.",
            "set ADMIN_API=on, or leave ADMIN_BIND out.",
        ));
    }
}

/// What production does when told so, though it should not be told so lightly.
fn risks(config: &Config) -> Vec<String> {
    let any_origin = config.origins == Origins::Any;
    let short = config.passwords.min_length < 8;
    let unverified = matches!(&config.database, Database::Postgres(options) if options.is_unverified());
    let warnings = [
        any_origin.then(|| {
            "CORS_ALLOWED_ORIGINS is *: every web page may use the service; list your own".to_owned()
        }),
        short.then(|| {
            format!("PASSWORD_MIN_LENGTH is {}: fewer than 8 can be guessed", config.passwords.min_length)
        }),
        unverified.then(|| {
            "DATABASE_URL does not have the server's certificate checked: whoever stands in between can read and \
             change everything; add sslmode=verify-full"
                .to_owned()
        }),
    ];
    warnings.into_iter().flatten().collect()
}

/// A name without a scheme, an https address, or one of this machine.
pub(super) fn is_good_issuer(issuer: &str) -> bool {
    let Some((scheme, rest)) = issuer.split_once("://") else { return true };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let local =
        name == "localhost" || name.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    match scheme.to_ascii_lowercase().as_str() {
        "https" => !host.is_empty(),
        "http" => local,
        _ => false,
    }
}

/// RFC 9068 section 2: signed with a public key's private part, for somebody, by somebody.
fn check_profile(config: &Config, problems: &mut Vec<Problem>) {
    let missing = [
        (!config.keys.algorithm.is_public(), "public keys: set SIGNING_ALG=EdDSA"),
        (config.tokens.issuer.is_none(), "an issuer: set ISSUER"),
        (config.tokens.audience.is_none(), "an audience: set AUDIENCE"),
    ];
    for (_, what) in missing.iter().filter(|(is_missing, _)| *is_missing && config.keys.rfc9068) {
        problems.push(Problem::new(
            format!("TOKEN_PROFILE=rfc9068 needs {}.", what.split(':').next().unwrap_or_default()),
            format!("{}, or use TOKEN_PROFILE=simplejwt.", what.split(": ").last().unwrap_or_default()),
        ));
    }
}

fn check_lifetimes(config: &Config, problems: &mut Vec<Problem>) {
    let tokens = &config.tokens;
    let pairs = [
        ("ACCESS_TOKEN_LIFETIME", tokens.access_lifetime, "SESSION_LIFETIME", tokens.session_lifetime),
        ("REFRESH_TOKEN_LIFETIME", tokens.refresh_lifetime, "SESSION_LIFETIME", tokens.session_lifetime),
        (
            "KEY_PUBLISH_AHEAD",
            config.keys.publish_ahead,
            "KEY_ROTATION_INTERVAL",
            config.keys.rotation_interval,
        ),
        ("REVOCATION_BOUND", config.revocation_bound, "FEED_MAX_STALENESS", config.feed_max_staleness),
    ];
    for (short_name, short, long_name, long) in pairs {
        // Zero stands in for a value that has a fault of its own.
        if !long.is_zero() && short > long {
            problems.push(Problem::new(
                format!(
                    "{short_name} ({}) is longer than {long_name} ({}).",
                    super::duration::show(short),
                    super::duration::show(long)
                ),
                format!("lower {short_name} or raise {long_name}."),
            ));
        }
    }
}
