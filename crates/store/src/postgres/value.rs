//! Values on their way in and out: TEXT, BIGINT, BYTEA and NULL, in PostgreSQL's binary form.

use std::error::Error as StdError;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::param::Value;
use crate::{Error, Param, Result, Row};

type Fault = Box<dyn StdError + Sync + Send>;

/// A parameter as the protocol takes it, without a copy of ours.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a>(pub(super) &'a Param<'a>);

impl std::fmt::Debug for Bound<'_> {
    /// No value: one may be a password hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bound")
    }
}

impl ToSql for Bound<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, Fault> {
        match (self.0, ty) {
            (Param::Null, _) => Ok(IsNull::Yes),
            (Param::Int(value), &Type::INT4) => i32::try_from(*value)?.to_sql(ty, out),
            (Param::Int(value), &Type::INT2) => i16::try_from(*value)?.to_sql(ty, out),
            (Param::Int(value), &Type::INT8) => value.to_sql(ty, out),
            (Param::Text(value), _) if <&str as ToSql>::accepts(ty) => value.to_sql(ty, out),
            (Param::Blob(value), &Type::BYTEA) => value.to_sql(ty, out),
            _ => Err(format!("a value that does not fit a parameter of type {ty}").into()),
        }
    }

    /// Whether a value fits is known when it is there.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// One value of a row.
struct Cell(Value);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> std::result::Result<Self, Fault> {
        Ok(Self(match *ty {
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Value::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Value::Int(i16::from_sql(ty, raw)?.into()),
            Type::BYTEA => Value::Blob(raw.to_vec()),
            _ => Value::Text(String::from_sql(ty, raw)?),
        }))
    }

    fn from_sql_null(_: &Type) -> std::result::Result<Self, Fault> {
        Ok(Self(Value::Null))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::INT2 | Type::BYTEA) || <String as FromSql>::accepts(ty)
    }
}

/// A row that owns its values.
pub(crate) fn row(found: &tokio_postgres::Row) -> Result<Row> {
    let values = (0..found.len()).map(|column| found.try_get::<_, Cell>(column).map(|cell| cell.0));
    let values: std::result::Result<Vec<Value>, _> = values.collect();
    Ok(Row::new(values.map_err(|error| Error::Statement(crate::error::chain(&error).into()))?))
}
