//! From the text of a setting to its value. Each function says what is wrong; the mending advice is `expected`'s.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::time::Timestamp;
use ipnet::IpNet;
use store::PostgresOptions;

use super::duration;
use super::table::Kind;

/// What is wrong with a text, to follow "NAME is \"text\": it ".
pub(crate) type Fault = String;

/// Which web origins may call the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origins {
    /// Any.
    Any,
    /// These, in lower case.
    List(Vec<String>),
}

/// Until when tokens of the replaced service are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// The product's own rule.
    Auto,
    /// Never.
    Off,
    /// Until then.
    At(Timestamp),
}

/// How to write a value of this kind.
pub(crate) fn expected(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Secret => "write a text.".to_owned(),
        Kind::SecretList => "write keys separated by spaces.".to_owned(),
        Kind::Path => "write a path.".to_owned(),
        Kind::Address { off: false } => {
            "write an address and a port, such as 127.0.0.1:8000 or [::1]:8000.".to_owned()
        }
        Kind::Address { off: true } => {
            "write an address and a port, such as 127.0.0.1:9000, or off.".to_owned()
        }
        Kind::Database => "write sqlite: and a path, such as sqlite:data/auth.db, or \
             postgres://user:password@host:5432/database?sslmode=verify-full."
            .to_owned(),
        Kind::Duration { least, most } => format!(
            "write a duration from {} to {}, such as 15m, 7d, 10s or 500ms.",
            duration::show(least),
            duration::show(most)
        ),
        Kind::Retention { least, most } => format!(
            "write a duration from {} to {}, such as 90d, or forever.",
            duration::show(least),
            duration::show(most)
        ),
        Kind::Count { least, most, cores } => {
            format!("write a whole number from {least} to {most}{}.", if cores { ", or cores" } else { "" })
        }
        Kind::Switch => "write on or off (or true or false).".to_owned(),
        Kind::Choice(words) => format!("write {}.", words.join(" or ")),
        Kind::Origins => {
            "write origins such as https://shop.example, separated by commas, or none.".to_owned()
        }
        Kind::Networks => {
            "write addresses or networks such as 10.0.0.5 or 10.0.0.0/8, separated by commas, or none."
                .to_owned()
        }
        Kind::Deadline => {
            "write a date such as 2030-12-31, a UTC time such as 2030-12-31T12:00:00Z, auto or off."
                .to_owned()
        }
    }
}

/// `address:port`; `localhost` is 127.0.0.1.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Fault> {
    if let Some(port) = text.strip_prefix("localhost:") {
        let port = port.parse().map_err(|_| "has no valid port".to_owned())?;
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| "is not an address and a port".to_owned())
}

/// Where the data is.
#[derive(Clone, Debug)]
pub(crate) enum Database {
    /// In a file here.
    File(PathBuf),
    /// On a PostgreSQL server.
    Postgres(Box<PostgresOptions>),
}

impl Database {
    /// The file, where it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

impl std::fmt::Display for Database {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(options) => options.fmt(f),
        }
    }
}

/// `sqlite:path` or `postgres://...`.
pub(crate) fn database(text: &str) -> Result<Database, Fault> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return PostgresOptions::parse(text).map(|options| Database::Postgres(Box::new(options)));
    }
    let Some(path) = text.strip_prefix("sqlite:") else {
        return Err("does not begin with sqlite: or postgres://".to_owned());
    };
    if path.starts_with("//") {
        return Err(
            "begins with sqlite://, which some programs read as a relative and some as an absolute path"
                .to_owned(),
        );
    }
    if path.is_empty() || path == ":memory:" || path.contains('?') {
        return Err("does not name a file".to_owned());
    }
    Ok(Database::File(PathBuf::from(path)))
}

/// A duration within its bounds.
pub(crate) fn bounded_duration(text: &str, least: Duration, most: Duration) -> Result<Duration, Fault> {
    let value = duration::parse(text).map_err(str::to_owned)?;
    if value < least {
        return Err("is too short".to_owned());
    }
    if value > most {
        return Err("is too long".to_owned());
    }
    Ok(value)
}

/// A whole number within its bounds.
pub(crate) fn count(text: &str, least: usize, most: usize, cores: bool) -> Result<usize, Fault> {
    if cores && text == "cores" {
        return Ok(std::thread::available_parallelism().map_or(1, NonZero::get).clamp(least, most));
    }
    let value: usize = text.parse().map_err(|_| "is not a whole number".to_owned())?;
    if value < least {
        return Err("is too small".to_owned());
    }
    if value > most {
        return Err("is too large".to_owned());
    }
    Ok(value)
}

/// On or off.
pub(crate) fn switch(text: &str) -> Result<bool, Fault> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err("is neither on nor off".to_owned()),
    }
}

/// One of the words, as the table writes it.
pub(crate) fn choice(text: &str, words: &'static [&'static str]) -> Result<&'static str, Fault> {
    words
        .iter()
        .copied()
        .find(|word| word.eq_ignore_ascii_case(text))
        .ok_or_else(|| "is none of the words it may be".to_owned())
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t', '\n']).map(str::trim).filter(|item| !item.is_empty())
}

