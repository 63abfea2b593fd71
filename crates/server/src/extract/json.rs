//! JSON request bodies, read strictly: what is ambiguous is refused (IN-03).
//!
//! The reader goes over the text once, builds nothing but the members that were asked for, and answers faults in the
//! words of Python's decoder, which the clients of the replaced service saw. Unlike that decoder it refuses members
//! that occur twice, and nesting beyond [`MAX_DEPTH`].

use std::borrow::Cow;
use std::collections::HashSet;

use super::number;
use super::value::{Text, Value};

/// Lists and objects inside one another, the outermost included.
pub(crate) const MAX_DEPTH: usize = 32;

/// What a body holds: the members that were asked for, or something that is no object.
#[derive(Debug, PartialEq)]
pub(crate) enum Document<'a, const N: usize> {
    /// The values of the members, in the order of the question.
    Object([Value<'a>; N]),
    /// `null`.
    Null,
    /// Python's name of the type.
    Other(&'static str),
}

/// What becomes of members that nobody asked for (IN-03).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// They are skipped, as the replaced service did.
    Ignored,
    /// The document is refused.
    Refused,
}

/// Why a text is not JSON as we take it; the words may be shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) String);

type Result<T> = std::result::Result<T, Fault>;

/// Reads `text` and takes the members `names` out of it.
///
/// # Errors
/// When the text is not one JSON value as RFC 8259 has it, or ambiguous, or nested too deeply.
pub(crate) fn read<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
    others: Others,
) -> Result<Document<'a, N>> {
    if text.starts_with('\u{feff}') {
        return Err(fault_at(text, 0, "Unexpected UTF-8 BOM (decode using utf-8-sig)"));
    }
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0 };
    reader.skip_space();
    let document = reader.document(names, others)?;
    reader.skip_space();
    if reader.at < reader.bytes.len() {
        return Err(reader.fault("Extra data"));
    }
    Ok(document)
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

