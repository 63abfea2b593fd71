//! Where settings come from: the environment beats `.env`, `.env` beats the TOML file, the file beats the default.
//! An empty value counts as not set, so the next source decides (container platforms pass empty variables on).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::problem::{Problem, nearest};
use super::table::{SETTINGS, Setting};
use super::{Mode, dotenv, file};

/// The setting that names the TOML file; it cannot stand in that file itself.
pub(crate) const CONFIG_FILE: &str = "CONFIG_FILE";

/// Largest configuration file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The table of defaults.
    Default,
    /// The TOML file.
    File(PathBuf),
    /// `.env` in the working folder.
    DotEnv,
    /// The environment.
    Environment,
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File(path) => write!(out, "{}", path.display()),
            Self::DotEnv => out.write_str(".env"),
            Self::Environment => out.write_str("environment"),
        }
    }
}

/// What a run of the program was given.
#[derive(Clone, Default)]
pub(crate) struct Inputs {
    /// The process environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The folder that `.env` and relative paths of the configuration are looked up in.
    pub(crate) folder: PathBuf,
    /// The TOML file named on the command line.
    pub(crate) file: Option<PathBuf>,
}

impl Inputs {
    /// Those of this process.
    pub(crate) fn of_process(file: Option<PathBuf>) -> Self {
        Self { environment: std::env::vars_os().collect(), folder: PathBuf::from(""), file }
    }
}

/// Everything the sources say, unparsed. No `Debug`: it holds secrets.
#[derive(Default)]
pub(crate) struct Sources {
    /// Strongest first.
    layers: Vec<(Source, BTreeMap<&'static str, String>)>,
}

impl Sources {
    /// Reads all sources; what is wrong with them goes to `problems`, what is only odd to `warnings`.
    pub(crate) fn read(inputs: &Inputs, problems: &mut Vec<Problem>, warnings: &mut Vec<String>) -> Self {
        let mut sources = Self::default();
        let (environment, mut file) = read_environment(inputs, problems);
        sources.layers.push((Source::Environment, environment));
        let (dotenv, named) = read_dotenv(&inputs.folder, problems, warnings);
        sources.layers.push((Source::DotEnv, dotenv));
        file = inputs.file.clone().or(file).or(named);
        if let Some(path) = file {
            let text = read_text(&inputs.folder.join(&path), problems);
            let values = text.map(|text| file::parse(&path, &text, problems)).unwrap_or_default();
            sources.layers.push((Source::File(path), values));
        }
        sources
    }

    /// The value in force and where it came from; an empty text means not set.
    pub(crate) fn get(&self, setting: &Setting, mode: Mode) -> (&str, Source) {
        for (source, values) in &self.layers {
            if let Some(value) = values.get(setting.name) {
                return (value, source.clone());
            }
        }
        (setting.default_in(mode), Source::Default)
    }
}

type Layer = (BTreeMap<&'static str, String>, Option<PathBuf>);

fn read_environment(inputs: &Inputs, problems: &mut Vec<Problem>) -> Layer {
    let mut values = BTreeMap::new();
    let mut file = None;
    for (name, value) in &inputs.environment {
        let Some(name) = name.to_str() else { continue };
        let setting = SETTINGS.iter().find(|setting| setting.name == name);
        if setting.is_none() && name != CONFIG_FILE {
            continue;
        }
        let Some(value) = value.to_str() else {
            problems.push(Problem::new(
                format!("{name} (environment) is not UTF-8."),
                match name {
                    "SECRET_KEY" => "put the key into a file and name that in SECRET_KEY_FILE.",
                    _ => "write it in UTF-8.",
                },
            ));
            continue;
        };
        match setting {
            _ if value.is_empty() => {}
            Some(setting) => _ = values.insert(setting.name, value.to_owned()),
            None => file = Some(PathBuf::from(value)),
        }
    }
    (values, file)
}

fn read_dotenv(folder: &Path, problems: &mut Vec<Problem>, warnings: &mut Vec<String>) -> Layer {
    let path = folder.join(".env");
    let mut values = BTreeMap::new();
    let mut file = None;
    if !path.exists() {
        return (values, file);
    }
    let Some(text) = read_text(&path, problems) else { return (values, file) };
    let parsed = dotenv::parse(&text);
    for bad in &parsed.bad {
        problems.push(Problem::new(
            format!("line {} of .env is not NAME=value.", bad.line),
            "write NAME=value, begin the line with # to make it a comment, or remove it.",
        ));
    }
    let mut foreign: Vec<String> = Vec::new();
    for (name, value) in parsed.values {
        match SETTINGS.iter().find(|setting| setting.name == name) {
            Some(setting) if value.is_empty() => _ = values.remove(setting.name),
            Some(setting) => _ = values.insert(setting.name, value),
            None if name == CONFIG_FILE => file = (!value.is_empty()).then(|| PathBuf::from(value)),
            None => foreign.push(match nearest(&name, SETTINGS.iter().map(|setting| setting.name)) {
                Some(known) => format!("{name} (did you mean {known}?)"),
                None => name,
            }),
        }
    }
    if !foreign.is_empty() {
        foreign.dedup();
        warnings.push(format!(
            ".env has names that are no settings of ours; they are ignored: {}",
            foreign.join(", ")
        ));
    }
    (values, file)
}

/// The text of a file; what stands in the way is a problem. Errors never quote the content.
fn read_text(path: &Path, problems: &mut Vec<Problem>) -> Option<String> {
    let shown = path.display();
    match read_bounded(path, MAX_FILE) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(_) => {
                problems.push(Problem::new(format!("{shown} is not UTF-8."), "save it as UTF-8 text."));
                None
            }
        },
        Err(error) => {
            problems.push(Problem::new(
                format!("{shown} cannot be read: {error}."),
                "correct the path or the file's permissions.",
            ));
            None
        }
    }
}

