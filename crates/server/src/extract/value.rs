//! The value of one field of a request body, before anything is known of what the field means.

use std::borrow::Cow;

use domain::field::{self, Field, Message};

/// A field's value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// The field does not occur.
    Missing,
    /// JSON's `null`.
    Null,
    /// A text.
    Text(Text<'a>),
    /// A number, as Python prints it.
    Number(Cow<'a, str>),
    /// A boolean, list, object or file.
    NotText,
}

/// A text, and the first lone surrogate in it; each of them stands as U+FFFD in the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) surrogate: Option<u16>,
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(Text { text, surrogate: None })
    }
}

impl<'a> Value<'a> {
    /// A number as the text that it prints as: the replaced service took one for the other.
    pub(crate) fn or_number(self) -> Self {
        match self {
            Self::Number(text) => text.into(),
            other => other,
        }
    }

    /// The text, or why there is none. A text with a lone surrogate is none: `with_surrogate` says what is wrong with it.
    pub(crate) fn text_or(
        self,
        not_text: &'static str,
        with_surrogate: impl FnOnce(&str, u16) -> Vec<Message>,
    ) -> Result<Cow<'a, str>, Vec<Message>> {
        match self {
            Self::Missing => Err(vec![field::REQUIRED.into()]),
            Self::Null => Err(vec![field::NULL.into()]),
            Self::Number(_) | Self::NotText => Err(vec![not_text.into()]),
            Self::Text(Text { text, surrogate: None }) => Ok(text),
            Self::Text(Text { text, surrogate: Some(unit) }) => Err(with_surrogate(&text, unit)),
        }
    }

    /// As DRF's `CharField` takes it: trimmed, not blank, no null characters.
    pub(crate) fn char_field(self) -> Field {
        self.text_or(field::NOT_A_STRING, field::text_with_surrogate).and_then(|text| field::text(&text))
    }
}
