//! Whether stored rows are what was written: the same check for who verifies all of the chain and for who removes a part.

use domain::audit::{Fault, Link, Walk};
use store::audit::{Packed, PackedRow};

use super::key::Key;

/// Takes a row of a page as the next step of a walk.
pub(super) fn step(key: &Key, walk: &mut Walk, row: &PackedRow, page: &Packed, faults: &mut Vec<Fault>) {
    let digest = |range: &std::ops::Range<usize>| crypto::keyed::sha256(&page.bytes[range.clone()]);
    let is_personal = row.personal.as_ref().is_none_or(|range| digest(range) == row.proof.personal);
    let link = Link {
        position: row.position,
        hash: row.proof.hash,
        is_as_written: is_personal && digest(&row.open) == row.proof.commitment,
        state: row.state,
        follows: key.link(walk.hash(), row.position, &row.proof.commitment),
    };
    walk.step(&link, faults);
}
