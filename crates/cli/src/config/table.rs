//! Every setting on one page. Parsing, `config`, `--help` and docs/configuration.md are all made from this table.
//!
//! To add one: add a row here, read it in `settings.rs`, and run
//! `cargo run -- config --markdown > docs/configuration.md`. Tests fail until all three are done.

use std::time::Duration;

use super::Mode;

/// What the text of a setting means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A secret; taken to the letter, never shown.
    Secret,
    /// Secrets separated by white space; never shown.
    SecretList,
    /// A file or folder.
    Path,
    /// `address:port`; `off` where the setting says so.
    Address {
        /// Whether the word `off` is allowed.
        off: bool,
    },
    /// `sqlite:path` or `postgres://...`.
    Database,
    /// `15m`, `7d`, `10s`, `500ms`.
    Duration {
        /// The shortest allowed.
        least: Duration,
        /// The longest allowed.
        most: Duration,
    },
    /// A duration, or `forever`.
    Retention {
        /// The shortest allowed.
        least: Duration,
        /// The longest allowed.
        most: Duration,
    },
    /// A whole number.
    Count {
        /// The smallest allowed.
        least: usize,
        /// The largest allowed.
        most: usize,
        /// Whether the word `cores` (the number of processor cores) is allowed.
        cores: bool,
    },
    /// `on` or `off`, `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Web origins, `*` or `none`.
    Origins,
    /// Addresses and networks, or `none`.
    Networks,
    /// A date or time in UTC; `auto` or `off`.
    Deadline,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its one name: in the environment and `.env` as it stands, in the TOML file in lower case.
    pub(crate) name: &'static str,
    /// What its text means.
    pub(crate) kind: Kind,
    /// The default in development; empty means not set.
    pub(crate) dev: &'static str,
    /// The default in production; empty means not set.
    pub(crate) serve: &'static str,
    /// What it does, in a sentence or two.
    pub(crate) help: &'static str,
}

impl Setting {
    /// The default in this mode; empty means not set.
    pub(crate) fn default_in(&self, mode: Mode) -> &'static str {
        match mode {
            Mode::Dev => self.dev,
            Mode::Serve => self.serve,
        }
    }

    /// Whether its value must never be shown.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::SecretList)
    }
}

/// The setting of this name.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const fn duration(least: Duration, most: Duration) -> Kind {
    Kind::Duration { least, most }
}

const fn days(count: u32) -> Duration {
    DAY.saturating_mul(count)
}

const fn count(least: usize, most: usize) -> Kind {
    Kind::Count { least, most, cores: false }
}

const fn cores(most: usize) -> Kind {
    Kind::Count { least: 1, most, cores: true }
}

/// A row whose default is the same in both modes.
const fn row(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { name, kind, dev: default, serve: default, help }
}

/// A row whose defaults differ.
const fn split(
    name: &'static str,
    kind: Kind,
    (dev, serve): (&'static str, &'static str),
    help: &'static str,
) -> Setting {
    Setting { name, kind, dev, serve, help }
}

