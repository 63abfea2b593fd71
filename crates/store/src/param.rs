//! What goes into a statement and what comes out: the few value types that every engine has.

use crate::{Error, Result};

/// A value bound to `$1`, `$2`, ... of a statement. Its content is borrowed: binding copies nothing of ours.
#[derive(Clone, Copy)]
pub enum Param<'a> {
    /// NULL.
    Null,
    /// BIGINT; also flags, as 0 and 1.
    Int(i64),
    /// TEXT.
    Text(&'a str),
    /// BYTEA or BLOB.
    Blob(&'a [u8]),
}

impl From<i64> for Param<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Param<'_> {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<bool> for Param<'_> {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Param<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Param<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Blob(value)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Param<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Self::Blob(value)
    }
}

impl<'a> From<&'a Vec<u8>> for Param<'a> {
    fn from(value: &'a Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One value of a row.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Value {
    /// A value that does not borrow.
    pub(crate) fn of(param: &Param<'_>) -> Self {
        match *param {
            Param::Null => Self::Null,
            Param::Int(value) => Self::Int(value),
            Param::Text(value) => Self::Text(value.to_owned()),
            Param::Blob(value) => Self::Blob(value.to_owned()),
        }
    }

    /// The same as a parameter.
    pub(crate) fn as_param(&self) -> Param<'_> {
        match self {
            Self::Null => Param::Null,
            Self::Int(value) => Param::Int(*value),
            Self::Text(value) => Param::Text(value),
            Self::Blob(value) => Param::Blob(value),
        }
    }
}

/// A row of a result; columns count from 0. It owns its values, so it outlives its statement.
///
/// There is no Debug: rows hold password hashes.
#[derive(Clone)]
pub struct Row {
    values: Vec<Value>,
}

impl Row {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self { values }
    }

    pub(crate) fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// A number.
    ///
    /// # Errors
    /// As every method of a row: [`Error::Corrupt`] when the column is of another type, NULL, or not there.
    pub fn int(&self, column: usize) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(|| mismatch(column, "a number", "NULL"))
    }

    /// A number or NULL.
    pub fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Int(value) => Ok(Some(*value)),
            other => Err(mismatch(column, "a number", other.kind())),
        }
    }

    /// A flag: a number that is not 0.
    pub fn flag(&self, column: usize) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    /// A text.
    pub fn text(&self, column: usize) -> Result<&str> {
        self.opt_text(column)?.ok_or_else(|| mismatch(column, "a text", "NULL"))
    }

    /// A text or NULL.
    pub fn opt_text(&self, column: usize) -> Result<Option<&str>> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Text(value) => Ok(Some(value)),
            other => Err(mismatch(column, "a text", other.kind())),
        }
    }

    /// Bytes.
    pub fn blob(&self, column: usize) -> Result<&[u8]> {
        self.opt_blob(column)?.ok_or_else(|| mismatch(column, "bytes", "NULL"))
    }

    /// Bytes or NULL.
    pub fn opt_blob(&self, column: usize) -> Result<Option<&[u8]>> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Blob(value) => Ok(Some(value)),
            other => Err(mismatch(column, "bytes", other.kind())),
        }
    }

    fn value(&self, column: usize) -> Result<&Value> {
        self.values.get(column).ok_or_else(|| mismatch(column, "a value", "no such column"))
    }
}

/// A row that is only looked at: the engine's own while a statement runs, or one that is kept.
pub(crate) enum Seen<'a> {
    Here(&'a rusqlite::Row<'a>),
    Kept(&'a Row),
}

impl<'a> Seen<'a> {
    pub(crate) fn int(&self, column: usize) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(|| mismatch(column, "a number", "NULL"))
    }

    pub(crate) fn text(&self, column: usize) -> Result<&'a str> {
        self.opt_text(column)?.ok_or_else(|| mismatch(column, "a text", "NULL"))
    }

    pub(crate) fn blob(&self, column: usize) -> Result<&'a [u8]> {
        self.opt_blob(column)?.ok_or_else(|| mismatch(column, "bytes", "NULL"))
    }

    pub(crate) fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        match self {
            Self::Kept(row) => row.opt_int(column),
            Self::Here(row) => {
                Ok(row.get_ref(column)?.as_i64_or_null().map_err(|_| not(column, "a number"))?)
            }
        }
    }

    pub(crate) fn opt_text(&self, column: usize) -> Result<Option<&'a str>> {
        match self {
            Self::Kept(row) => row.opt_text(column),
            Self::Here(row) => {
                Ok(row.get_ref(column)?.as_str_or_null().map_err(|_| not(column, "a text"))?)
            }
        }
    }

    pub(crate) fn opt_blob(&self, column: usize) -> Result<Option<&'a [u8]>> {
        match self {
            Self::Kept(row) => row.opt_blob(column),
            Self::Here(row) => {
                Ok(row.get_ref(column)?.as_blob_or_null().map_err(|_| not(column, "bytes"))?)
            }
        }
    }
}

fn not(column: usize, expected: &str) -> Error {
    mismatch(column, expected, "something else")
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Int(_) => "a number",
            Self::Text(_) => "a text",
            Self::Blob(_) => "bytes",
        }
    }
}

fn mismatch(column: usize, expected: &str, found: &str) -> Error {
    Error::Corrupt(format!("column {column} should be {expected} and is {found}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_gives_what_it_holds_and_refuses_the_rest() {
        let row = Row::new(vec![Value::Int(7), Value::Null, Value::Text("a".into()), Value::Blob(vec![1])]);
        assert_eq!(row.int(0).unwrap(), 7);
        assert!(row.flag(0).unwrap());
        assert_eq!(row.opt_int(1).unwrap(), None);
        assert_eq!(row.text(2).unwrap(), "a");
        assert_eq!(row.blob(3).unwrap(), [1]);
        for wrong in [row.int(1).err(), row.int(2).err(), row.int(4).err()] {
            assert!(matches!(wrong, Some(Error::Corrupt(_))));
        }
        assert!(row.text(0).is_err() && row.blob(2).is_err() && row.text(1).is_err() && row.blob(1).is_err());
    }
}