/// A value of which only the sort is of interest, but for texts and numbers.
enum Scalar<'a> {
    Null,
    Bool,
    Text(Text<'a>),
    Int(Cow<'a, str>),
    Float(String),
}

impl<'a> Reader<'a> {
    fn document<const N: usize>(&mut self, names: [&str; N], others: Others) -> Result<Document<'a, N>> {
        match self.peek() {
            Some(b'{') => {
                let mut found = [const { Value::Missing }; N];
                let mut unknown = None;
                self.object(1, |name, value| match names.iter().position(|wanted| *wanted == name) {
                    Some(n) => found[n] = value,
                    None if unknown.is_none() => unknown = Some(name.chars().take(64).collect::<String>()),
                    None => {}
                })?;
                match unknown {
                    Some(name) if others == Others::Refused => Err(Fault(format!("Unknown member {name:?}"))),
                    _ => Ok(Document::Object(found)),
                }
            }
            Some(b'[') => {
                self.list(1)?;
                Ok(Document::Other("list"))
            }
            _ => Ok(match self.scalar()? {
                Scalar::Null => Document::Null,
                Scalar::Bool => Document::Other("bool"),
                Scalar::Text(_) => Document::Other("str"),
                Scalar::Int(_) => Document::Other("int"),
                Scalar::Float(_) => Document::Other("float"),
            }),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>> {
        match self.peek() {
            Some(b'{') => {
                self.object(depth + 1, |_, _| ())?;
                Ok(Value::NotText)
            }
            Some(b'[') => {
                self.list(depth + 1)?;
                Ok(Value::NotText)
            }
            _ => Ok(match self.scalar()? {
                Scalar::Null => Value::Null,
                Scalar::Bool => Value::NotText,
                Scalar::Text(text) => Value::Text(text),
                Scalar::Int(text) => Value::Number(text),
                Scalar::Float(text) => Value::Number(text.into()),
            }),
        }
    }

    fn object(&mut self, depth: usize, mut member: impl FnMut(&str, Value<'a>)) -> Result<()> {
        self.enter(depth)?;
        let mut seen = Names::default();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.fault("Expecting property name enclosed in double quotes"));
            }
            let name = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return Err(self.fault("Expecting ':' delimiter"));
            }
            self.skip_space();
            let value = self.value(depth)?;
            member(&name.text, value);
            if !seen.insert(name.text) {
                return Err(fault_at(self.text, start, "Member occurs twice"));
            }
            self.skip_space();
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.fault("Expecting ',' delimiter"));
            }
            self.skip_space();
        }
    }

    fn list(&mut self, depth: usize) -> Result<()> {
        self.enter(depth)?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            self.skip_space();
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.fault("Expecting ',' delimiter"));
            }
            self.skip_space();
        }
    }

    /// Steps over the opening bracket and the space behind it.
    fn enter(&mut self, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(self.fault("Nested too deeply"));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn scalar(&mut self) -> Result<Scalar<'a>> {
        match self.peek() {
            Some(b'"') => Ok(Scalar::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if self.word("null") => Ok(Scalar::Null),
            _ if self.word("true") || self.word("false") => Ok(Scalar::Bool),
            _ if self.word("NaN") => Err(out_of_range("NaN")),
            _ if self.word("Infinity") => Err(out_of_range("Infinity")),
            _ => Err(self.fault("Expecting value")),
        }
    }

    fn number(&mut self) -> Result<Scalar<'a>> {
        if self.word("-Infinity") {
            return Err(out_of_range("-Infinity"));
        }
        let rest = &self.text[self.at..];
        let Some(number) = number::scan(rest) else { return Err(self.fault("Expecting value")) };
        self.at += number.length;
        let literal = &rest[..number.length];
        if number.is_float {
            return Ok(Scalar::Float(number::float_text(literal)));
        }
        number::int_text(literal).map(Scalar::Int).map_err(Fault)
    }

    /// A string; the opening quote is next.
    fn string(&mut self) -> Result<Text<'a>> {
        let start = self.at;
        self.at += 1;
        let plain_from = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    let text = &self.text[plain_from..self.at];
                    self.at += 1;
                    return Ok(Text { text: Cow::Borrowed(text), surrogate: None });
                }
                b'\\' => return self.escaped_string(start, plain_from),
                0..=0x1f => return Err(self.fault("Invalid control character at")),
                _ => self.at += 1,
            }
        }
        Err(fault_at(self.text, start, "Unterminated string starting at"))
    }

    /// The rest of a string in which a backslash was found.
    fn escaped_string(&mut self, start: usize, mut plain_from: usize) -> Result<Text<'a>> {
        let mut text = String::new();
        let mut surrogate = None;
        loop {
            match self.peek() {
                None => return Err(fault_at(self.text, start, "Unterminated string starting at")),
                Some(b'"') => {
                    text.push_str(&self.text[plain_from..self.at]);
                    self.at += 1;
                    return Ok(Text { text: text.into(), surrogate });
                }
                Some(b'\\') => {
                    text.push_str(&self.text[plain_from..self.at]);
                    match self.escape(start)? {
                        Ok(c) => text.push(c),
                        Err(unit) => {
                            surrogate.get_or_insert(unit);
                            text.push(char::REPLACEMENT_CHARACTER);
                        }
                    }
                    plain_from = self.at;
                }
                Some(0..=0x1f) => return Err(self.fault("Invalid control character at")),
                Some(_) => self.at += 1,
            }
        }
    }

    /// What an escape stands for: a character, or half of a surrogate pair.
    fn escape(&mut self, start: usize) -> Result<std::result::Result<char, u16>> {
        let at = self.at;
        let c = match self.bytes.get(at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            Some(_) => return Err(self.fault("Invalid \\escape")),
            None => return Err(fault_at(self.text, start, "Unterminated string starting at")),
        };
        self.at += 2;
        Ok(Ok(c))
    }

    fn unicode_escape(&mut self) -> Result<std::result::Result<char, u16>> {
        let Some(first) = self.hex_unit(self.at) else { return Err(self.fault("Invalid \\uXXXX escape")) };
        self.at += 6;
        let low = match first {
            0xd800..=0xdbff if self.bytes.get(self.at..self.at + 2) == Some(b"\\u") => self.hex_unit(self.at),
            _ => None,
        };
        let units = [first, low.unwrap_or(0)];
        match char::decode_utf16(units).next() {
            Some(Ok(c)) => {
                self.at += if low.is_some() { 6 } else { 0 };
                Ok(Ok(c))
            }
            _ => Ok(Err(first)),
        }
    }

    /// The value of `\uXXXX` at a place.
    fn hex_unit(&self, at: usize) -> Option<u16> {
        let digits = self.text.get(at + 2..at + 6)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u16::from_str_radix(digits, 16).ok()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.bytes[self.at..].starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn fault(&self, words: &str) -> Fault {
        fault_at(self.text, self.at, words)
    }
}

/// A fault and its place, counted in characters as Python counts.
fn fault_at(text: &str, at: usize, words: &str) -> Fault {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |n| n + 1);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    Fault(format!("{words}: line {line} column {column} (char {})", before.chars().count()))
}

fn out_of_range(word: &str) -> Fault {
    Fault(format!("Out of range float values are not JSON compliant: '{word}'"))
}

/// The member names of one object. Few are compared one by one; many are hashed, so that cost stays linear.
#[derive(Default)]
struct Names<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

const FEW: usize = 16;

impl<'a> Names<'a> {
    /// Whether the name is new.
    fn insert(&mut self, name: Cow<'a, str>) -> bool {
        if self.few.contains(&name) {
            return false;
        }
        if self.few.len() < FEW {
            self.few.push(name);
            return true;
        }
        self.many.insert(name)
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
