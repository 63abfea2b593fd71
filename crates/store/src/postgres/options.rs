//! What a `postgres://` address says.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// Names that may follow the `?` of an address and that the driver understands; `sslmode` and `sslrootcert` are ours.
const PARAMETERS: [&str; 9] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "host",
    "hostaddr",
    "load_balance_hosts",
    "options",
    "port",
    "dbname",
];

/// Where a PostgreSQL database is and how it is used. Neither Debug nor Display shows the password.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Most connections at the same time.
    pub pool: usize,
    pub(super) config: Config,
    pub(super) trust: Trust,
}

/// What is asked of the server's certificate (libpq's sslmode).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// `disable`: no TLS.
    NoTls,
    /// `prefer` and `require`: nothing; who stands between us and the server reads along.
    Anything,
    /// `verify-ca`: signed by one of these authorities, for whatever name.
    Signed(Roots),
    /// `verify-full`: signed, and for the host that we connect to.
    SignedForHost(Roots),
}

/// Whose signature counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// The authorities that this system trusts.
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

impl std::fmt::Display for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts: Vec<String> = self.config.get_hosts().iter().map(show_host).collect();
        let ports: Vec<String> = self.config.get_ports().iter().map(u16::to_string).collect();
        let ports = if ports.is_empty() { String::new() } else { format!(":{}", ports.join(",")) };
        let (user, name) =
            (self.config.get_user().unwrap_or_default(), self.config.get_dbname().unwrap_or_default());
        write!(f, "postgres://{user}@{}{ports}/{name}", hosts.join(","))
    }
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresOptions({self}, pool {}, {:?})", self.pool, self.trust)
    }
}

fn show_host(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    }
}

impl PostgresOptions {
    /// Reads `postgres://user:password@host:port/database?sslmode=verify-full`; the pool has 16 connections.
    ///
    /// # Errors
    /// What is wrong, to follow "it"; never with a part that may be a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut root, mut others) = (None, None, Vec::new());
        for item in query.split('&').filter(|item| !item.is_empty()) {
            match item.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => root = Some(decoded(value)?),
                Some((name, _)) if PARAMETERS.contains(&name) => others.push(item),
                Some((name, _)) => return Err(unknown(name)),
                None => return Err("has a part after its ? that is not name=value".to_owned()),
            }
        }
        let mut config = Config::from_str(&format!("{address}?{}", others.join("&")))
            .map_err(|_| "is not postgres://user:password@host:port/database".to_owned())?;
        require(&config)?;
        let (ssl, trust) = trust(mode.unwrap_or("prefer"), root)?;
        config.ssl_mode(ssl);
        settle(&mut config);
        Ok(Self { pool: 16, config, trust })
    }

    /// Whether the way to the server leaves this machine without its certificate being checked.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        let local = |host: &Host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => {
                name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
            }
        };
        matches!(self.trust, Trust::NoTls | Trust::Anything) && !self.config.get_hosts().iter().all(local)
    }
}

/// Only what looks like a name is shown: an unescaped `?` in a password ends up here.
fn unknown(name: &str) -> String {
    if name.len() <= 30 && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_') && name != "password" {
        return format!("has the parameter {name}, which is not known");
    }
    "has a parameter that is not known (characters such as ? and @ in a password are written as %3F and %40)"
        .to_owned()
}

fn require(config: &Config) -> Result<(), String> {
    let missing = [
        (config.get_hosts().is_empty(), "a host"),
        (config.get_user().is_none(), "a user"),
        (config.get_dbname().is_none_or(str::is_empty), "a database"),
    ];
    match missing.iter().find(|(missing, _)| *missing) {
        Some((_, what)) => Err(format!("does not name {what}")),
        None => Ok(()),
    }
}

fn trust(mode: &str, root: Option<String>) -> Result<(SslMode, Trust), String> {
    let verifies = mode.starts_with("verify-");
    if root.is_some() && !verifies {
        return Err(format!(
            "has sslrootcert, but sslmode={mode} checks no certificate: use sslmode=verify-full"
        ));
    }
    let roots = match root.as_deref() {
        None | Some("system") => Roots::System,
        Some(path) => Roots::File(path.into()),
    };
    Ok(match mode {
        "disable" => (SslMode::Disable, Trust::NoTls),
        "prefer" => (SslMode::Prefer, Trust::Anything),
        "require" => (SslMode::Require, Trust::Anything),
        // Any certificate of any public authority would do: that is no check.
        "verify-ca" if roots == Roots::System => {
            return Err(
                "has sslmode=verify-ca without the file of an authority: name it in sslrootcert, or use \
                sslmode=verify-full"
                    .to_owned(),
            );
        }
        "verify-ca" => (SslMode::Require, Trust::Signed(roots)),
        "verify-full" => (SslMode::Require, Trust::SignedForHost(roots)),
        _ => {
            return Err(
                "has an sslmode that is not disable, prefer, require, verify-ca or verify-full".to_owned()
            );
        }
    })
}

