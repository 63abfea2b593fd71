//! A table's columns and keys, and the SQL that follows from them.

use crate::meta;
use crate::param::Value;
use crate::{Error, Result};

/// What each side keeps for itself in `meta`.
const OWN_META: [&str; 6] =
    ["compatible_from", meta::PROBE, meta::COPY_ID, meta::COPYING_FROM, meta::COPIED_FROM, meta::MOVED_TO];

/// The types that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Text,
    Blob,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A table.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// In the order of their names, which is the same on both sides.
    pub(super) columns: Vec<Column>,
    /// The places of the key's columns among them, in the key's order.
    pub(super) key: Vec<usize>,
    /// The places of the columns of every other unique index.
    pub(super) unique: Vec<Vec<usize>>,
    /// Tables whose rows refer to rows of this one and keep them from being removed.
    pub(super) referring: Vec<Referring>,
    /// The column that the database numbers.
    pub(super) numbered: Option<usize>,
}

/// A reference from another table to the key of this one.
#[derive(Debug)]
pub(super) struct Referring {
    pub(super) table: String,
    /// Its columns, in the order of the key that they refer to.
    pub(super) columns: Vec<String>,
}

/// For whom a text is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Target,
}

impl Kind {
    /// By the name that a schema has for it.
    pub(super) fn parse(name: &str) -> Result<Self> {
        match name.to_ascii_uppercase().as_str() {
            "INTEGER" | "BIGINT" => Ok(Self::Int),
            "TEXT" => Ok(Self::Text),
            "BYTEA" | "BLOB" => Ok(Self::Blob),
            other => Err(Error::Statement(format!("{other} is no type that can be copied").into())),
        }
    }

    fn sql(self) -> &'static str {
        match self {
            Self::Int => "BIGINT",
            Self::Text => "TEXT",
            Self::Blob => "BYTEA",
        }
    }

    fn fits(self, value: &Value) -> bool {
        matches!(
            (self, value),
            (_, Value::Null)
                | (Self::Int, Value::Int(_))
                | (Self::Text, Value::Text(_))
                | (Self::Blob, Value::Blob(_))
        )
    }
}

impl Shape {
    /// The key of a row.
    pub(super) fn key_of(&self, row: &[Value]) -> Vec<Value> {
        self.key.iter().map(|place| row[*place].clone()).collect()
    }

    /// Whether the values of a row are of their columns' types and can be stored on both sides.
    pub(super) fn check(&self, row: &[Value]) -> Result<()> {
        for (column, value) in self.columns.iter().zip(row) {
            if !column.kind.fits(value) {
                let text = format!("{} in {} is not {:?}", column.name, self.name, column.kind);
                return Err(Error::Corrupt(text.into()));
            }
            if matches!(value, Value::Text(text) if text.contains('\0')) {
                let text = format!(
                    "{} of a row in {} holds the character NUL, which PostgreSQL cannot store; change it first (key: {})",
                    column.name,
                    self.name,
                    self.show_key(row)
                );
                return Err(Error::Refused(text.into()));
            }
        }
        Ok(())
    }

