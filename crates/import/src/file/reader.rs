//! Reads the rows of a file, one at a time, and bounds what one may hold.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use csv::StringRecord;
use serde_json::{Map, Value};

use super::record::{MEMBERS, Record};
use super::{Format, cell};
use crate::Error;

/// Largest row, in bytes: a quote that is never closed must not read the whole file into memory.
const MAX_ROW: usize = 1024 * 1024;

/// A row, or what is wrong with it.
type Found = Result<Record, String>;

/// The rows of a file.
pub(super) struct Reader {
    rows: Rows,
    row: u64,
}

enum Rows {
    Csv {
        reader: Box<csv::Reader<Bounded>>,
        columns: Vec<String>,
        left: Arc<AtomicUsize>,
        record: StringRecord,
    },
    JsonLines {
        reader: BufReader<Box<dyn Read + Send>>,
        line: Vec<u8>,
    },
}

impl Reader {
    pub(super) fn new(input: Box<dyn Read + Send>, format: Format) -> Result<Self, Error> {
        let rows = match format {
            Format::JsonLines => Rows::JsonLines { reader: BufReader::new(input), line: Vec::new() },
            Format::Csv => open_csv(input)?,
        };
        Ok(Self { rows, row: 0 })
    }

    /// The number of the row that was read last; the first is 1, the line of column names is none.
    pub(super) fn row(&self) -> u64 {
        self.row
    }

    /// The next row.
    pub(super) fn next(&mut self) -> Result<Option<Found>, Error> {
        self.row += 1;
        let row = self.row;
        match &mut self.rows {
            Rows::Csv { reader, columns, left, record } => {
                left.store(MAX_ROW + BUFFER, Relaxed);
                match reader.read_record(record) {
                    Ok(true) => Ok(Some(from_cells(columns, record))),
                    Ok(false) => Ok(None),
                    Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => {
                        Ok(Some(Err("it is not UTF-8 text".to_owned())))
                    }
                    Err(error) => Err(Error::Format(format!("row {row} cannot be read as CSV: {error}"))),
                }
            }
            Rows::JsonLines { reader, line } => {
                line.clear();
                reader.take(MAX_ROW as u64 + 1).read_until(b'\n', line).map_err(Error::read)?;
                match line.len() {
                    0 => Ok(None),
                    length if length > MAX_ROW => {
                        Err(Error::Format(format!("row {row} is longer than {MAX_ROW} bytes")))
                    }
                    _ => Ok(Some(from_json(line))),
                }
            }
        }
    }
}

/// What the CSV reader reads ahead at most, in bytes.
const BUFFER: usize = 64 * 1024;

/// Ends in an error when more than `left` bytes are read without a row being complete.
struct Bounded {
    input: Box<dyn Read + Send>,
    left: Arc<AtomicUsize>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        let left = self.left.load(Relaxed);
        if count > left {
            return Err(std::io::Error::other(format!(
                "the row is longer than {MAX_ROW} bytes; is a quote not closed?"
            )));
        }
        self.left.store(left - count, Relaxed);
        Ok(count)
    }
}

fn open_csv(input: Box<dyn Read + Send>) -> Result<Rows, Error> {
    let left = Arc::new(AtomicUsize::new(MAX_ROW + BUFFER));
    let bounded = Bounded { input, left: Arc::clone(&left) };
    let mut reader = csv::ReaderBuilder::new().flexible(true).buffer_capacity(BUFFER).from_reader(bounded);
    let columns = reader
        .headers()
        .map_err(|error| Error::Format(format!("the column names cannot be read: {error}")))?;
    let columns: Vec<String> =
        columns.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
    for (place, name) in columns.iter().enumerate() {
        if !MEMBERS.contains(&name.as_str()) {
            let known = MEMBERS.join(", ");
            return Err(Error::Format(format!("the column {name:?} is not known; there are {known}")));
        }
        if columns[..place].contains(name) {
            return Err(Error::Format(format!("the column {name} stands there twice")));
        }
    }
    if !columns.iter().any(|name| name == "username") {
        return Err(Error::Format("there is no column username".to_owned()));
    }
    Ok(Rows::Csv { reader: Box::new(reader), columns, left, record: StringRecord::new() })
}

/// An empty cell is a missing member.
fn from_cells(columns: &[String], cells: &StringRecord) -> Found {
    if cells.len() != columns.len() {
        return Err(format!("it has {} cells where {} should be", cells.len(), columns.len()));
    }
    let mut members = Map::new();
    for (column, raw) in columns.iter().zip(cells).filter(|(_, raw)| !raw.is_empty()) {
        members.insert(column.clone(), value(column, cell::read(raw))?);
    }
    from_members(members)
}

/// What a cell says, as JSON says it.
fn value(column: &str, text: &str) -> Result<Value, String> {
    match column {
        "id" => text.parse().map(|id: i64| id.into()).map_err(|_| "its id is not a number".to_owned()),
        "password_trims" | "is_active" | "is_staff" | "is_superuser" => match text {
            "true" | "True" | "TRUE" | "1" | "t" => Ok(true.into()),
            "false" | "False" | "FALSE" | "0" | "f" => Ok(false.into()),
            _ => Err(format!("its {column} is neither true nor false")),
        },
        "groups" | "permissions" if text.starts_with('[') => {
            serde_json::from_str(text).map_err(|_| format!("its {column} are not a JSON list of names"))
        }
        "groups" | "permissions" => Ok(text.split(';').map(str::trim).collect::<Vec<_>>().into()),
        _ => Ok(text.into()),
    }
}

fn from_json(line: &[u8]) -> Found {
    match serde_json::from_slice(line) {
        Ok(Value::Object(members)) => from_members(members),
        Ok(_) => Err("it is not a JSON object".to_owned()),
        Err(error) => Err(format!("it is not JSON: {error}")),
    }
}

fn from_members(mut members: Map<String, Value>) -> Found {
    if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(format!("its member {unknown:?} is not known"));
    }
    let id = match members.remove("id") {
        None | Some(Value::Null) => None,
        Some(id) => Some(id.as_i64().ok_or("its id is not a whole number")?),
    };
    let mut text = |name: &str| match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its {name} is not a text")),
    };
    let [username, email, first_name, last_name, password_hash, date_joined, last_login] =
        ["username", "email", "first_name", "last_name", "password_hash", "date_joined", "last_login"]
            .map(&mut text);
    let mut flag = |name: &str| match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(_) => Err(format!("its {name} is neither true nor false")),
    };
    let [password_trims, is_active, is_staff, is_superuser] =
        ["password_trims", "is_active", "is_staff", "is_superuser"].map(&mut flag);
    Ok(Record {
        id,
        username: username?,
        email: email?,
        first_name: first_name?,
        last_name: last_name?,
        password_hash: password_hash?,
        password_trims: password_trims?,
        is_active: is_active?,
        is_staff: is_staff?,
        is_superuser: is_superuser?,
        groups: list("groups", members.remove("groups"))?,
        permissions: list("permissions", members.remove("permissions"))?,
        date_joined: date_joined?,
        last_login: last_login?,
    })
}

fn list(name: &str, value: Option<Value>) -> Result<Vec<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                _ => Err(format!("its {name} are not a list of names")),
            })
            .collect(),
        Some(_) => Err(format!("its {name} are not a list of names")),
    }
}
