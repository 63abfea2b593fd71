//! Faults of input fields in the shape of Django REST framework, whose words the clients read.

use std::borrow::Cow;
use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::text;

/// What is wrong with a field, in words for people.
pub type Message = Cow<'static, str>;

/// A text field as it came in: its text, or the messages why it is none.
pub type Field = Result<String, Vec<Message>>;

/// The member is missing.
pub const REQUIRED: &str = "This field is required.";
/// The member is `null`.
pub const NULL: &str = "This field may not be null.";
/// The text is empty, or becomes empty by trimming.
pub const BLANK: &str = "This field may not be blank.";
/// The value is a boolean, a list or an object.
pub const NOT_A_STRING: &str = "Not a valid string.";
/// The text contains U+0000.
pub const NULL_CHARACTERS: &str = "Null characters are not allowed.";

/// The message about a lone surrogate (a UTF-16 code unit D800..DFFF that JSON can spell and Unicode text cannot
/// hold): the reader of the request names the first one.
pub fn surrogate(unit: u16) -> Message {
    Cow::Owned(format!("Surrogate characters are not allowed: U+{unit:X}."))
}

/// The message about a text of more than `limit` code points.
pub fn too_long(limit: usize) -> Message {
    Cow::Owned(format!("Ensure this field has no more than {limit} characters."))
}

/// A text as DRF's `CharField` takes it: trimmed as Python trims, not blank, no null characters.
pub fn text(raw: &str) -> Field {
    let text = text::trim(raw);
    if text.is_empty() {
        return Err(vec![Cow::Borrowed(BLANK)]);
    }
    if has_null(text) {
        return Err(vec![Cow::Borrowed(NULL_CHARACTERS)]);
    }
    Ok(text.to_owned())
}

/// The messages of [`text`] for a text that also held a lone surrogate, `unit` (replaced by U+FFFD in `raw`).
pub fn text_with_surrogate(raw: &str, unit: u16) -> Vec<Message> {
    let mut messages = Vec::new();
    if has_null(text::trim(raw)) {
        messages.push(Cow::Borrowed(NULL_CHARACTERS));
    }
    messages.push(surrogate(unit));
    messages
}

pub(crate) fn has_null(text: &str) -> bool {
    text.as_bytes().contains(&0)
}

/// Faults by field, in the order in which they were found; fields without faults are not in it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FieldErrors(Vec<(&'static str, Vec<Message>)>);

impl FieldErrors {
    /// The faults of one field.
    pub fn of(field: &'static str, messages: Vec<Message>) -> Self {
        let mut errors = Self::default();
        errors.push(field, messages);
        errors
    }

    /// Adds messages to a field, after those that it has. No messages, no fault.
    pub fn push(&mut self, field: &'static str, messages: Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        match self.0.iter_mut().find(|(name, _)| *name == field) {
            Some((_, known)) => known.extend(messages),
            None => self.0.push((field, messages)),
        }
    }

    /// Takes the value of a field, or notes its faults.
    pub fn take<T>(&mut self, field: &'static str, value: Result<T, Vec<Message>>) -> Option<T> {
        value.map_err(|messages| self.push(field, messages)).ok()
    }

    /// Whether no field has a fault.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields and their messages.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &[Message])> {
        self.0.iter().map(|(name, messages)| (*name, messages.as_slice()))
    }

    /// # Errors
    /// Itself, when any field has a fault.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// One line for people: `username: This field is required. email: Enter a valid email address.`
impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (name, messages)) in self.iter().enumerate() {
            let gap = if n == 0 { "" } else { " " };
            write!(f, "{gap}{name}: {}", messages.join(" "))?;
        }
        Ok(())
    }
}

/// `{"field": ["message", ..], ..}`
impl Serialize for FieldErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, messages) in &self.0 {
            map.serialize_entry(name, messages)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_trimmed_then_checked() {
        assert_eq!(text("\u{a0} a b \u{1c}"), Ok("a b".to_owned()));
        assert_eq!(text(" \u{2003}"), Err(vec![BLANK.into()]));
        assert_eq!(text("a\0"), Err(vec![NULL_CHARACTERS.into()]));
        assert_eq!(
            text_with_surrogate("\0\u{fffd}", 0xd800),
            [NULL_CHARACTERS, "Surrogate characters are not allowed: U+D800."]
        );
    }

    #[test]
    fn errors_keep_their_order_and_merge_by_field() {
        let mut errors = FieldErrors::default();
        errors.push("username", vec![REQUIRED.into()]);
        errors.push("email", vec![]);
        errors.push("password", vec![BLANK.into()]);
        errors.push("username", vec![NULL.into()]);
        assert_eq!(errors.take("age", Ok::<_, Vec<Message>>(1)), Some(1));
        assert_eq!(
            serde_json::to_string(&errors).expect("plain data"),
            r#"{"username":["This field is required.","This field may not be null."],"password":["This field may not be blank."]}"#
        );
        assert_eq!(
            errors.to_string(),
            "username: This field is required. This field may not be null. password: This field may not be blank."
        );
        assert_eq!(errors.clone().into_result(), Err(errors));
        assert_eq!(FieldErrors::default().into_result(), Ok(()));
    }
}
