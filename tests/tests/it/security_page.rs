//! docs/security.md names the file that proves each promise; this keeps the page true.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_proof_on_the_security_page_exists_and_cites_its_requirement() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let page = fs::read_to_string(root.join("docs/security.md")).expect("the page");
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, id, promise, proof, _] = cells[..] else { continue };
        if id.len() != 5 || id.as_bytes()[2] != b'-' {
            continue;
        }
        assert!(seen.insert(id.to_owned()), "{id} stands on the page twice");
        if promise.is_empty() {
            assert!(!proof.is_empty(), "{id} gives no reason");
            continue;
        }
        for file in proof.split(", ") {
            match fs::read_to_string(root.join(file)) {
                Ok(text) if text.contains(id) => {}
                Ok(_) => faults.push(format!("{file} does not cite {id}")),
                Err(_) => faults.push(format!("{id} names {file}, which does not exist")),
            }
        }
    }
    assert!(seen.len() >= 100, "the table was not found: {} rows", seen.len());
    assert!(faults.is_empty(), "{faults:#?}");
}