/// The settings of one subject, under the heading they have in the documentation.
pub(crate) const GROUPS: &[(&str, &[&str])] = &[
    (
        "Keys",
        &[
            "SECRET_KEY",
            "SECRET_KEY_FILE",
            "SECRET_KEY_FALLBACKS",
            "ALLOW_SHORT_SECRET_KEY",
            "LEGACY_TOKENS_UNTIL",
        ],
    ),
    (
        "Public keys",
        &[
            "SIGNING_ALG",
            "KEY_ENCRYPTION_KEY",
            "KEY_ENCRYPTION_KEY_FILE",
            "KEY_ENCRYPTION_KEY_FALLBACKS",
            "HS256_VERIFY_UNTIL",
            "TOKEN_PROFILE",
            "KEY_ROTATION_INTERVAL",
            "KEY_PUBLISH_AHEAD",
        ],
    ),
    (
        "Where it listens and keeps its data",
        &["BIND", "METRICS_BIND", "DATABASE_URL", "DATABASE_POOL", "DATA_DIR", "MIGRATE"],
    ),
    (
        "Tokens and sessions",
        &[
            "ACCESS_TOKEN_LIFETIME",
            "REFRESH_TOKEN_LIFETIME",
            "SESSION_LIFETIME",
            "REFRESH_GRACE",
            "REFRESH_ROTATION",
            "VERIFY_INVALID_STATUS",
            "ISSUER",
            "AUDIENCE",
            "TOKEN_ROLES",
        ],
    ),
    (
        "Passwords and guessing",
        &[
            "PASSWORD_POLICY",
            "PASSWORD_MIN_LENGTH",
            "BREACHED_PASSWORDS",
            "THROTTLE",
            "HARD_STOP",
            "TRUSTED_PROXIES",
        ],
    ),
    ("Browsers", &["CORS_ALLOWED_ORIGINS", "DOCS"]),
    ("Administration", &["ADMIN_API", "ADMIN_BIND", "ADMIN_FRESH_AUTH", "API_KEY_MAX_LIFETIME"]),
    (
        "Other services and proxies",
        &["PUBLIC_URL", "STATUS_LIST_TTL", "SERVICE_CREDENTIALS", "FORWARD_AUTH_COOKIE"],
    ),
    (
        "Accounts",
        &[
            "EMAIL_VERIFICATION",
            "UNVERIFIED_ACCOUNT_LIFETIME",
            "LOGIN_BY_EMAIL",
            "LOGIN_NOTICES",
            "ACCOUNT_DELETION_GRACE",
        ],
    ),
    (
        "Mail",
        &[
            "SMTP_HOST",
            "SMTP_PORT",
            "SMTP_TLS",
            "SMTP_USERNAME",
            "SMTP_PASSWORD",
            "SMTP_PASSWORD_FILE",
            "SMTP_TIMEOUT",
            "MAIL_FROM",
            "MAIL_TEMPLATES",
            "MAIL_LANGUAGE",
            "LINK_URL",
        ],
    ),
    ("Logs", &["LOG_FORMAT", "LOG_LEVEL"]),
    ("Audit trail", &["AUDIT_CHECKPOINT_INTERVAL", "AUDIT_RETENTION"]),
    (
        "Tuning",
        &[
            "HASH_THREADS",
            "HASH_QUEUE",
            "HASH_MAX_WAIT",
            "WORKER_THREADS",
            "SHUTDOWN_DELAY",
            "COMMIT_BATCH",
            "REVOCATION_BOUND",
            "FEED_MAX_STALENESS",
            "FEED_NOTIFY",
        ],
    ),
];