/// The bytes of a regular file that is no larger than `most`.
///
/// # Errors
/// Those of reading; also when the file is too large.
pub(crate) fn read_bounded(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(std::io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::find;

    fn inputs(folder: &Path, environment: &[(&str, &str)]) -> Inputs {
        Inputs {
            environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            folder: folder.to_owned(),
            file: None,
        }
    }

    fn read(inputs: &Inputs) -> (Sources, Vec<Problem>, Vec<String>) {
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let sources = Sources::read(inputs, &mut problems, &mut warnings);
        (sources, problems, warnings)
    }

    #[test]
    fn environment_beats_dotenv_beats_file_beats_default() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("auth.toml"),
            "bind = 'file'\nissuer = 'file'\naudience = 'file'\n",
        )
        .unwrap();
        std::fs::write(folder.path().join(".env"), "CONFIG_FILE=auth.toml\nBIND=dotenv\nISSUER=dotenv\n")
            .unwrap();
        let (sources, problems, warnings) =
            read(&inputs(folder.path(), &[("BIND", "env"), ("AUDIENCE", "")]));
        assert_eq!((problems, warnings), (vec![], vec![]));
        let get = |name| sources.get(find(name).unwrap(), Mode::Serve);
        assert_eq!(get("BIND"), ("env", Source::Environment));
        assert_eq!(get("ISSUER"), ("dotenv", Source::DotEnv));
        assert_eq!(
            get("AUDIENCE"),
            ("file", Source::File("auth.toml".into())),
            "an empty variable is not set"
        );
        assert_eq!(get("DATA_DIR"), ("data", Source::Default));
    }

    #[test]
    fn command_line_names_the_file_first() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.toml"), "bind = 'a'").unwrap();
        let mut given = inputs(folder.path(), &[("CONFIG_FILE", "missing.toml")]);
        assert_eq!(read(&given).1.len(), 1);
        given.file = Some("a.toml".into());
        let (sources, problems, _) = read(&given);
        assert_eq!(problems, []);
        assert_eq!(sources.get(find("BIND").unwrap(), Mode::Serve).0, "a");
    }

    #[test]
    fn foreign_names_in_dotenv_are_one_warning() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "DJANGO_DEBUG=1\nREDIS=x\nREFRESH_GRACES=1s\n").unwrap();
        let (_, problems, warnings) = read(&inputs(folder.path(), &[]));
        assert_eq!(problems, []);
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].ends_with("DJANGO_DEBUG, REDIS, REFRESH_GRACES (did you mean REFRESH_GRACE?)"),
            "{warnings:?}"
        );
    }
}