    fn show_key(&self, row: &[Value]) -> String {
        let shown = self.key.iter().map(|place| match &row[*place] {
            Value::Int(number) => number.to_string(),
            Value::Text(text) => text.escape_debug().to_string(),
            Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Value::Null => "NULL".to_owned(),
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// A page of rows in the order of the key; `after` the key in `$1`, `$2`, ... or from the start.
    pub(super) fn page(&self, side: Side, after: bool) -> String {
        // Compared byte by byte on both sides, whatever the collation of the column is.
        let key = self.key.iter().map(|place| match (side, self.columns[*place].kind) {
            (Side::Target, Kind::Text) => format!("{} COLLATE \"C\"", self.column(*place)),
            _ => self.column(*place),
        });
        let key = key.collect::<Vec<_>>().join(", ");
        let sign = if side == Side::Source { '?' } else { '$' };
        let given: Vec<String> = (1..=self.key.len()).map(|number| format!("{sign}{number}")).collect();
        let behind = if after { format!(" AND ({key}) > ({})", given.join(", ")) } else { String::new() };
        format!(
            "SELECT {} FROM {} WHERE {}{behind} ORDER BY {key} LIMIT {}",
            self.all_columns(),
            quoted(self.name),
            self.shared(),
            super::PAGE
        )
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> String {
        format!("SELECT COUNT(*) FROM {} WHERE {}", quoted(self.name), self.shared())
    }

    /// Stores rows, given as one array a column, whether their keys are there already or not.
    pub(super) fn store(&self) -> String {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let others = all.iter().filter(|place| !self.key.contains(place));
        let set: Vec<String> =
            others.map(|place| format!("{0} = excluded.{0}", self.column(*place))).collect();
        let action =
            if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
        format!(
            "INSERT INTO {} ({}) SELECT * FROM unnest({}) ON CONFLICT ({}) DO {action}",
            quoted(self.name),
            self.all_columns(),
            self.arrays(&all),
            self.list(&self.key)
        )
    }

    /// Removes rows by their keys, given as one array a column of the key.
    pub(super) fn remove(&self) -> String {
        let same: Vec<String> =
            self.key.iter().map(|place| format!("t.{0} = gone.{0}", self.column(*place))).collect();
        format!(
            "DELETE FROM {} t USING unnest({}) AS gone ({}) WHERE {}",
            quoted(self.name),
            self.arrays(&self.key),
            self.list(&self.key),
            same.join(" AND ")
        )
    }

    /// Removes what refers to rows that are to go, given as for [`Shape::remove`]: it has gone from the source too, or
    /// they could not have.
    pub(super) fn remove_referring(&self, referring: &Referring) -> String {
        let both = referring.columns.iter().zip(&self.key);
        let same: Vec<String> = both
            .map(|(column, place)| format!("t.{} = gone.{}", quoted(column), self.column(*place)))
            .collect();
        format!(
            "DELETE FROM {} t USING unnest({}) AS gone ({}) WHERE {}",
            quoted(&referring.table),
            self.arrays(&self.key),
            self.list(&self.key),
            same.join(" AND ")
        )
    }

    /// Removes rows that hold a value of a unique index that another row is to have: their own turn comes later. Given
    /// as arrays: the columns of the index, then those of the key.
    pub(super) fn free(&self, index: &[usize]) -> String {
        let places: Vec<usize> = index.iter().chain(&self.key).copied().collect();
        let names: Vec<String> = (0..places.len()).map(|number| format!("c{number}")).collect();
        let equal = |from: usize, places: &[usize]| {
            let all = places.iter().enumerate();
            all.map(|(number, place)| format!("t.{} = due.c{}", self.column(*place), from + number))
                .collect::<Vec<_>>()
                .join(" AND ")
        };
        format!(
            "DELETE FROM {} t USING unnest({}) AS due ({}) WHERE {} AND NOT ({})",
            quoted(self.name),
            self.arrays(&places),
            names.join(", "),
            equal(0, index),
            equal(index.len(), &self.key)
        )
    }

    /// Which rows are copied: all, but for what each side keeps for itself.
    fn shared(&self) -> String {
        if self.name != "meta" {
            return "TRUE".to_owned();
        }
        let own: Vec<String> = OWN_META.iter().map(|key| format!("'{key}'")).collect();
        format!("\"key\" NOT IN ({})", own.join(", "))
    }

    fn arrays(&self, places: &[usize]) -> String {
        let all = places.iter().enumerate();
        let array = |(number, place): (usize, &usize)| {
            format!("${}::{}[]", number + 1, self.columns[*place].kind.sql())
        };
        all.map(array).collect::<Vec<_>>().join(", ")
    }

    fn list(&self, places: &[usize]) -> String {
        places.iter().map(|place| self.column(*place)).collect::<Vec<_>>().join(", ")
    }

    fn all_columns(&self) -> String {
        self.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
    }

    fn column(&self, place: usize) -> String {
        quoted(&self.columns[place].name)
    }
}

/// A name of the schema in SQL; ours hold no quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}
