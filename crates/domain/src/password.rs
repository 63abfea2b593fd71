//! Passwords: the form they are hashed in, and what a new one must satisfy.

use std::borrow::Cow;
use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::field::{self, Message};
use crate::text;

mod common;
mod similarity;

/// The longest password, in code points; longer ones are refused before any work (PW-02).
pub const MAX_LENGTH: usize = 128;

const TOO_COMMON: &str = "This password is too common.";
const ALL_NUMERIC: &str = "This password is entirely numeric.";

/// A password in the form it is hashed in. Wiped from memory when dropped; not shown by `Debug`.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// As we hash it: NFC and nothing else (PW-04).
    pub fn new_nfc(raw: &str) -> Self {
        // NFC takes at most three times the space: no growing, which would leave a copy behind.
        let mut text = Zeroizing::new(String::with_capacity(raw.len().saturating_mul(3)));
        text.extend(raw.nfc());
        Self(text)
    }

    /// As a hash that came from Django expects it: not normalised, trimmed as Python trims.
    pub fn as_django(raw: &str) -> Self {
        Self(Zeroizing::new(text::trim(raw).to_owned()))
    }

    /// The bytes to hash.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// A copy of the bytes to hash, wiped when dropped: what a hashing thread takes with it.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.as_bytes().to_vec())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Which checks a new password has to pass.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum PolicyChecks {
    /// Its length only.
    LengthOnly,
    /// Also: unlike the account's own attributes, not a common password, not all digits.
    Full,
}

/// What a new password must satisfy; a setting (PW-01, PW-05).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct PasswordPolicy {
    /// The least number of code points.
    pub min_length: usize,
    /// What else.
    pub checks: PolicyChecks,
}

impl PasswordPolicy {
    /// Everything that is wrong with a new password, in Django's words and order. First the protocol's own rule, 1 to
    /// 128 code points without U+0000; a password that breaks it is not looked at further.
    ///
    /// `attributes` are the account's, each with the name that people know it by: `("email address", "ann@..")`.
    pub fn check(&self, raw: &str, attributes: &[(&str, &str)]) -> Vec<Message> {
        let messages = protocol_messages(raw);
        if !messages.is_empty() {
            return messages;
        }
        let password = Password::new_nfc(raw);
        let password = password.as_str();
        let full = self.checks == PolicyChecks::Full;
        let mut messages = Vec::new();
        if let Some(name) = similarity::similar_attribute(password, attributes).filter(|_| full) {
            messages.push(Cow::Owned(format!("The password is too similar to the {name}.")));
        }
        if password.chars().count() < self.min_length {
            messages.push(too_short(self.min_length));
        }
        if full && common::is_common(password) {
            messages.push(Cow::Borrowed(TOO_COMMON));
        }
        if full && !password.is_empty() && password.chars().all(text::is_digit) {
            messages.push(Cow::Borrowed(ALL_NUMERIC));
        }
        messages
    }
}

/// What is wrong with a text as a password, whatever the policy.
pub fn protocol_messages(raw: &str) -> Vec<Message> {
    if raw.is_empty() {
        return vec![Cow::Borrowed(field::BLANK)];
    }
    let mut messages = Vec::new();
    if raw.chars().count() > MAX_LENGTH {
        messages.push(field::too_long(MAX_LENGTH));
    }
    if field::has_null(raw) {
        messages.push(Cow::Borrowed(field::NULL_CHARACTERS));
    }
    messages
}

/// The messages for a password that also held a lone surrogate, `unit` (replaced by U+FFFD in `raw`).
pub fn messages_with_surrogate(raw: &str, unit: u16) -> Vec<Message> {
    let mut messages = protocol_messages(raw);
    messages.push(field::surrogate(unit));
    messages
}

fn too_short(least: usize) -> Message {
    let characters = if least == 1 { "character" } else { "characters" };
    Cow::Owned(format!("This password is too short. It must contain at least {least} {characters}."))
}

#[cfg(test)]
mod tests;
