//! Rates of networks, as all replicas together have given them out: a fixed number of slots of each kind.

use domain::throttle::Rate;
use domain::time::Timestamp;

use crate::{Result, Row, Tx};

/// A slot of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// What the rate is of.
    pub kind: i64,
    /// Which one.
    pub number: i64,
}

/// What all have told of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which one.
    pub slot: Slot,
    /// When its budget is whole again.
    pub whole_at: Timestamp,
    /// When a replica last told of it.
    pub changed_at: Timestamp,
}

// What `Rate::together` answers, for whatever stands there by now; a test compares the two.
const ADD: &str = "INSERT INTO network_rates (kind, slot, whole_at, changed_at) VALUES ($1, $2, $3, $4) ON CONFLICT (kind, slot) DO UPDATE SET changed_at = excluded.changed_at, whole_at = CASE WHEN network_rates.whole_at <= $4 OR network_rates.whole_at > $8 THEN excluded.whole_at WHEN network_rates.whole_at > $6 OR network_rates.whole_at + $5 > $6 THEN $7 ELSE network_rates.whole_at + $5 END";
const CHANGED: &str = "SELECT kind, slot, whole_at, changed_at FROM network_rates WHERE (changed_at, kind, slot) > ($1, $2, $3) ORDER BY changed_at, kind, slot LIMIT $4";
const PURGE: &str = "DELETE FROM network_rates WHERE (kind, slot) IN (SELECT kind, slot FROM network_rates WHERE whole_at < $1 AND changed_at < $1 ORDER BY kind, slot LIMIT $2)";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[ADD, CHANGED, PURGE];

/// Adds takes of a replica (less than none: given back) to what all have told, without waiting for the answer. Replicas do so in
/// the order of slots, so that they queue for each other and never in a circle.
///
/// # Errors
/// What the database answers, now or with a later statement or the commit.
pub fn add(tx: &mut Tx, slot: Slot, rate: Rate, takes: i32, now: Timestamp) -> Result<()> {
    let added = rate.micros(takes);
    let latest = rate.latest(now).micros();
    let params = [
        slot.kind.into(),
        slot.number.into(),
        rate.together(now, takes, now).micros().into(),
        now.micros().into(),
        added.into(),
        latest.into(),
        latest.saturating_add(added.min(0)).into(),
        rate.wrong_after(now).micros().into(),
    ];
    tx.execute_later(ADD, &params)
}

/// At most `limit` slots that were told of after a place in the order of times and slots.
pub async fn changed_after(tx: &mut Tx, after: (Timestamp, Slot), limit: i64) -> Result<Vec<Told>> {
    let (at, Slot { kind, number }) = after;
    let params = [at.micros().into(), kind.into(), number.into(), limit.into()];
    tx.query(CHANGED, &params).await?.iter().map(read).collect()
}

/// Removes at most `limit` slots whose budgets have been whole since `before`; answers how many.
pub async fn purge(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(PURGE, &[before.micros().into(), limit.into()]).await
}

fn read(row: &Row) -> Result<Told> {
    Ok(Told {
        slot: Slot { kind: row.int(0)?, number: row.int(1)? },
        whole_at: Timestamp::from_micros(row.int(2)?),
        changed_at: Timestamp::from_micros(row.int(3)?),
    })
}