/// What holds for every connection: a server that is gone is noticed, and one that cannot be written to is no server.
fn settle(config: &mut Config) {
    if config.get_application_name().is_none() {
        config.application_name("bookstore-auth");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(3));
    }
    config
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(15))
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
}

/// A value with its `%41` read.
fn decoded(text: &str) -> Result<String, String> {
    let fault = || "has a % that begins no character".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = after.get(..2).and_then(|digits| str::from_utf8(digits).ok()).ok_or_else(fault)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| fault())?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| fault())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust_of(query: &str) -> Trust {
        PostgresOptions::parse(&format!("postgres://ann:pw@db.example/auth{query}")).unwrap().trust
    }

    #[test]
    fn sslmode_means_what_libpq_means() {
        assert_eq!(trust_of(""), Trust::Anything);
        assert_eq!(trust_of("?sslmode=disable"), Trust::NoTls);
        assert_eq!(trust_of("?sslmode=require"), Trust::Anything);
        assert_eq!(trust_of("?sslmode=verify-full"), Trust::SignedForHost(Roots::System));
        let file = Roots::File("/etc/my ca.pem".into());
        assert_eq!(
            trust_of("?sslmode=verify-full&sslrootcert=/etc/my%20ca.pem"),
            Trust::SignedForHost(file.clone())
        );
        assert_eq!(trust_of("?sslrootcert=/etc/my%20ca.pem&sslmode=verify-ca"), Trust::Signed(file));
    }

    #[test]
    fn what_is_wrong_is_said_and_a_password_never_is() {
        for (url, reason) in [
            ("postgres://ann:CANARY@db/auth?sslmode=allow", "sslmode"),
            ("postgres://ann:CANARY@db/auth?sslmode=require&sslrootcert=/x", "checks no certificate"),
            ("postgres://ann:CANARY@db/auth?sslmode=verify-ca", "sslrootcert"),
            ("postgres://ann:CANARY@db/auth?pool=3", "the parameter pool"),
            ("postgres://ann:CANARY@db/auth?password=CANARY", "not known"),
            ("postgres://ann:a?CANARY@db/auth", "not name=value"),
            ("postgres://ann:a?CANARY=@db/auth", "%3F"),
            ("postgres://ann:CANARY@db/auth?sslmode", "not name=value"),
            ("postgres://ann:CANARY@db:port/auth", "is not postgres://"),
            ("postgres://ann:CANARY@db/", "a database"),
            ("postgres://db/auth", "a user"),
            ("postgres://ann:CANARY@/auth", "a host"),
            ("postgres://ann@db/auth?sslmode=verify-full&sslrootcert=%zz", "%"),
        ] {
            let fault = PostgresOptions::parse(url).err().unwrap_or_else(|| panic!("{url} is taken"));
            assert!(fault.contains(reason), "{url}: {fault}");
            assert!(!fault.contains("CANARY"), "{fault}");
        }
    }

    // KY-01
    #[test]
    fn shown_without_the_password() {
        let options = PostgresOptions::parse("postgres://ann:CANARY@db:6432/auth?sslmode=require").unwrap();
        assert_eq!(options.to_string(), "postgres://ann@db:6432/auth");
        assert!(!format!("{options:?}").contains("CANARY"));
        let socket = PostgresOptions::parse("postgres://ann@/auth?host=/run/postgresql").unwrap();
        assert_eq!(socket.to_string(), "postgres://ann@/run/postgresql/auth");
    }

    #[test]
    fn the_way_to_another_machine_is_verified_or_not() {
        let unverified = |url: &str| PostgresOptions::parse(url).unwrap().is_unverified();
        for url in [
            "postgres://a@db/x",
            "postgres://a@db/x?sslmode=require",
            "postgres://a@10.0.0.7/x?sslmode=disable",
        ] {
            assert!(unverified(url), "{url}");
        }
        for url in [
            "postgres://a@db/x?sslmode=verify-full",
            "postgres://a@127.0.0.1/x",
            "postgres://a@localhost/x?sslmode=disable",
            "postgres://a@/x?host=/run/postgresql",
        ] {
            assert!(!unverified(url), "{url}");
        }
    }
}
