//! Places in lists, as clients hand them back for the next page (AD-05).
//!
//! A cursor says of which list with which filter it is, and where the page ended, and carries a digest of both under a key of
//! ours: nobody can make one up, or take one from another list.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto::keyed::{IndexKey, equal};
use domain::field::FieldErrors;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Bytes of the digest.
const TAG: usize = 16;
/// The longest cursor that is looked at, in characters: the longest name, escaped, in base64.
const MAX: usize = 4096;

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins, if there may be one.
    pub next: Option<String>,
}

/// Which page is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// `next` of the page before; none for the first.
    pub cursor: Option<String>,
    /// So many items at most.
    pub limit: u32,
}

impl Wanted {
    /// Where the page before ended, in this list with this filter.
    pub(crate) fn place<P: DeserializeOwned>(&self, key: &IndexKey, list: &str) -> Result<Option<P>> {
        self.cursor.as_deref().map(|text| open(key, list, text)).transpose()
    }
}

/// Cuts a page from what was read: one more than wanted, to tell whether there is a next page.
pub(crate) fn page<T, P: Serialize>(
    key: &IndexKey,
    list: &str,
    mut items: Vec<T>,
    limit: u32,
    place: impl Fn(&T) -> P,
) -> Page<T> {
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|last| seal(key, list, &place(last)));
    Page { items, next }
}

fn seal<P: Serialize>(key: &IndexKey, list: &str, place: &P) -> String {
    let place = serde_json::to_vec(place).unwrap_or_default();
    let mut bytes = tag(key, list, &place).to_vec();
    bytes.extend(place);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn open<P: DeserializeOwned>(key: &IndexKey, list: &str, text: &str) -> Result<P> {
    let no_cursor = || Error::invalid(FieldErrors::of("cursor", vec!["Not a cursor of this list.".into()]));
    if text.len() > MAX {
        return Err(no_cursor());
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| no_cursor())?;
    let (given, place) = bytes.split_at_checked(TAG).ok_or_else(no_cursor)?;
    if !equal(given, &tag(key, list, place)) {
        return Err(no_cursor());
    }
    serde_json::from_slice(place).map_err(|_| no_cursor())
}

/// The length keeps list and place apart.
fn tag(key: &IndexKey, list: &str, place: &[u8]) -> [u8; TAG] {
    let head = format!("cursor\0{}\0{list}", list.len());
    let digest = key.digest(&[head.as_bytes(), place].concat());
    let mut tag = [0; TAG];
    tag.copy_from_slice(&digest[..TAG]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    // AD-05
    #[test]
    fn a_cursor_is_good_for_its_own_list_alone() {
        let (key, other) = (IndexKey::derive(b"secret", "tests"), IndexKey::derive(b"other", "tests"));
        let cursor = seal(&key, "users", &("ann", 7));
        assert_eq!(open::<(String, i64)>(&key, "users", &cursor).unwrap(), ("ann".to_owned(), 7));
        for (key, list) in [(&key, "groups"), (&key, "users2"), (&other, "users")] {
            assert!(open::<(String, i64)>(key, list, &cursor).is_err());
        }
        assert!(open::<i64>(&key, "users", &cursor).is_err(), "typed");
        for n in 0..cursor.len() {
            let mut forged = cursor.clone().into_bytes();
            forged[n] = if forged[n] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert!(open::<(String, i64)>(&key, "users", &forged).is_err(), "{n}");
        }
        for bad in ["", "x", "=", "AAAA", &"A".repeat(5000)] {
            assert!(open::<(String, i64)>(&key, "users", bad).is_err());
        }
    }

    #[test]
    fn only_a_full_page_has_a_next_one() {
        let key = IndexKey::derive(b"secret", "tests");
        let page = |count: i64| page(&key, "list", (0..count).collect(), 3, |item| *item);
        assert!(page(3).next.is_none());
        let full = page(4);
        assert_eq!(full.items, [0, 1, 2]);
        assert_eq!(open::<i64>(&key, "list", &full.next.unwrap()).unwrap(), 2);
    }
}
