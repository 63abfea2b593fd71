//! User names: what may be one, and when two are the same.

use std::borrow::Cow;
use std::fmt;

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

use crate::field::{self, Message};
use crate::text;

/// The longest name, in code points, before and after normalisation.
const MAX_LENGTH: usize = 150;
/// Django's `UnicodeUsernameValidator`.
const INVALID: &str =
    "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.";

/// A user name: trimmed as Python trims, NFKC, at most 150 code points.
///
/// As in Django the characters are checked before normalisation, so a name may hold what the normal form of a letter
/// holds (`½` becomes `1⁄2`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Username(String);

impl Username {
    /// Reads a new name.
    ///
    /// # Errors
    /// All of Django's messages that apply, in its order.
    pub fn parse(raw: &str) -> Result<Self, Vec<Message>> {
        let text = text::trim(raw);
        let messages = faults(text);
        if !messages.is_empty() {
            return Err(messages);
        }
        let normal = canonical_name(text);
        if normal.chars().count() > MAX_LENGTH {
            return Err(vec![field::too_long(MAX_LENGTH)]);
        }
        Ok(Self(normal))
    }

    /// The messages for a name that also held a lone surrogate, `unit` (replaced by U+FFFD in `raw`).
    pub fn messages_with_surrogate(raw: &str, unit: u16) -> Vec<Message> {
        let mut messages = faults(text::trim(raw));
        messages.push(field::surrogate(unit));
        messages
    }

