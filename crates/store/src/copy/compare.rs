//! The differences of a table's two sides, and their end.

use std::cmp::Ordering;

use super::rows::{Rows, order};
use super::shape::Shape;
use super::source::Source;
use super::target::{Batch, Target};
use super::{PAGE, Progress, Stage, TableReport, Watch};
use crate::Result;

/// Goes along both sides and makes the target's equal to the source's.
pub(super) async fn level(
    source: &Source,
    target: &Target,
    shape: &Shape,
    watch: Watch<'_>,
) -> Result<TableReport> {
    let total = source.count(shape)?;
    let mut report =
        TableReport { name: shape.name, rows: 0, added: 0, changed: 0, removed: 0, sha256: None };
    let (mut ours, mut theirs) = (Rows::of_source(source, shape), Rows::of_target(target, shape).await?);
    let (mut left, mut right) = (ours.next().await?, theirs.next().await?);
    // Nothing is in the way of rows that go into an empty table.
    let mut batch = Batch::new(target, shape, right.is_some()).await?;
    watch(&Progress { stage: Stage::Copying, table: shape.name, done: 0, total });
    loop {
        let which = match (&left, &right) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => order(shape, left, right),
        };
        match which {
            Ordering::Less => report.added += 1,
            Ordering::Greater => report.removed += 1,
            Ordering::Equal => report.changed += u64::from(left != right),
        }
        match which {
            Ordering::Greater => batch.remove(right.as_deref().unwrap_or_default()),
            _ if left != right => batch.store(left.take().unwrap_or_default()),
            _ => {}
        }
        if which.is_le() {
            report.rows += 1;
            left = ours.next().await?;
        }
        if which.is_ge() {
            right = theirs.next().await?;
        }
        if batch.len() >= PAGE {
            batch.write().await?;
        }
        if which.is_le() && report.rows.is_multiple_of(PAGE as u64) {
            watch(&Progress { stage: Stage::Copying, table: shape.name, done: report.rows, total });
        }
    }
    batch.write().await?;
    if !report.rows.is_multiple_of(PAGE as u64) {
        watch(&Progress { stage: Stage::Copying, table: shape.name, done: report.rows, total });
    }
    Ok(report)
}
