//! The two names a session has in its tokens.

use std::fmt;

/// Names a session: 12 random bytes, then the epoch of its user, big endian.
///
/// So a session says itself in which epoch of its user it was opened, and ending all sessions of a user is raising
/// one number. Text form: 32 lower-case hex digits (claim `sid`). Not a secret.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// A new session in this epoch of its user.
    pub fn new(random: [u8; 12], epoch: u32) -> Self {
        let mut bytes = [0; 16];
        bytes[..12].copy_from_slice(&random);
        bytes[12..].copy_from_slice(&epoch.to_be_bytes());
        Self(bytes)
    }

    /// From the database.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// For the database.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The epoch of the user in which the session was opened.
    pub const fn epoch(&self) -> u32 {
        u32::from_be_bytes([self.0[12], self.0[13], self.0[14], self.0[15]])
    }

    /// Reads the text form; upper case, hyphens or another length are refused.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(self.0, f)
    }
}

/// Names a token: the 128 bits of a version-4 UUID (RFC 9562). Text form: 32 lower-case hex digits (claim `jti`).
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Jti([u8; 16]);

impl Jti {
    /// A new name; sets the version and variant bits.
    pub const fn new(random: [u8; 16]) -> Self {
        let mut bytes = random;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// From the database.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// For the database.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the text form; upper case, hyphens or another length are refused.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }
}

impl fmt::Display for Jti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(self.0, f)
    }
}

/// Reads 32 lower-case hex digits.
fn parse_hex(text: &str) -> Option<[u8; 16]> {
    let digits: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 16];
    let mut wrong = 0;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (HEX_VALUES[usize::from(pair[0])], HEX_VALUES[usize::from(pair[1])]);
        wrong |= high | low;
        *byte = high << 4 | low;
    }
    // Digits have values below 16, so anything above comes from a character that is none.
    (wrong < 16).then_some(bytes)
}

/// The value of each character as a lower-case hex digit; 255 for those that are none. On the path of every token check.
const HEX_VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut n = 0;
    while n < 16 {
        values[b"0123456789abcdef"[n] as usize] = n as u8;
        n += 1;
    }
    values
};

fn write_hex(bytes: [u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    f.write_str(str::from_utf8(&digits).expect("hex digits are ASCII"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_jti_is_a_version_4_uuid() {
        assert_eq!(Jti::new([0xff; 16]).to_string(), "ffffffffffff4fffbfffffffffffffff");
        assert_eq!(Jti::new([0; 16]).to_string(), "00000000000040008000000000000000");
    }

    #[test]
    fn a_session_id_carries_its_epoch() {
        let id = SessionId::new([0xab; 12], 0x0102_0304);
        assert_eq!(id.to_string(), "abababababababababababab01020304");
        assert_eq!(id.epoch(), 0x0102_0304);
    }

    proptest! {
        #[test]
        fn text_forms_round_trip_and_nothing_else_parses(bytes: [u8; 16], other in "[0-9a-fA-F-]{30,36}") {
            let text = SessionId::from_bytes(bytes).to_string();
            prop_assert_eq!(SessionId::parse(&text), Some(SessionId::from_bytes(bytes)));
            prop_assert_eq!(Jti::parse(&text), Some(Jti::from_bytes(bytes)));
            let plain = other.len() == 32 && !other.bytes().any(|b| b == b'-' || b.is_ascii_uppercase());
            prop_assert_eq!(Jti::parse(&other).is_some(), plain);
        }
    }
}
