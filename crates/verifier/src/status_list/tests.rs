use std::collections::HashMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Map, Value, json};

use super::{BASE64URL, Entries, MAX_LIST, inflate};
use crate::wycheproof::{folder, skipped};
use base64::Engine as _;

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn list(bits: u64, bytes: &[u8]) -> Value {
    json!({"bits": bits, "lst": BASE64URL.encode(compressed(bytes))})
}

// SE-10: the examples of the draft's section 4.1 and 4.2.
#[test]
fn the_short_examples_of_the_draft_are_read() {
    let one = Entries::read(object(&json!({"bits": 1, "lst": "eNrbuRgAAhcBXQ"}))).expect("a list");
    let wanted = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1];
    assert_eq!((0..16).map(|index| one.get(index)).collect::<Vec<_>>(), wanted.map(Some));
    assert_eq!(one.get(16), None);
    let two = Entries::read(object(&json!({"bits": 2, "lst": "eNo76fITAAPfAgc"}))).expect("a list");
    let wanted = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3];
    assert_eq!((0..12).map(|index| two.get(index)).collect::<Vec<_>>(), wanted.map(Some));
    assert_eq!(two.get(12), None);
}

// SE-10
#[test]
fn entries_beyond_the_end_do_not_exist() {
    for (bits, count) in [(1, 24), (2, 12), (4, 6), (8, 3)] {
        let entries = Entries::read(object(&list(bits, &[0xff; 3]))).expect("a list");
        assert_eq!(entries.get(count - 1), Some((0xff_u16 >> (8 - bits)) as u8));
        for index in [count, count + 1, u64::from(u32::MAX) + 1, u64::MAX] {
            assert_eq!(entries.get(index), None, "{bits} {index}");
        }
    }
    assert_eq!(Entries::read(object(&list(1, &[]))).expect("an empty list").get(0), None);
}

// SE-10
#[test]
fn lists_that_are_not_well_formed_are_refused() {
    let good = BASE64URL.encode(compressed(&[1, 2, 3]));
    let cut = BASE64URL.encode(&compressed(&[1, 2, 3])[..8]);
    let trailing = BASE64URL.encode([compressed(&[1, 2, 3]), vec![0]].concat());
    let mut wrong_sum = compressed(&[1, 2, 3]);
    *wrong_sum.last_mut().expect("a checksum") ^= 1;
    for bad in [
        json!({"bits": 1}),
        json!({"lst": good}),
        json!({"bits": 0, "lst": good}),
        json!({"bits": 3, "lst": good}),
        json!({"bits": 16, "lst": good}),
        json!({"bits": 257, "lst": good}),
        json!({"bits": -1, "lst": good}),
        json!({"bits": "1", "lst": good}),
        json!({"bits": 1.5, "lst": good}),
        json!({"bits": 1, "lst": 1}),
        json!({"bits": 1, "lst": ""}),
        json!({"bits": 1, "lst": format!("{good}=")}),
        json!({"bits": 1, "lst": BASE64URL.encode([1, 2, 3])}),
        json!({"bits": 1, "lst": cut}),
        json!({"bits": 1, "lst": trailing}),
        json!({"bits": 1, "lst": BASE64URL.encode(wrong_sum)}),
    ] {
        assert!(Entries::read(object(&bad)).is_none(), "{bad}");
    }
    assert!(Entries::read(object(&json!({"bits": 1, "lst": good}))).is_some());
}

// SE-10
#[test]
fn a_list_that_would_fill_the_memory_is_refused() {
    let bomb = compressed(&vec![0; MAX_LIST + 1]);
    assert!(bomb.len() < MAX_LIST / 500);
    assert!(inflate(&bomb, MAX_LIST).is_none());
    assert!(inflate(&bomb, MAX_LIST + 1).is_some());
}

/// What the draft's test vectors say of one list: `bits`, the entries that are not zero, and the encoded list where the
/// file that the text includes is there.
struct Vector {
    bits: u64,
    statuses: HashMap<u64, u8>,
    encoded: Option<Value>,
}

const ENTRIES: u64 = 1 << 20;

fn vectors() -> Option<Vec<Vector>> {
    let folder = folder()?;
    let text = std::fs::read_to_string(folder.join("token-status-list-test-vectors.md")).ok()?;
    let mut vectors: Vec<Vector> = Vec::new();
    for line in text.lines() {
        if let Some(bits) = line.strip_prefix("## ").and_then(|line| line.split_once("-bit ")) {
            let bits = bits.0.parse().expect("a number of bits");
            vectors.push(Vector { bits, statuses: HashMap::new(), encoded: None });
        } else if let Some(status) = line.strip_prefix("status[") {
            let (index, value) = status.split_once(']').expect("an index");
            let value = value.trim_start_matches([' ', '=']).strip_prefix("0b").expect("a binary number");
            let value = u8::from_str_radix(value, 2).expect("a binary number");
            vectors.last_mut()?.statuses.insert(index.parse().expect("an index"), value);
        } else if let Some(file) = line.strip_prefix("{::include ").filter(|line| line.ends_with("_json.md}"))
        {
            let text = std::fs::read_to_string(folder.join(file.trim_end_matches('}')));
            let unwrapped = text.ok().map(|text| text.lines().map(str::trim).collect::<String>());
            vectors.last_mut()?.encoded = unwrapped.map(|text| serde_json::from_str(&text).expect("JSON"));
        }
    }
    Some(vectors)
}

/// The list as its definition says (section 4.1), bit by bit.
fn encode(bits: u64, statuses: &HashMap<u64, u8>) -> Value {
    let mut bytes = vec![0_u8; usize::try_from(ENTRIES * bits / 8).expect("a small number")];
    for (index, value) in statuses {
        for bit in (0..bits).filter(|bit| value >> bit & 1 == 1) {
            let position = index * bits + bit;
            bytes[usize::try_from(position / 8).expect("a small number")] |= 1 << (position % 8);
        }
    }
    list(bits, &bytes)
}

// SE-10
#[test]
fn the_vectors_of_the_draft_for_1_2_4_and_8_bits() {
    let Some(vectors) = vectors() else {
        skipped("verifier, status list vectors: set BOOKSTORE_AUTH_VECTORS to the folder that holds them");
        return;
    };
    assert_eq!(vectors.iter().map(|vector| vector.bits).collect::<Vec<_>>(), [1, 2, 4, 8]);
    let mut anew = Vec::new();
    for vector in vectors {
        assert!(vector.statuses.len() > 10);
        let encoded = vector.encoded.unwrap_or_else(|| {
            anew.push(vector.bits);
            encode(vector.bits, &vector.statuses)
        });
        let entries = Entries::read(object(&encoded)).expect("a list");
        for index in 0..ENTRIES {
            let wanted = vector.statuses.get(&index).copied().unwrap_or(0);
            assert_eq!(entries.get(index), Some(wanted), "{} {index}", vector.bits);
        }
        assert_eq!(entries.get(ENTRIES), None);
    }
    if !anew.is_empty() {
        skipped(&format!(
            "verifier, status list vectors of {anew:?} bits as the draft encodes them: the files that its text includes \
             are not there, so the statuses were encoded anew"
        ));
    }
}
