//! LA-04: the rule by which a chain is checked, on chains of any rows and any harm done to them.

use domain::audit::{
    Fault, Fields, GENESIS, Hash, Link, State, Walk, link_bytes, open_bytes, personal_bytes,
};
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq)]
struct Row {
    at: i64,
    texts: [String; 8],
    user: Option<i64>,
    session: Vec<u8>,
    salt: [u8; 16],
    position: i64,
    commitment: Hash,
    hash: Hash,
}

fn content(row: &Row) -> Hash {
    let [kind, result, actor, actor_id, address, user_agent, request_id, detail] =
        row.texts.each_ref().map(String::as_str);
    let fields = Fields {
        at: row.at,
        kind,
        result,
        actor,
        actor_id: Some(actor_id),
        user_id: row.user,
        session_id: Some(&row.session),
        address: Some(address),
        user_agent: Some(user_agent),
        request_id: Some(request_id),
        detail: Some(detail),
    };
    let mut bytes = Vec::new();
    personal_bytes(&row.salt, &fields, &mut bytes);
    let personal = crypto::keyed::sha256(&bytes);
    bytes.clear();
    open_bytes(&personal, &fields, &mut bytes);
    crypto::keyed::sha256(&bytes)
}

fn chained(mut rows: Vec<Row>) -> Vec<Row> {
    let mut hash = GENESIS;
    for (index, row) in rows.iter_mut().enumerate() {
        row.position = index as i64 + 1;
        row.commitment = content(row);
        hash = crypto::keyed::sha256(&link_bytes(&hash, row.position, &row.commitment));
        row.hash = hash;
    }
    rows
}

/// What a walk finds, with the head of the chain as it was.
fn faults(rows: &[Row], head: &Row) -> Vec<Fault> {
    let (mut walk, mut faults) = (Walk::default(), Vec::new());
    for row in rows {
        let follows = crypto::keyed::sha256(&link_bytes(walk.hash(), row.position, &row.commitment));
        let is_as_written = content(row) == row.commitment;
        let link =
            Link { position: row.position, hash: row.hash, is_as_written, state: State::Whole, follows };
        walk.step(&link, &mut faults);
    }
    walk.end(head.position, &head.hash, &mut faults);
    faults
}

fn chains() -> impl Strategy<Value = Vec<Row>> {
    let row = (any::<i64>(), any::<[u8; 8]>(), any::<Option<i64>>(), any::<[u8; 16]>());
    let row = row.prop_map(|(at, letters, user, salt)| Row {
        at,
        texts: letters.map(|letter| format!("t{letter}")),
        user,
        session: salt.to_vec(),
        salt,
        position: 0,
        commitment: [0; 32],
        hash: [0; 32],
    });
    proptest::collection::vec(row, 2..12).prop_map(chained)
}

fn flip(row: &mut Row, field: usize, bit: usize) {
    match field {
        0 => row.at ^= 1 << (bit % 64),
        1 => row.user = row.user.map_or(Some(1), |user| Some(user ^ 1)),
        2 => row.session[bit % 16] ^= 1,
        3 => row.salt[bit % 16] ^= 1,
        4 => row.position ^= 1 << (bit % 63),
        5 => row.commitment[bit % 32] ^= 1 << (bit % 8),
        6 => row.hash[bit % 32] ^= 1 << (bit % 8),
        text => row.texts[(text - 7) % 8].push('x'),
    }
}

proptest! {
    #[test]
    fn a_chain_that_nobody_touched_has_no_fault(rows in chains()) {
        prop_assert_eq!(faults(&rows, rows.last().unwrap()), vec![]);
    }

    #[test]
    fn flipping_anything_is_found(rows in chains(), at: prop::sample::Index, field in 0..15_usize, bit in 0..256_usize) {
        let mut harmed = rows.clone();
        flip(&mut harmed[at.index(rows.len())], field, bit);
        prop_assert_ne!(faults(&harmed, rows.last().unwrap()), vec![]);
    }

    #[test]
    fn removing_rows_is_found_and_named(rows in chains(), from: prop::sample::Index, count in 1..4_usize) {
        let from = from.index(rows.len());
        let to = (from + count).min(rows.len());
        let mut harmed = rows.clone();
        harmed.drain(from..to);
        let found = faults(&harmed, rows.last().unwrap());
        let expected = if to == rows.len() {
            Fault::End { found: from as i64, expected: rows.len() as i64 }
        } else {
            Fault::Missing { from: from as i64 + 1, to: to as i64 }
        };
        prop_assert!(found.contains(&expected), "{:?}", found);
    }

    #[test]
    fn moving_rows_is_found(rows in chains(), a: prop::sample::Index, b: prop::sample::Index, keep in any::<bool>()) {
        let (a, b) = (a.index(rows.len()), b.index(rows.len()));
        prop_assume!(a != b);
        let mut harmed = rows.clone();
        harmed.swap(a, b);
        if keep {
            // With the positions and hashes of the places they were put in.
            for place in [a, b] {
                harmed[place].position = rows[place].position;
                harmed[place].hash = rows[place].hash;
            }
        }
        prop_assert_ne!(faults(&harmed, rows.last().unwrap()), vec![]);
    }

    #[test]
    fn putting_rows_in_is_found(rows in chains(), at: prop::sample::Index, renumber in any::<bool>()) {
        let at = at.index(rows.len());
        let mut harmed = rows.clone();
        harmed.insert(at, rows[at].clone());
        if renumber {
            harmed = chained(harmed);
        }
        prop_assert_ne!(faults(&harmed, rows.last().unwrap()), vec![], "at the latest where the head is");
    }
}