/// All settings. The environment and `.env` may also name CONFIG_FILE, which says where the TOML file is.
pub(crate) const SETTINGS: &[Setting] = &[
    row(
        "SECRET_KEY",
        Kind::Secret,
        "",
        "The key that signs tokens (HS256), to the letter. At least 32 bytes, random. `dev` makes one of its own \
         when there is none and keeps it in DATA_DIR/dev-secret.",
    ),
    row(
        "SECRET_KEY_FILE",
        Kind::Path,
        "",
        "A file that holds SECRET_KEY, as container platforms hand secrets over. One newline at its end is not part of \
         the key.",
    ),
    row(
        "SECRET_KEY_FALLBACKS",
        Kind::SecretList,
        "",
        "Earlier keys, separated by spaces: they still verify tokens but sign none. For a change of SECRET_KEY that \
         signs nobody out.",
    ),
    row(
        "ALLOW_SHORT_SECRET_KEY",
        Kind::Switch,
        "false",
        "Accepts keys shorter than 32 bytes, for a system that cannot change its key yet. Short keys can be guessed \
         from one token.",
    ),
    row(
        "LEGACY_TOKENS_UNTIL",
        Kind::Deadline,
        "auto",
        "Until when tokens of the replaced service (well signed, without `sid`) are accepted. `auto` is 7 days after \
         the first start on this database; `off` is never.",
    ),
    row(
        "SIGNING_ALG",
        Kind::Choice(&["HS256", "EdDSA", "ES256", "RS256"]),
        "HS256",
        "What signs tokens: `HS256` is SECRET_KEY, which every service that checks tokens must hold. The others are keys that \
         the service makes for itself and whose public parts it publishes at /.well-known/jwks.json; `EdDSA` is the one to \
         choose. SECRET_KEY is then needed only for the way there (docs/bridge.md).",
    ),
    row(
        "KEY_ENCRYPTION_KEY",
        Kind::Secret,
        "",
        "Encrypts the signing keys in the database. At least 32 bytes, random, and no relation of SECRET_KEY. Needed unless \
         SIGNING_ALG is HS256; with HS256 it lets tokens of stored keys be checked. `dev` makes one of its own and keeps it \
         in DATA_DIR/dev-key-encryption-key.",
    ),
    row(
        "KEY_ENCRYPTION_KEY_FILE",
        Kind::Path,
        "",
        "A file that holds KEY_ENCRYPTION_KEY. One newline at its end is not part of the key.",
    ),
    row(
        "KEY_ENCRYPTION_KEY_FALLBACKS",
        Kind::SecretList,
        "",
        "Earlier key-encryption keys, separated by spaces: they still open stored keys, which are sealed under KEY_ENCRYPTION_KEY \
         at the next start.",
    ),
    row(
        "HS256_VERIFY_UNTIL",
        Kind::Deadline,
        "auto",
        "While public keys sign: until when tokens signed with SECRET_KEY or SECRET_KEY_FALLBACKS are accepted. Each is counted \
         in the metrics (`shared_key_tokens`). `auto` is REFRESH_TOKEN_LIFETIME and a day after the first start with public \
         keys: by then the last of them has died. `off` is never, and so it is without SECRET_KEY.",
    ),
    row(
        "TOKEN_PROFILE",
        Kind::Choice(&["simplejwt", "rfc9068"]),
        "simplejwt",
        "How access tokens look under public keys: `simplejwt` has the same claims as under HS256; `rfc9068` adds `sub`, \
         `client_id` and the type `at+jwt`, and needs ISSUER and AUDIENCE. A change refuses the access tokens of before; \
         clients refresh.",
    ),
    row(
        "TOKEN_ROLES",
        Kind::Choice(&["off", "roles", "scope"]),
        "off",
        "What access tokens say of their user: `roles` has `staff`, `superuser` and the names of the user's groups in the claim \
         `roles`; `scope` has the user's permissions in the claim `scope`, separated by spaces. They are as old as the token. More \
         than 50 names, or 2 KiB, are left out with a warning.",
    ),
    row(
        "KEY_ROTATION_INTERVAL",
        duration(Duration::ZERO, days(3650)),
        "90d",
        "How long a key signs before the next one does. `0` is for ever. `bookstore-auth key rotate` rotates at any time.",
    ),
    row(
        "KEY_PUBLISH_AHEAD",
        duration(SECOND, days(30)),
        "1h",
        "How long a key is published before it signs. Others may keep the published keys for 5 minutes, or half of this if that \
         is less.",
    ),
    split(
        "BIND",
        Kind::Address { off: false },
        ("127.0.0.1:8000", "0.0.0.0:8000"),
        "The address and port that answer HTTP. `dev` takes loopback addresses only.",
    ),
    row(
        "METRICS_BIND",
        Kind::Address { off: true },
        "off",
        "The address and port of the Prometheus metrics: a listener of their own, to be kept private.",
    ),
    row(
        "DATABASE_URL",
        Kind::Database,
        "sqlite:${DATA_DIR}/auth.db",
        "The database: `sqlite:` and a path, or `postgres://user:password@host:5432/database` with `?sslmode=` \
         `disable`, `prefer` (the default), `require`, `verify-ca` or `verify-full`, and `sslrootcert=` and a file (or \
         `system`, the default). `prefer` and `require` check no certificate.",
    ),
    row(
        "DATABASE_POOL",
        count(2, 1_000),
        "16",
        "Most connections to a PostgreSQL server, for each replica; two more are used for hearing of changes and for \
         migrations.",
    ),
    row("DATA_DIR", Kind::Path, "data", "The folder of the embedded database and of what `dev` generates."),
    row(
        "MIGRATE",
        Kind::Choice(&["auto", "never"]),
        "auto",
        "`auto` brings the database schema up to date at the start; `never` refuses to start until \
         `bookstore-auth migrate` has done so.",
    ),
    row(
        "ACCESS_TOKEN_LIFETIME",
        duration(SECOND, days(365)),
        "15m",
        "How long an access token is good for. Never longer than its session.",
    ),
    row(
        "REFRESH_TOKEN_LIFETIME",
        duration(SECOND, days(3650)),
        "7d",
        "How long a refresh token is good for: a session that is not refreshed for so long has ended.",
    ),
    row(
        "SESSION_LIFETIME",
        duration(SECOND, days(3650)),
        "30d",
        "How long a login lasts at most, however often it is refreshed.",
    ),
    row(
        "REFRESH_GRACE",
        duration(Duration::ZERO, Duration::from_secs(300)),
        "10s",
        "For how long a refresh token that was just used yields the same successor again (lost answers, two tabs). \
         After it a second use ends the session. `0` turns the grace off.",
    ),
    row("REFRESH_ROTATION", Kind::Switch, "true", "Whether a refresh also replaces the refresh token."),
    row(
        "VERIFY_INVALID_STATUS",
        Kind::Choice(&["400", "401"]),
        "400",
        "The status of POST /verify/ for a token that is not valid: 400 as the API document says, 401 as the \
         replaced service answered.",
    ),
    row(
        "ISSUER",
        Kind::Text,
        "",
        "Written into tokens as `iss`, and demanded of them when set. An address must be https in production.",
    ),
    row(
        "AUDIENCE",
        Kind::Text,
        "",
        "Written into tokens as `aud`, and demanded of them when set. PyJWT refuses a token with `aud` unless told \
         which to expect.",
    ),
    split(
        "PASSWORD_POLICY",
        Kind::Choice(&["full", "length"]),
        ("length", "full"),
        "What new passwords must satisfy: `length`, or `full`: also not similar to the name or address, not a common \
         password, not all digits.",
    ),
    row(
        "PASSWORD_MIN_LENGTH",
        count(1, 128),
        "8",
        "The fewest characters of a new password. 15 is recommended where the password is \
         the only factor.",
    ),
    row(
        "BREACHED_PASSWORDS",
        Kind::Path,
        "",
        "A list of breached passwords that `bookstore-auth breached build` has made. With PASSWORD_POLICY `full` new \
         passwords that are in it are refused.",
    ),
    row(
        "THROTTLE",
        Kind::Switch,
        "on",
        "Whether repeated failures to log in and mass registration are slowed down (429), and mails to an address that nobody has proved \
         are limited.",
    ),
    row(
        "HARD_STOP",
        Kind::Switch,
        "on",
        "Whether a password is taken no more after 100 consecutive failures, until it is set anew. Only with THROTTLE and \
         mail, for accounts that have an address; networks from which the owner has logged in are counted apart.",
    ),
    row(
        "TRUSTED_PROXIES",
        Kind::Networks,
        "none",
        "Addresses and networks of the proxies whose X-Forwarded-For is believed, separated by commas.",
    ),
    split(
        "CORS_ALLOWED_ORIGINS",
        Kind::Origins,
        ("*", "none"),
        "The web origins whose pages may call the service, separated by commas, such as https://shop.example. `*` \
         is any.",
    ),
    split(
        "DOCS",
        Kind::Switch,
        ("on", "off"),
        "Whether /openapi.json and the API documentation at /docs are served.",
    ),
    split(
        "ADMIN_API",
        Kind::Switch,
        ("on", "off"),
        "Whether the routes of administrators, below /admin/api/, are there. They take an account that is staff or superuser, and \
         the permissions of each route.",
    ),
    row(
        "ADMIN_BIND",
        Kind::Address { off: true },
        "off",
        "An address and port for the routes of administrators: a listener of their own, to be kept private, at which all other routes \
         are too, for administrators log in there. At BIND they are not found then.",
    ),
    row(
        "ADMIN_FRESH_AUTH",
        duration(MINUTE, days(30)),
        "1h",
        "Administrators change things within this time of their login; after it they log in again. They read as long as their \
         session lasts.",
    ),
    row(
        "API_KEY_MAX_LIFETIME",
        duration(MINUTE, days(3650)),
        "365d",
        "How long an API key may be good for, from when it is made.",
    ),
    row(
        "PUBLIC_URL",
        Kind::Text,
        "",
        "Where the service is reached from outside, such as https://auth.example. With it and public keys, access tokens say \
         in which status list their session stands, and the lists are published at /status-lists/. An address must be https \
         in production.",
    ),
    row(
        "STATUS_LIST_TTL",
        duration(SECOND, DAY),
        "1m",
        "How long other services may keep a status list: so late they hear that a session has ended.",
    ),
    row(
        "SERVICE_CREDENTIALS",
        Kind::SecretList,
        "",
        "The services that may call /introspect/ and /revoke/: `name:secret`, separated by spaces. Secrets are random and \
         have at least 32 characters.",
    ),
    row(
        "FORWARD_AUTH_COOKIE",
        Kind::Text,
        "",
        "The cookie in which /forward-auth takes an access token where there is no Authorization header. Without it \
         cookies are ignored.",
    ),
    row(
        "EMAIL_VERIFICATION",
        Kind::Choice(&["off", "optional", "required"]),
        "optional",
        "Whether addresses are to be proved by a link: `off` only when a user asks for one, `optional` at registration, `required` \
         so that nobody logs in before; such a login gets the answer to a wrong password.",
    ),
    row(
        "UNVERIFIED_ACCOUNT_LIFETIME",
        Kind::Retention { least: DAY, most: days(365) },
        "7d",
        "With EMAIL_VERIFICATION=required: how long after its registration an account is deleted that registered itself and was neither \
         proved nor used since, also where that was under another setting; `forever` deletes none.",
    ),
    row(
        "LOGIN_BY_EMAIL",
        Kind::Switch,
        "off",
        "Whether a proved address stands for the name of its account at login. A new name with @ must then be the account's own \
         address.",
    ),
    row(
        "LOGIN_NOTICES",
        Kind::Switch,
        "on",
        "Whether users with a proved address get a mail about a login by a program (User-Agent) that was not seen lately.",
    ),
    row(
        "ACCOUNT_DELETION_GRACE",
        duration(Duration::ZERO, days(365)),
        "7d",
        "How long an account that its owner has closed can be opened again, by the link in a mail or by `user enable`, before it is \
         deleted.",
    ),
    row(
        "SMTP_HOST",
        Kind::Text,
        "",
        "The mail server, by the name in its certificate. Without it no mail is sent, and what needs mail is off; `dev` then \
         prints mails and keeps them in DATA_DIR/outbox.",
    ),
    row("SMTP_PORT", count(1, 65_535), "587", "Its port: usually 587 for `starttls` and 465 for `tls`."),
    row(
        "SMTP_TLS",
        Kind::Choice(&["starttls", "tls", "off"]),
        "starttls",
        "How the connection to the mail server is protected: `starttls` or `tls` from the first byte, and never otherwise. `off` \
         is for a server on this machine.",
    ),
    row("SMTP_USERNAME", Kind::Text, "", "The name that the mail server wants, if it wants one."),
    row("SMTP_PASSWORD", Kind::Secret, "", "The password of SMTP_USERNAME, to the letter."),
    row(
        "SMTP_PASSWORD_FILE",
        Kind::Path,
        "",
        "A file that holds SMTP_PASSWORD. One newline at its end is not part of the password.",
    ),
    row(
        "SMTP_TIMEOUT",
        duration(SECOND, Duration::from_secs(300)),
        "30s",
        "How long one delivery may take. After twice this time another replica may send a mail that this one had begun with.",
    ),
    split(
        "MAIL_FROM",
        Kind::Text,
        ("bookstore-auth <no-reply@localhost>", ""),
        "The address that mails come from, such as `Shop <no-reply@shop.example>`.",
    ),
    row(
        "MAIL_TEMPLATES",
        Kind::Path,
        "",
        "A folder of texts that take the place of the built-in ones: `en/reset_password.txt`, `en/reset_password.html` and so \
         on; a folder for each language.",
    ),
    row("MAIL_LANGUAGE", Kind::Text, "en", "The language of mails: the name of a folder of texts."),
    row(
        "LINK_URL",
        Kind::Text,
        "",
        "Where the pages are that links in mails lead to, such as https://shop.example/account: /verify-email, /change-email, \
         /reset-password and /keep-account below it, with `#token=..` behind. PUBLIC_URL when not set. Request headers never count.",
    ),
    row(
        "LOG_FORMAT",
        Kind::Choice(&["text", "json"]),
        "text",
        "How log lines are written (on standard error).",
    ),
    row(
        "LOG_LEVEL",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        "info",
        "The least important log lines that are written.",
    ),
    row("HASH_THREADS", cores(256), "cores", "Threads that hash passwords. Each keeps 19 MiB of memory."),
    row(
        "HASH_QUEUE",
        count(1, 100_000),
        "256",
        "How many passwords may wait to be hashed; beyond it the answer is 503.",
    ),
    row(
        "HASH_MAX_WAIT",
        duration(Duration::from_millis(10), MINUTE),
        "5s",
        "How long a password may wait to be hashed; beyond it the answer is 503.",
    ),
    row("WORKER_THREADS", cores(256), "cores", "Threads that serve the network."),
    row(
        "SHUTDOWN_DELAY",
        duration(Duration::ZERO, HOUR),
        "0s",
        "How long the service answers on after SIGTERM, with /readyz at 503, so that a proxy has sent it no more requests \
         when it stops. A little more than the proxy's health check interval.",
    ),
    row(
        "COMMIT_BATCH",
        count(1, 10_000),
        "256",
        "How many transactions may share one flush to the disk. `1` flushes each by itself. Nothing is acknowledged \
         before it is flushed, whatever the number.",
    ),
    row(
        "REVOCATION_BOUND",
        duration(Duration::from_millis(50), HOUR),
        "1s",
        "How soon a running server has learned of sessions ended and users disabled by another process.",
    ),
    row(
        "FEED_MAX_STALENESS",
        duration(SECOND, HOUR),
        "60s",
        "When what a server knows of ended sessions is older than this, it answers 503 rather than guess whether an access token \
         is good: at /verify/, introspection, forward-auth, and wherever a user is asked for.",
    ),
    row(
        "FEED_NOTIFY",
        Kind::Switch,
        "on",
        "Whether replicas on PostgreSQL tell each other of changes at once (LISTEN and NOTIFY). Without it they look \
         three times within REVOCATION_BOUND, as they do in any case.",
    ),
    row(
        "AUDIT_CHECKPOINT_INTERVAL",
        duration(SECOND, days(31)),
        "1h",
        "How often the state of the audit trail is signed and logged (`audit_checkpoint`), if anything has happened. What is cut off \
         behind the last checkpoint that you keep elsewhere cannot be noticed.",
    ),
    row(
        "AUDIT_RETENTION",
        Kind::Retention { least: DAY, most: days(36_500) },
        "365d",
        "How long the audit trail is kept; `forever` removes nothing. What is left still verifies.",
    ),
];
