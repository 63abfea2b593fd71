//! Our own TOML file: one `name = value` a setting. A key that is no setting is an error, so that a slip of the pen
//! never leaves a default in force unnoticed.

use std::collections::BTreeMap;
use std::path::Path;

use super::problem::{Problem, nearest};
use super::table::{Kind, SETTINGS, Setting};

/// Reads the file's text into one text a setting.
pub(crate) fn parse(path: &Path, text: &str, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, String> {
    let mut values = BTreeMap::new();
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            problems.push(broken(path, text, &error));
            return values;
        }
    };
    for (key, value) in table {
        let name = key.to_ascii_uppercase();
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            problems.push(unknown(path, &key));
            continue;
        };
        match as_text(setting, &value) {
            Some(text) if text.is_empty() => {}
            Some(_) if values.contains_key(setting.name) => problems.push(Problem::new(
                format!("{} sets {} twice.", path.display(), setting.name),
                "keep one of them, in lower case.",
            )),
            Some(text) => _ = values.insert(setting.name, text),
            None => problems.push(Problem::new(
                format!("{} of {} is {}.", key, path.display(), a_type(&value)),
                "write it as a text in quotes.",
            )),
        }
    }
    values
}

/// Names the line; never quotes it, it may hold a secret.
fn broken(path: &Path, text: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
    let place = line.map(|line| format!("line {line} of ")).unwrap_or_default();
    Problem::new(
        format!("{place}{} is not valid TOML: {}.", path.display(), error.message().replace('\n', "; ")),
        "correct that line; texts stand in quotes.",
    )
}

fn unknown(path: &Path, key: &str) -> Problem {
    let known = SETTINGS.iter().map(|setting| setting.name);
    let mend = match nearest(key, known) {
        Some(name) => format!("did you mean {}? Otherwise remove the line.", name.to_ascii_lowercase()),
        None => "remove it; `bookstore-auth config` lists all settings.".to_owned(),
    };
    Problem::new(format!("{} has a key that is no setting: {}.", path.display(), key.escape_debug()), mend)
}

/// The text that the environment would hold for this value.
fn as_text(setting: &Setting, value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Datetime(time) => Some(time.to_string()),
        toml::Value::Array(items) => {
            let separator = match setting.kind {
                Kind::SecretList => " ",
                Kind::Origins | Kind::Networks => ",",
                _ => return None,
            };
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(separator))
        }
        toml::Value::Float(_) | toml::Value::Table(_) => None,
    }
}

fn a_type(value: &toml::Value) -> &'static str {
    match value {
        toml::Value::Float(_) => "a fraction",
        toml::Value::Table(_) => "a table",
        toml::Value::Array(_) => "a list",
        _ => "not a text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (BTreeMap<&'static str, String>, Vec<Problem>) {
        let mut problems = Vec::new();
        let values = parse(Path::new("auth.toml"), text, &mut problems);
        (values, problems)
    }

    #[test]
    fn values_of_every_type() {
        let (values, problems) = read(
            "bind = '127.0.0.1:1'\nHASH_QUEUE = 7\nthrottle = false\ntrusted_proxies = ['10.0.0.1', '10.1.0.0/16']\n\
             secret_key_fallbacks = ['a', 'b']\nlegacy_tokens_until = 2030-01-01T00:00:00Z\n",
        );
        assert_eq!(problems, []);
        assert_eq!(values["BIND"], "127.0.0.1:1");
        assert_eq!(values["HASH_QUEUE"], "7");
        assert_eq!(values["THROTTLE"], "false");
        assert_eq!(values["TRUSTED_PROXIES"], "10.0.0.1,10.1.0.0/16");
        assert_eq!(values["SECRET_KEY_FALLBACKS"], "a b");
        assert_eq!(values["LEGACY_TOKENS_UNTIL"], "2030-01-01T00:00:00Z");
    }

    // KY-02: unknown keys are refused, with a suggestion.
    #[test]
    fn unknown_keys_and_wrong_types_are_all_named() {
        let (_, problems) = read(
            "acces_token_lifetime = '5m'\ncolour = 'red'\nbind = ['a']\nhash_queue = 1.5\n[issuer]\nx = 1\n",
        );
        let text: Vec<String> =
            problems.iter().map(|problem| format!("{} {}", problem.what, problem.mend)).collect();
        assert_eq!(text.len(), 5, "{text:?}");
        assert!(text.iter().any(|line| line.contains("did you mean access_token_lifetime?")), "{text:?}");
        assert!(text.iter().any(|line| line.contains("colour") && line.contains("remove it")), "{text:?}");
    }

    // KY-01: a broken line may hold a secret.
    #[test]
    fn a_broken_file_is_named_by_line_only() {
        let (_, problems) = read("bind = 'x'\nsecret_key = CANARYCANARY\n");
        assert_eq!(problems.len(), 1);
        assert!(problems[0].what.starts_with("line 2 of auth.toml"), "{problems:?}");
        assert!(!format!("{problems:?}").contains("CANARY"), "{problems:?}");
    }

    #[test]
    fn a_setting_in_both_cases_is_refused() {
        assert_eq!(read("bind = 'a'\nBIND = 'b'\n").1.len(), 1);
    }
}
