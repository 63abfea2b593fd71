//! The count and the checksum of a table.

use aws_lc_rs::digest::{Context, SHA256};

use super::PAGE;
use super::rows::Rows;
use super::shape::Shape;
use crate::Result;
use crate::param::Value;

/// What a table holds, in short.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) rows: u64,
    pub(super) sha256: String,
}

/// Reads a table to its end. `watch` hears of the rows that are done.
pub(super) async fn of(shape: &Shape, mut rows: Rows<'_>, watch: &mut dyn FnMut(u64)) -> Result<Digest> {
    let mut context = Context::new(&SHA256);
    for column in &shape.columns {
        feed(&mut context, b'c', column.name.as_bytes());
    }
    let mut count: u64 = 0;
    while let Some(row) = rows.next().await? {
        for value in &row {
            match value {
                Value::Null => context.update(b"n"),
                Value::Int(number) => feed(&mut context, b'i', &number.to_be_bytes()),
                Value::Text(text) => feed(&mut context, b't', text.as_bytes()),
                Value::Blob(bytes) => feed(&mut context, b'b', bytes),
            }
        }
        count += 1;
        if count.is_multiple_of(PAGE as u64) {
            watch(count);
        }
    }
    if !count.is_multiple_of(PAGE as u64) {
        watch(count);
    }
    let sha256 = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Digest { rows: count, sha256 })
}

/// The type, the length and the bytes: no two rows are the same text.
fn feed(context: &mut Context, kind: u8, bytes: &[u8]) {
    context.update(&[kind]);
    context.update(&(bytes.len() as u64).to_be_bytes());
    context.update(bytes);
}
