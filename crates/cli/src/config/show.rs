//! Settings made visible: `config`, its documentation page, and the list in `--help`. Secrets are never among them.

use std::fmt::Write;

use super::Mode;
use super::sources::Sources;
use super::table::{GROUPS, Kind, SETTINGS, Setting, find};

/// A value as it may be shown: secrets and the password in a database address are masked, control characters escaped.
pub(crate) fn shown(setting: &Setting, text: &str) -> String {
    if setting.is_secret() {
        return if text.is_empty() { String::new() } else { format!("******** ({} bytes)", text.len()) };
    }
    let text = match setting.kind {
        Kind::Database => without_password(text),
        _ => text.to_owned(),
    };
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_debug().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

/// `scheme://user:password@host` without the password.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return text.to_owned() };
    let name = user.split(':').next().unwrap_or_default();
    // Some programs take a password after the `?`. We refuse it, and do not show it either.
    let host = match host.split_once("password=") {
        Some((start, _)) => format!("{start}password=********"),
        None => host.to_owned(),
    };
    if !user.contains(':') {
        return format!("{scheme}://{name}@{host}");
    }
    format!("{scheme}://{name}:********@{host}")
}

/// All settings in force, each with where it comes from.
pub(crate) fn in_force(sources: &Sources, mode: Mode) -> String {
    let data_dir =
        find("DATA_DIR").map(|setting| sources.get(setting, mode).0.to_owned()).unwrap_or_default();
    let rows: Vec<[String; 3]> = SETTINGS
        .iter()
        .map(|setting| {
            let (text, source) = sources.get(setting, mode);
            let value = shown(setting, text).replace("${DATA_DIR}", &data_dir);
            let value = match (value.is_empty(), setting.name, mode) {
                (true, "SECRET_KEY", Mode::Dev) => "(made by dev)".to_owned(),
                (true, ..) => "(not set)".to_owned(),
                _ => value,
            };
            [setting.name.to_owned(), value, source.to_string()]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let mut out = String::new();
    for [name, value, source] in &rows {
        _ = writeln!(out, "{name:first$}  {value:second$}  {source}");
    }
    out
}

/// The settings and their defaults, for `--help`.
pub(crate) fn help(mode: Mode) -> String {
    let mut out = String::from(
        "Settings (environment, .env or --config file; `bookstore-auth config` shows what is in force):\n",
    );
    for setting in SETTINGS {
        let default = setting.default_in(mode);
        let default = if default.is_empty() { String::new() } else { format!(" [default: {default}]") };
        _ = write!(out, "\n  {}{default}\n      {}\n", setting.name, setting.help);
    }
    out
}

/// docs/configuration.md.
pub(crate) fn markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    for (title, names) in GROUPS {
        _ = write!(out, "\n## {title}\n\n| setting | values | default | what it does |\n|---|---|---|---|\n");
        for setting in names.iter().filter_map(|name| find(name)) {
            let default = match (setting.dev, setting.serve) {
                ("", "") => "not set".to_owned(),
                (dev, serve) if dev == serve => format!("`{dev}`"),
                (dev, serve) => format!("`{dev}` in dev, `{serve}` in serve"),
            };
            _ = writeln!(
                out,
                "| `{}` | {} | {default} | {} |",
                setting.name,
                values(setting.kind),
                setting.help
            );
        }
    }
    out.push_str(CHECKS);
    out
}

fn values(kind: Kind) -> String {
    use super::duration::show;
    match kind {
        Kind::Text => "a text".to_owned(),
        Kind::Secret => "a secret".to_owned(),
        Kind::SecretList => "secrets, separated by spaces".to_owned(),
        Kind::Path => "a path".to_owned(),
        Kind::Address { off: false } => "`address:port`".to_owned(),
        Kind::Address { off: true } => "`address:port` or `off`".to_owned(),
        Kind::Database => "`sqlite:path` or `postgres://...`".to_owned(),
        Kind::Duration { least, most } => format!("a duration, {} to {}", show(least), show(most)),
        Kind::Retention { least, most } => {
            format!("a duration, {} to {}, or `forever`", show(least), show(most))
        }
        Kind::Count { least, most, cores: false } => format!("{least} to {most}"),
        Kind::Count { least, most, cores: true } => format!("{least} to {most}, or `cores`"),
        Kind::Switch => "`on` or `off`".to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
        Kind::Origins => "origins, separated by commas, or `none`".to_owned(),
        Kind::Networks => "addresses and networks, separated by commas, or `none`".to_owned(),
        Kind::Deadline => "a date, a UTC time, `auto` or `off`".to_owned(),
    }
}

const INTRODUCTION: &str = "\
# Configuration

This page is made from the code (`bookstore-auth config --markdown`); a test keeps the two the same.

`bookstore-auth dev` needs no configuration. `bookstore-auth serve` needs a `SECRET_KEY`, or a `KEY_ENCRYPTION_KEY` where public keys
sign (`SIGNING_ALG`). Before it starts it checks everything
and lists every problem at once, each with how to mend it. `bookstore-auth config` prints what is in force and where each value
comes from, with secrets masked; `bookstore-auth config --mode dev` does so for the development mode.

## Where settings come from

The first of these that has a value wins:

1. the **environment**;
2. **`.env`** in the working folder;
3. a **TOML file**, named by `--config FILE` or by `CONFIG_FILE` (environment or `.env`);
4. the **default**.

An empty value counts as not set. Names that are no settings are left alone in the environment, named in one warning line when
they stand in `.env` (it may be shared with other programs), and refused in the TOML file.

`.env` is read literally: a line is `NAME=value`. Nothing is interpolated (`$` stays `$`), a `#` inside a line begins no comment,
and a backslash means nothing. A value that stands wholly in matching quotes loses them. `export ` before the name is allowed.
Of a name that comes twice the last value counts.

In the TOML file the names are in lower case; numbers, `true`/`false` and lists may be written as such:

```toml
bind = \"0.0.0.0:8000\"
secret_key_file = \"/run/secrets/secret_key\"
access_token_lifetime = \"15m\"
cors_allowed_origins = [\"https://shop.example\"]
throttle = true
```

Durations are a number and a unit (`ms`, `s`, `m`, `h`, `d`), or several: `15m`, `7d`, `10s`, `500ms`, `1h30m`. A number without
a unit is refused, except `0`.
";

const CHECKS: &str = "
## What `serve` refuses

* a missing `SECRET_KEY`; one shorter than 32 bytes (unless `ALLOW_SHORT_SECRET_KEY=true`); an example, a repetition or another
  pattern; one that `dev` has made; the same for each of `SECRET_KEY_FALLBACKS`;
* `SECRET_KEY` and `SECRET_KEY_FILE` together, and `SECRET_KEY` among its own fallbacks;
* with public keys: a missing `KEY_ENCRYPTION_KEY`; one shorter than 32 bytes, an example, or made by `dev`; one that is, contains or
  is made from `SECRET_KEY` or one of its fallbacks; one that does not open the keys in the database;
* `TOKEN_PROFILE=rfc9068` without public keys, `ISSUER` or `AUDIENCE`; a `KEY_PUBLISH_AHEAD` above `KEY_ROTATION_INTERVAL`;
* an `ISSUER` that is an address but not https; `TRUSTED_PROXIES` that trust everybody; metrics on the address of the service itself;
* lifetimes that contradict each other: an access or refresh token that outlives its session, a `REVOCATION_BOUND` above
  `FEED_MAX_STALENESS`;
* a database made by `dev`, unless told `--adopt-dev-database`;
* a PostgreSQL server behind a pooler in transaction or statement mode (PgBouncer: use `pool_mode = session`), or with a database
  that is not in UTF-8.

It warns of `CORS_ALLOWED_ORIGINS=*`, of a `PASSWORD_MIN_LENGTH` below 8, of a `DATABASE_URL` to another machine without
`sslmode=verify-full` or `verify-ca`, and of a key that begins with `django-insecure-`: a system that is
being moved may still depend on them.

`dev` refuses addresses other than loopback, and a database of production.

## Changing SECRET_KEY

1. With several replicas: put the new key into `SECRET_KEY_FALLBACKS` of all of them and restart one after another. Now every
   replica takes tokens of both.
2. Put the new key into `SECRET_KEY` and the old one into `SECRET_KEY_FALLBACKS`; restart. New tokens are signed with the new
   key, old ones still verify here. Services that check tokens by themselves must know the new key before this step.
3. When the last old token has expired (`REFRESH_TOKEN_LIFETIME`), empty `SECRET_KEY_FALLBACKS` and restart.

## Public keys

With `SIGNING_ALG` other than `HS256` the service makes its keys at the first start and changes them every
`KEY_ROTATION_INTERVAL`; every replica follows within `REVOCATION_BOUND`. A key is published `KEY_PUBLISH_AHEAD` before it signs,
and stays published until the last token that it signed has died. [bridge.md](bridge.md) is the way there from a shared secret.

* `bookstore-auth key list` shows the keys; `bookstore-auth key rotate` publishes the next ones now.
* `bookstore-auth key drop KID` is for emergencies: what that key signed is refused at once, and another key signs. Services that
  check tokens by themselves follow when they read the keys again, within 5 minutes. `--all` also ends the keys of refresh
  tokens: everybody must log in again.
* Refresh tokens are signed with a key that is never published: only this service can check them.
* The keys lie in the database, encrypted with `KEY_ENCRYPTION_KEY`. A backup of the database does not hold that one: keep it as safe, in
  another place. When it is lost: `key drop --all` with a new one; everybody logs in again.

To change `KEY_ENCRYPTION_KEY` while replicas run:

1. Put the new one into `KEY_ENCRYPTION_KEY_FALLBACKS` of every replica; restart them one after another.
2. Swap: the new one becomes `KEY_ENCRYPTION_KEY`, the old one goes to the fallbacks; restart them one after another. The keys are
   sealed anew.
3. Empty `KEY_ENCRYPTION_KEY_FALLBACKS`. Old backups do not need the old one: `restore` removes the signing keys.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_in_one_group() {
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        for setting in SETTINGS {
            assert_eq!(grouped.iter().filter(|name| **name == setting.name).count(), 1, "{}", setting.name);
        }
        assert_eq!(grouped.len(), SETTINGS.len());
    }

    // KY-01
    #[test]
    fn passwords_in_addresses_and_secrets_are_masked() {
        let database = find("DATABASE_URL").unwrap();
        assert_eq!(shown(database, "postgres://ann:pw@x@db/auth"), "postgres://ann:********@db/auth");
        assert_eq!(shown(database, "sqlite:data/a.db"), "sqlite:data/a.db");
        assert_eq!(shown(database, "postgres://ann@db/auth"), "postgres://ann@db/auth");
        assert_eq!(
            shown(database, "postgres://ann@db/a?password=pw&x=y"),
            "postgres://ann@db/a?password=********"
        );
        assert_eq!(shown(find("SECRET_KEY").unwrap(), "abc"), "******** (3 bytes)");
        assert_eq!(shown(find("ISSUER").unwrap(), "a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
    }

    #[test]
    fn documentation_is_the_codes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let stored = std::fs::read_to_string(path).unwrap();
        assert!(
            stored == markdown(),
            "run `cargo run -p bookstore-auth -- config --markdown > docs/configuration.md`"
        );
    }
}
