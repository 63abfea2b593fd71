//! Reads one setting at a time: its text from the sources, its bounds from the table, its faults to the problems.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crypto::secret::Secret;
use ipnet::IpNet;

use super::Mode;
use super::problem::Problem;
use super::sources::{Source, Sources};
use super::table::{self, Kind, Setting};
use super::value::{self, Database, Deadline, Fault, Origins};

/// Reads settings for one mode. After a fault it goes on with a stand-in, so that all faults are found.
pub(crate) struct Reader<'a> {
    pub(crate) mode: Mode,
    /// Relative paths of key files start here.
    pub(crate) folder: &'a Path,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<String>,
    /// The names read so far; a test compares them with the table.
    pub(crate) seen: BTreeSet<&'static str>,
    sources: &'a Sources,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(sources: &'a Sources, mode: Mode, folder: &'a Path) -> Self {
        Self { mode, folder, problems: Vec::new(), warnings: Vec::new(), seen: BTreeSet::new(), sources }
    }

    fn raw(&mut self, name: &str) -> (&'static Setting, &'a str, Source) {
        let setting = table::find(name).expect("settings are read by the names that the table gives them");
        self.seen.insert(setting.name);
        let (text, source) = self.sources.get(setting, self.mode);
        (setting, text, source)
    }

    /// Where the value in force comes from.
    pub(crate) fn source(&mut self, name: &str) -> Source {
        self.raw(name).2
    }

    fn parse<T>(&mut self, name: &str, stand_in: T, read: impl FnOnce(&str, Kind) -> Result<T, Fault>) -> T {
        let (setting, text, source) = self.raw(name);
        match read(text.trim(), setting.kind) {
            Ok(value) => value,
            Err(fault) => {
                let shown = super::show::shown(setting, text);
                self.problems.push(Problem::new(
                    format!("{name} ({source}) is {shown:?}: it {fault}."),
                    value::expected(setting.kind),
                ));
                stand_in
            }
        }
    }

    /// The text as it stands; empty when not set.
    pub(crate) fn text(&mut self, name: &str) -> &'a str {
        self.raw(name).1
    }

    /// The text as it stands.
    pub(crate) fn optional_text(&mut self, name: &str) -> Option<String> {
        let text = self.text(name);
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Keys separated by white space.
    pub(crate) fn secret_list(&mut self, name: &str) -> Vec<Secret> {
        let text = self.text(name);
        if text.contains(',') {
            self.warnings
                .push(format!("{name} holds a comma, which is part of a key: keys are separated by spaces"));
        }
        text.split_whitespace().map(|key| Secret::from(key.to_owned())).collect()
    }

    pub(crate) fn switch(&mut self, name: &str) -> bool {
        self.parse(name, false, |text, _| value::switch(text))
    }

    pub(crate) fn choice(&mut self, name: &str) -> &'static str {
        self.parse(name, "", |text, kind| match kind {
            Kind::Choice(words) => value::choice(text, words),
            _ => Ok(""),
        })
    }

    pub(crate) fn count(&mut self, name: &str) -> usize {
        self.parse(name, 8, |text, kind| match kind {
            Kind::Count { least, most, cores } => value::count(text, least, most, cores),
            _ => Ok(0),
        })
    }

    pub(crate) fn duration(&mut self, name: &str) -> Duration {
        self.parse(name, Duration::ZERO, |text, kind| match kind {
            Kind::Duration { least, most } => value::bounded_duration(text, least, most),
            _ => Ok(Duration::ZERO),
        })
    }

    /// How long something is kept; `None` for ever.
    pub(crate) fn retention(&mut self, name: &str) -> Option<Duration> {
        self.parse(name, None, |text, kind| match kind {
            Kind::Retention { .. } if text == "forever" => Ok(None),
            Kind::Retention { least, most } => value::bounded_duration(text, least, most).map(Some),
            _ => Ok(None),
        })
    }

    pub(crate) fn address(&mut self, name: &str) -> SocketAddr {
        let stand_in = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        self.parse(name, stand_in, |text, _| value::address(text))
    }

    pub(crate) fn optional_address(&mut self, name: &str) -> Option<SocketAddr> {
        self.parse(
            name,
            None,
            |text, _| if text == "off" { Ok(None) } else { value::address(text).map(Some) },
        )
    }

    /// Where the data is; `${DATA_DIR}` in a path stands for the data folder.
    pub(crate) fn database(&mut self, name: &str, data_dir: &Path) -> Database {
        self.parse(name, Database::File(PathBuf::new()), |text, _| {
            Ok(match value::database(text)? {
                Database::File(path) => Database::File(match path.strip_prefix("${DATA_DIR}") {
                    Ok(rest) => data_dir.join(rest),
                    Err(_) => path,
                }),
                server => server,
            })
        })
    }

    pub(crate) fn networks(&mut self, name: &str) -> Vec<IpNet> {
        self.parse(name, Vec::new(), |text, _| value::networks(text))
    }

    pub(crate) fn origins(&mut self, name: &str) -> Origins {
        self.parse(name, Origins::List(Vec::new()), |text, _| value::origins(text))
    }

    pub(crate) fn deadline(&mut self, name: &str) -> Deadline {
        self.parse(name, Deadline::Auto, |text, _| value::deadline(text))
    }
}
