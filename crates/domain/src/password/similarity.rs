//! Django's `UserAttributeSimilarityValidator`: a password is not a variation of the account's own attributes.

use std::collections::HashMap;

use zeroize::Zeroizing;

use crate::text;

const MAX_SIMILARITY: f64 = 0.7;
/// Longer attributes are faulty themselves, and comparing them would be work that an anonymous caller can ask for.
const MAX_ATTRIBUTE_BYTES: usize = 4 * 254;

/// The name of the first attribute that the password is too much like, as a whole or in one of its words.
pub(super) fn similar_attribute<'a>(password: &str, attributes: &[(&'a str, &str)]) -> Option<&'a str> {
    let password = Zeroizing::new(password.to_lowercase());
    let is_like =
        |value: &str| value.len() <= MAX_ATTRIBUTE_BYTES && is_similar(&password, &value.to_lowercase());
    attributes.iter().find(|(_, value)| is_like(value)).map(|(name, _)| *name)
}

/// Both in lower case.
fn is_similar(password: &str, value: &str) -> bool {
    if value.is_empty() {
        return false;
    }
    let words = value.split(|c| !text::is_word(c)).filter(|word| !word.is_empty());
    words
        .chain([value])
        .any(|part| !is_far_longer(password, part) && quick_ratio(password, part) >= MAX_SIMILARITY)
}

/// Django's `exceeds_maximum_length_ratio`: a password ten times as long as a word is not compared with it.
fn is_far_longer(password: &str, part: &str) -> bool {
    let (password, part) = (password.chars().count(), part.chars().count());
    password >= 10 * part && (part as f64) < MAX_SIMILARITY / 2.0 * password as f64
}

/// Python's `difflib.SequenceMatcher.quick_ratio`: the share of characters that both have, without regard to order.
fn quick_ratio(a: &str, b: &str) -> f64 {
    let mut left: HashMap<char, usize> = HashMap::new();
    for c in b.chars() {
        *left.entry(c).or_default() += 1;
    }
    let mut matches = 0_usize;
    for c in a.chars() {
        if let Some(count) = left.get_mut(&c).filter(|count| **count > 0) {
            *count -= 1;
            matches += 1;
        }
    }
    let total = a.chars().count() + b.chars().count();
    if total == 0 { 1.0 } else { 2.0 * matches as f64 / total as f64 }
}
