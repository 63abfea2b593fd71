//! E-mail addresses by the rules of Django's `EmailValidator`, so that no address it took is refused.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::idna2003;
use crate::field::{self, Message};
use crate::text;

/// The longest address, in code points (RFC 5321 as corrected by erratum 1690).
const MAX_LENGTH: usize = 254;
const INVALID: &str = "Enter a valid email address.";

/// An e-mail address: trimmed, its domain in lower case, at most 254 code points; or blank.
///
/// Accepted does not mean that it exists or belongs to the account: that takes a mail to it. It holds no line break
/// and no space outside quotes, and the part after the last `@` is the domain (IN-04).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Reads a new address. Blank is allowed: such an account cannot recover its password.
    ///
    /// # Errors
    /// All of Django's messages that apply, in its order.
    pub fn parse(raw: &str) -> Result<Self, Vec<Message>> {
        let text = text::trim(raw);
        let messages = faults(text, None);
        if !messages.is_empty() {
            return Err(messages);
        }
        Ok(Self(lower_domain(text)))
    }

    /// The messages for an address that also held a lone surrogate, `unit` (replaced by U+FFFD in `raw`).
    pub fn messages_with_surrogate(raw: &str, unit: u16) -> Vec<Message> {
        faults(text::trim(raw), Some(unit))
    }

    /// An address that was accepted before: from the database or an import. Not checked.
    pub fn from_stored(address: String) -> Self {
        Self(address)
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_blank(&self) -> bool {
        self.0.is_empty()
    }
}

/// What makes an address the same as another: ASCII letters in lower case, and the domain as it is in the DNS (UTS 46, not
/// transitional, as those who send mail there do it): `user@BÜCHER.example` and `user@xn--bcher-kva.example` are one mailbox. No more than
/// that: where letters of other alphabets are folded before the @, somebody else's address becomes one's own (CVE-2019-19844).
#[derive(Clone, Debug)]
pub struct EmailKey {
    key: String,
    others: Vec<String>,
}

impl EmailKey {
    /// The key of what somebody typed as an address, whether or not it could be one.
    pub fn of(raw: &str) -> Self {
        let text = text::trim(raw);
        let typed = Self { key: text.to_ascii_lowercase(), others: Vec::new() };
        let Some((local, domain)) = text.rsplit_once('@').filter(|(_, domain)| is_foreign(domain)) else {
            return typed;
        };
        let Ok(ascii) = idna::domain_to_ascii(domain) else { return typed };
        let local = local.to_ascii_lowercase();
        let at = |domain: &str| format!("{local}@{domain}");
        let key = at(&ascii);
        let letters = idna::domain_to_unicode(&ascii).0;
        // Capitals beyond ASCII stay what they are in the lower case of the database, and of keys from before; an import takes
        // addresses as it finds them.
        let capitals = letters.to_uppercase().to_ascii_lowercase();
        let mut others: Vec<String> = Vec::new();
        for other in [&*letters, &domain.to_lowercase(), &domain.to_ascii_lowercase(), &capitals] {
            let spelling = at(other);
            // Not every letter comes back from its capital: STRASSE is not straße.
            if spelling != key
                && !others.contains(&spelling)
                && idna::domain_to_ascii(other).is_ok_and(|is| is == ascii)
            {
                others.push(spelling);
            }
        }
        Self { key, others }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// The most spellings of one address.
    pub const MOST_SPELLINGS: usize = 5;

    /// The key, and other spellings in which the address may be stored, ASCII letters in lower case: addresses are stored as they were
    /// typed, and keys once were, too.
    pub fn spellings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.key).chain(&self.others).map(String::as_str)
    }
}

impl PartialEq for EmailKey {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for EmailKey {}

/// Whether a domain has another spelling: it has letters beyond ASCII, or stands for one that has. Not what is too long for any.
fn is_foreign(domain: &str) -> bool {
    let has_other = !domain.is_ascii() || domain.to_ascii_lowercase().contains("xn--");
    has_other && domain.chars().count() <= MAX_LENGTH
}

impl EmailAddress {
    /// What makes it the same as another address.
    pub fn key(&self) -> EmailKey {
        EmailKey::of(&self.0)
    }

    /// Where mail to it goes: what is before the @ as it was typed, and the domain as it is in the DNS.
    pub fn mailbox(&self) -> Cow<'_, str> {
        match self.0.rsplit_once('@').filter(|(_, domain)| is_foreign(domain)) {
            Some((local, domain)) => match idna::domain_to_ascii(domain) {
                Ok(ascii) => Cow::Owned(format!("{local}@{ascii}")),
                Err(_) => Cow::Borrowed(&self.0),
            },
            None => Cow::Borrowed(&self.0),
        }
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn lower_domain(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
        None => address.to_owned(),
    }
}

fn faults(text: &str, surrogate: Option<u16>) -> Vec<Message> {
    let mut messages = Vec::new();
    if text.is_empty() {
        return messages;
    }
    if text.chars().count() > MAX_LENGTH {
        messages.push(field::too_long(MAX_LENGTH));
    }
    if field::has_null(text) {
        messages.push(Cow::Borrowed(field::NULL_CHARACTERS));
    }
    messages.extend(surrogate.map(field::surrogate));
    if surrogate.is_some() || !is_valid(text) {
        messages.push(Cow::Borrowed(INVALID));
    }
    messages
}

fn is_valid(address: &str) -> bool {
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let local_ok = is_dot_atom(local) || is_quoted(local);
    local_ok && (domain == "localhost" || is_domain(domain) || is_international(domain))
}

fn is_international(domain: &str) -> bool {
    idna2003::to_ascii(domain).is_some_and(|ascii| is_domain(&ascii))
}

fn is_domain(domain: &str) -> bool {
    is_host(domain) || is_literal(domain)
}

/// A letter of A-Z in any case. Python's case-insensitive `[A-Z]` has four more, which fold to ASCII letters.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '\u{130}' | '\u{131}' | '\u{17f}' | '\u{212a}')
}

fn is_dot_atom(local: &str) -> bool {
    let is_atom = |c: char| is_letter(c) || c.is_ascii_digit() || "-!#$%&'*+/=?^_`{}|~".contains(c);
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom))
}

/// A quoted string; Django's has no white space unless escaped, and no line breaks at all.
fn is_quoted(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let fine = match c {
            '\\' => chars
                .next()
                .is_some_and(|c| is_letter(c) || (c.is_ascii() && !matches!(c, '\0' | '\n' | '\r'))),
            '\0' | '\t' | '\n' | '\r' | ' ' | '"' => false,
            _ => is_letter(c) || c.is_ascii(),
        };
        if !fine {
            return false;
        }
    }
    true
}

/// At least two labels; the last has 2 to 63 characters and may begin with a hyphen, the others have 1 to 63 and may not.
fn is_host(domain: &str) -> bool {
    let Some((parents, last)) = domain.rsplit_once('.') else { return false };
    let is_inner = |c: char| is_letter(c) || c.is_ascii_digit() || c == '-';
    let is_body = |label: &str, least: usize| {
        (least..=63).contains(&label.chars().count()) && label.chars().all(is_inner) && !label.ends_with('-')
    };
    is_body(last, 2) && parents.split('.').all(|label| is_body(label, 1) && !label.starts_with('-'))
}

/// `[address]`, IPv4 or IPv6 (RFC 5321 section 4.1.3, without its tags).
fn is_literal(domain: &str) -> bool {
    let Some(address) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return false;
    };
    address.chars().all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.')
        && (Ipv4Addr::from_str(address).is_ok() || Ipv6Addr::from_str(address).is_ok())
}

#[cfg(test)]
mod tests;