    /// A name that was accepted before: from the database or an import. Not checked.
    pub fn from_stored(name: String) -> Self {
        Self(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes it the same as another name.
    pub fn key(&self) -> NameKey {
        NameKey(canonical(&self.0))
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn faults(text: &str) -> Vec<Message> {
    if text.is_empty() {
        return vec![Cow::Borrowed(field::BLANK)];
    }
    let mut messages = Vec::new();
    if !text.chars().all(is_allowed) {
        messages.push(Cow::Borrowed(INVALID));
    }
    if text.chars().count() > MAX_LENGTH {
        messages.push(field::too_long(MAX_LENGTH));
    }
    if field::has_null(text) {
        messages.push(Cow::Borrowed(field::NULL_CHARACTERS));
    }
    messages
}

fn is_allowed(c: char) -> bool {
    text::is_word(c) || matches!(c, '.' | '@' | '+' | '-')
}

/// The spelling in which a name is stored: trimmed as Python trims, NFKC. What it may hold is not checked.
pub fn canonical_name(raw: &str) -> String {
    text::trim(raw).nfkc().collect()
}

/// The canonical form of a name: two names with the same key are one person's, for uniqueness, login and throttling
/// alike (LG-03). NFKC, full case folding, and without the invisible Hangul fillers, the only characters of the
/// allowed categories that show nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NameKey(String);

impl NameKey {
    /// The key of what somebody typed as a name, whether or not it could be one.
    pub fn of(raw: &str) -> Self {
        Self(canonical(raw))
    }

    /// A key that [`Username::key`] made before.
    pub fn from_stored(key: String) -> Self {
        Self(key)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Folding can undo normalisation and the other way round, so both repeat until nothing changes: the key of a key is
/// the key (Unicode, section 3.13: NFKC_Casefold needs two rounds at most).
fn canonical(text: &str) -> String {
    if text.is_ascii() {
        return text::trim(text).to_ascii_lowercase();
    }
    let mut key = fold(text);
    for _ in 0..3 {
        let next = fold(&key);
        if next == key {
            break;
        }
        key = next;
    }
    key
}

fn fold(text: &str) -> String {
    let folded: String = text.nfkc().default_case_fold().filter(|c| !is_filler(*c)).nfkc().collect();
    // The compatibility form of some letters begins with a space.
    text::trim(&folded).to_owned()
}

/// Hangul choseong and jungseong filler; NFKC maps the other two (U+3164, U+FFA0) to the second.
fn is_filler(c: char) -> bool {
    matches!(c, '\u{115f}' | '\u{1160}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(raw: &str) -> Result<String, Vec<Message>> {
        Username::parse(raw).map(|name| name.0)
    }

    #[test]
    fn names_are_trimmed_and_normalised() {
        assert_eq!(parsed(" \u{1c}ann\u{a0}\n"), Ok("ann".into()));
        assert_eq!(parsed("ﬁ²Ⅷ"), Ok("fi2VIII".into()));
        assert_eq!(parsed("a.@+-_9"), Ok("a.@+-_9".into()));
        assert_eq!(parsed("\u{1112}\u{1161}\u{11ab}"), Ok("한".into()));
        assert_eq!(parsed("\u{fdfa}"), Ok("صلى الله عليه وسلم".into()));
    }

    #[test]
    fn every_fault_is_reported_in_djangos_order() {
        assert_eq!(parsed("  "), Err(vec![field::BLANK.into()]));
        assert_eq!(parsed("a b"), Err(vec![INVALID.into()]));
        assert_eq!(parsed("cafe\u{301}"), Err(vec![INVALID.into()]), "a combining mark is no letter");
        assert_eq!(parsed(&"\u{20000}".repeat(150)), Ok("\u{20000}".repeat(150)));
        let long: Message = "Ensure this field has no more than 150 characters.".into();
        assert_eq!(parsed(&"é".repeat(151)), Err(vec![long.clone()]));
        assert_eq!(parsed(&"ﬁ".repeat(76)), Err(vec![long.clone()]), "longer after NFKC");
        let null: Message = field::NULL_CHARACTERS.into();
        assert_eq!(parsed(&("a".repeat(151) + "\0")), Err(vec![INVALID.into(), long.clone(), null.clone()]));
        assert_eq!(
            Username::messages_with_surrogate(&("!".repeat(151) + "\0\u{fffd}"), 0xd800),
            [INVALID.into(), long, null, field::surrogate(0xd800)]
        );
    }

    // LG-03: case, width, ligatures, composition and invisible fillers do not make another person.
    #[test]
    fn spellings_of_one_name_share_a_key() {
        for (a, b) in [
            ("Ann", "aNN"),
            ("straße", "STRASSE"),
            ("ﬁnn", "FINN"),
            ("ａｎｎ", "ann"),
            ("É", "e\u{301}"),
            ("σίσυφος", "ΣΊΣΥΦΟΣ"),
            ("ann\u{3164}", "ann"),
            ("\u{ffa0}ann\u{115f}", "ann"),
            (" ann\u{85}", "ann"),
            ("\u{212a}elvin", "kelvin"),
            ("\u{1e9e}", "ss"),
        ] {
            assert_eq!(NameKey::of(a), NameKey::of(b), "{a:?} {b:?}");
        }
        for (a, b) in [("ann", "\u{430}nn"), ("ann", "ann."), ("i", "ı"), ("ann@a", "ann"), ("o", "0")] {
            assert_ne!(NameKey::of(a), NameKey::of(b), "{a:?} {b:?}");
        }
    }

    proptest! {
        // LG-03
        #[test]
        fn the_key_of_a_key_is_the_key(text in "\\PC{0,40}") {
            let key = canonical(&text);
            prop_assert_eq!(canonical(&key), key);
        }

        #[test]
        fn a_name_parses_to_itself_when_its_characters_are_plain(raw in "[\\pL\\pN_.@+-]{1,160}") {
            if let Ok(name) = Username::parse(&raw) {
                prop_assert_eq!(name.0.nfkc().collect::<String>(), name.0.clone());
                prop_assert!(name.0.chars().count() <= 150);
                prop_assert_eq!(name.key(), NameKey::of(&raw));
            } else {
                prop_assert!(raw.nfkc().count() > 150);
            }
        }

        #[test]
        fn whatever_comes_in_nothing_panics(raw in any::<String>()) {
            let accepted = Username::parse(&raw).is_ok();
            let trimmed = text::trim(&raw);
            prop_assert!(!accepted || trimmed.chars().all(is_allowed));
            let _ = NameKey::of(&raw);
        }
    }
}
