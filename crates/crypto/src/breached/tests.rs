use std::fs;
use std::path::PathBuf;

use super::build::{self, Built, Source, build};
use super::*;

fn file(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    (folder, path)
}

fn of_passwords(count: usize, expected: u64) -> (tempfile::TempDir, PathBuf, Built) {
    let (folder, path) = file("list");
    let text: String = (0..count).map(|number| format!("password-{number}\n")).collect();
    let built = build(text.as_bytes(), Source::Passwords, &path, expected, |_| {}).unwrap();
    (folder, path, built)
}

fn contains(list: &BreachedPasswords, password: &str) -> bool {
    list.contains(BreachKey::of(password.as_bytes())).unwrap()
}

// PW-05
#[test]
fn what_was_put_in_is_found_and_little_else() {
    for (count, expected) in [(0, 0), (1, 0), (2, 0), (3, 1_000_000), (20_000, 0), (20_000, 200_000)] {
        let (_folder, path, built) = of_passwords(count, expected);
        let list = BreachedPasswords::open(&path).unwrap();
        assert_eq!((list.len(), built.passwords), (count as u64, count as u64));
        assert_eq!(built.bytes, fs::metadata(&path).unwrap().len());
        list.check().unwrap();
        assert!((0..count).all(|number| contains(&list, &format!("password-{number}"))), "{count}");
        let wrong = (0..20_000).filter(|number| contains(&list, &format!("another-{number}"))).count();
        // One in 65,536 is expected; a filter of one or two passwords has no fewer fingerprints that could fit.
        assert!(wrong <= 8, "{wrong} of 20,000 with {count} in {expected}");
    }
}

#[test]
fn digests_with_counts_are_read_and_rare_ones_left_out() {
    let mut lines: Vec<String> = ["password", "123456", "rare one", "twice"]
        .iter()
        .zip([900, 800, 1, 2])
        .map(|(password, count)| {
            let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
            let digits: String = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
            format!("{digits}:{count}\r\n")
        })
        .collect();
    lines.sort();
    assert!(lines.iter().any(|line| line.starts_with("5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:900")));
    let (_folder, path) = file("list");
    let built = build(lines.concat().as_bytes(), Source::Digests { at_least: 2 }, &path, 4, |_| {}).unwrap();
    assert_eq!((built.lines, built.passwords), (4, 3));
    let list = BreachedPasswords::open(&path).unwrap();
    assert!(["password", "123456", "twice"].iter().all(|password| contains(&list, password)));
    assert!(!contains(&list, "rare one"));
    assert!(!contains(&list, "Password"), "compared to the letter");
}

#[test]
fn a_source_that_is_not_what_was_announced_leaves_no_file() {
    let digits = |first: &str| format!("{first}{}", "0".repeat(40 - first.len()));
    let unsorted = format!("{}:1\n{}:1\n", digits("B"), digits("A"));
    let far_apart = format!("{}:1\n{}:1\n", digits("F"), digits("0"));
    for (text, line) in [("hello\n", 1), (&unsorted, 2), (&far_apart, 2), (&format!("{}:x", digits("A")), 1)]
    {
        let (folder, path) = file("list");
        let source = Source::Digests { at_least: 1 };
        let error = build(text.as_bytes(), source, &path, 1 << 20, |_| {}).unwrap_err();
        assert!(matches!(error, build::Error::Line { line: found, .. } if found == line), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_list_that_is_there_is_not_replaced() {
    let (_folder, path, _) = of_passwords(10, 0);
    let before = fs::read(&path).unwrap();
    let error = build(&b"x\n"[..], Source::Passwords, &path, 1, |_| {}).unwrap_err();
    assert!(matches!(error, build::Error::Exists(_)));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn damage_is_an_error_and_never_an_answer() {
    let (_folder, path, _) = of_passwords(2_000, 100_000);
    let good = fs::read(&path).unwrap();
    let damaged = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        BreachedPasswords::open(&path).and_then(|list| list.check())
    };
    assert!(damaged(&good).is_ok());
    assert!(damaged(&good[..good.len() - 1]).is_err(), "cut");
    assert!(damaged(&[good.as_slice(), b"x"].concat()).is_err(), "lengthened");
    assert!(damaged(b"").is_err());
    for at in (0..good.len()).step_by(97) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        let unused = (20..24).contains(&at) || (24..32).contains(&at);
        let in_count = at >= HEAD as usize && at < table_end(&good) && (at - HEAD as usize) % 24 / 4 == 3;
        assert!(unused || in_count || damaged(&bytes).is_err(), "byte {at}");
    }
}

fn table_end(bytes: &[u8]) -> usize {
    HEAD as usize + (ENTRY as usize) * (1 << u32_at(bytes, 16))
}
