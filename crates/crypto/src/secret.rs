//! Bytes that must not be printed and are wiped when they are no longer needed (KY-01).

use std::fmt;

use zeroize::Zeroizing;

/// The bytes of a secret: a signing secret, a key-encryption key, a database password.
///
/// `Debug` shows its length only, there is no `Display`, and the memory is overwritten on drop.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over. Copies that the caller made before are the caller's to wipe.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to be handed to a key and nowhere else.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all: such a secret protects nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl PartialEq for Secret {
    /// Constant time for equal lengths.
    fn eq(&self, other: &Self) -> bool {
        crate::keyed::equal(self.as_bytes(), other.as_bytes())
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::Secret;

    // KY-01
    #[test]
    fn debug_shows_nothing_of_the_content() {
        let secret = Secret::from("correct horse battery staple".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(28 bytes)");
        assert_eq!(format!("{:?}", Some(&secret)), "Some(Secret(28 bytes))");
    }

    #[test]
    fn equality_looks_at_all_bytes() {
        let secret = |text: &str| Secret::from(text.to_owned());
        assert_eq!(secret("abc"), secret("abc"));
        assert_ne!(secret("abc"), secret("abd"));
        assert_ne!(secret("abc"), secret("ab"));
    }
}