/// Web origins (RFC 6454 section 6.2), in lower case.
pub(crate) fn origins(text: &str) -> Result<Origins, Fault> {
    match text {
        "*" => return Ok(Origins::Any),
        "none" => return Ok(Origins::List(Vec::new())),
        _ => {}
    }
    items(text).map(origin).collect::<Result<_, _>>().map(Origins::List)
}

fn origin(item: &str) -> Result<String, Fault> {
    let lower = item.to_ascii_lowercase();
    let Some(host) = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")) else {
        return Err(format!("holds {item:?}, which does not begin with https:// or http://"));
    };
    if host.ends_with('/') {
        return Err(format!("holds {item:?}: an origin has no slash at its end"));
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let name_is_good = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
        }
    };
    if !name_is_good || port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(format!("holds {item:?}, which is not a scheme, a host and perhaps a port"));
    }
    let default_port = if lower.starts_with("https:") { "443" } else { "80" };
    Ok(match port {
        Some(port) if port == default_port => lower.trim_end_matches(&format!(":{default_port}")).to_owned(),
        _ => lower,
    })
}

/// Addresses and networks.
pub(crate) fn networks(text: &str) -> Result<Vec<IpNet>, Fault> {
    if text == "none" {
        return Ok(Vec::new());
    }
    items(text)
        .map(|item| {
            let network = match item.parse::<IpAddr>() {
                Ok(address) => IpNet::from(address),
                Err(_) => {
                    item.parse().map_err(|_| format!("holds {item:?}, which is no address or network"))?
                }
            };
            if network.prefix_len() == 0 {
                return Err(format!("holds {item:?}: anybody could then say which address he comes from"));
            }
            Ok(network)
        })
        .collect()
}

/// A date or a time in UTC.
pub(crate) fn deadline(text: &str) -> Result<Deadline, Fault> {
    match text {
        "auto" => return Ok(Deadline::Auto),
        "off" => return Ok(Deadline::Off),
        _ => {}
    }
    // A date alone is its first moment; a time without a zone would be a guess.
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time: jiff::Timestamp = whole.parse().map_err(|_| "is not a date or a UTC time".to_owned())?;
    Ok(Deadline::At(Timestamp::from_micros(time.as_microsecond())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(address("localhost:80").unwrap().to_string(), "127.0.0.1:80");
        assert_eq!(address("[::1]:80").unwrap().to_string(), "[::1]:80");
        for bad in ["8000", "127.0.0.1", "example.org:80", "127.0.0.1:70000", "localhost:", ":80"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn databases() {
        let file = |text| database(text).unwrap().file().map(Path::to_owned);
        assert_eq!(file("sqlite:data/auth.db"), Some(PathBuf::from("data/auth.db")));
        assert_eq!(file("sqlite:/var/a.db"), Some(PathBuf::from("/var/a.db")));
        assert_eq!(file("postgresql://u:p@h/d?sslmode=verify-full"), None);
        for bad in [
            "data/auth.db",
            "sqlite:",
            "sqlite:///a.db",
            "sqlite::memory:",
            "postgres://u:p@h",
            "postgres://u:p@h/d?sslmode=yes",
            "mysql://h/d",
        ] {
            assert!(database(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_know_their_bounds() {
        assert_eq!(count("8", 1, 10, false), Ok(8));
        assert!(count("cores", 1, 256, true).unwrap() >= 1);
        for bad in ["0", "11", "-1", "1.5", "", "cores"] {
            assert!(count(bad, 1, 10, false).is_err(), "{bad}");
        }
    }

    // HB-03: exact origins, never `null`.
    #[test]
    fn origins_are_exact() {
        assert_eq!(
            origins("https://Shop.example, http://localhost:3000,https://a.example:443"),
            Ok(Origins::List(vec![
                "https://shop.example".into(),
                "http://localhost:3000".into(),
                "https://a.example".into()
            ]))
        );
        assert_eq!(origins("*"), Ok(Origins::Any));
        assert_eq!(origins("none"), Ok(Origins::List(vec![])));
        for bad in [
            "null",
            "shop.example",
            "https://",
            "https://a/",
            "https://a/b",
            "https://u@a",
            "https://*.a",
            "ftp://a",
            "https://a:99999",
            "https://a, *",
        ] {
            assert!(origins(bad).is_err(), "{bad}");
        }
    }

    // LG-07: a proxy list that trusts everybody is none.
    #[test]
    fn networks_are_explicit() {
        assert_eq!(networks("10.0.0.5, fd00::/8").unwrap().len(), 2);
        for bad in ["0.0.0.0/0", "::/0", "10.0.0.0/33", "proxy.local"] {
            assert!(networks(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn deadlines_are_utc() {
        let at = |seconds| Ok(Deadline::At(Timestamp::from_seconds(seconds)));
        assert_eq!(deadline("1970-01-02"), at(86_400));
        assert_eq!(deadline("1970-01-01T00:00:10Z"), at(10));
        assert_eq!(deadline("auto"), Ok(Deadline::Auto));
        assert_eq!(deadline("off"), Ok(Deadline::Off));
        for bad in ["tomorrow", "2030-13-01", "12", "2030-01-01T00:00:00"] {
            assert!(deadline(bad).is_err(), "{bad}");
        }
    }
}
