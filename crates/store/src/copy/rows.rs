//! A table as a stream of rows in the order of its key, whatever the side.

use std::cmp::Ordering;
use std::collections::VecDeque;

use tokio_postgres::Statement;

use super::PAGE;
use super::shape::{Shape, Side};
use super::source::Source;
use super::target::Target;
use crate::Result;
use crate::param::Value;

/// The rows that are left; one page of them in memory.
pub(super) struct Rows<'a> {
    shape: &'a Shape,
    from: From<'a>,
    page: VecDeque<Vec<Value>>,
    /// The key of the last row of the page.
    last: Option<Vec<Value>>,
    is_last_page: bool,
}

enum From<'a> {
    Source(&'a Source),
    Target { target: &'a Target, first: Statement, next: Statement },
}

impl<'a> Rows<'a> {
    pub(super) fn of_source(source: &'a Source, shape: &'a Shape) -> Self {
        Self::new(shape, From::Source(source))
    }

    pub(super) async fn of_target(target: &'a Target, shape: &'a Shape) -> Result<Self> {
        let first = target.prepare(&shape.page(Side::Target, false)).await?;
        let next = target.prepare(&shape.page(Side::Target, true)).await?;
        Ok(Self::new(shape, From::Target { target, first, next }))
    }

    fn new(shape: &'a Shape, from: From<'a>) -> Self {
        Self { shape, from, page: VecDeque::new(), last: None, is_last_page: false }
    }

    /// The next row.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Value>>> {
        if self.page.is_empty() && !self.is_last_page {
            self.turn().await?;
        }
        Ok(self.page.pop_front())
    }

    async fn turn(&mut self) -> Result<()> {
        let after = self.last.as_deref();
        let page = match &self.from {
            From::Source(source) => source.page(self.shape, after)?,
            From::Target { target, first, next } => {
                target.page(if after.is_some() { next } else { first }, after.unwrap_or_default()).await?
            }
        };
        self.is_last_page = page.len() < PAGE;
        self.last = page.last().map(|row| self.shape.key_of(row));
        self.page = page.into();
        Ok(())
    }
}

/// How two rows lie in the order of their keys: byte by byte, as both engines are asked to sort them.
pub(super) fn order(shape: &Shape, left: &[Value], right: &[Value]) -> Ordering {
    let parts = shape.key.iter().map(|place| match (&left[*place], &right[*place]) {
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Blob(left), Value::Blob(right)) => left.cmp(right),
        // The types are checked when a row is read, and a key is never NULL.
        _ => Ordering::Equal,
    });
    parts.into_iter().find(|part| part.is_ne()).unwrap_or(Ordering::Equal)
}
