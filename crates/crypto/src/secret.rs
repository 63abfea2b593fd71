//! Bytes that must not be printed and are wiped when they are no longer needed (KY-01).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
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

impl Secret {
    /// Whether this secret says something about `other`: equal, one within the other, or one of the usual ways to make a
    /// second secret of a first (its SHA-256, hex or base64 of either), whatever the case of letters.
    ///
    /// A key-encryption key must not be related to a secret that many hold. What cannot be seen here, such as a digest of both with
    /// a word between, is the operator's conscience.
    pub fn is_related_to(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.as_bytes(), other.as_bytes());
        if ours.is_empty() || theirs.is_empty() {
            return false;
        }
        derived(theirs).iter().any(|form| meets(ours, form))
            || derived(ours).iter().any(|form| meets(theirs, form))
    }
}

/// A secret and what is commonly made of it.
fn derived(secret: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let trimmed = secret.trim_ascii();
    let digests = [crate::keyed::sha256(secret), crate::keyed::sha256(trimmed), with_newline(trimmed)];
    let mut forms = vec![secret.to_vec(), trimmed.to_vec(), secret.iter().rev().copied().collect()];
    for plain in std::iter::once(trimmed).chain(digests.iter().map(<[u8; 32]>::as_slice)) {
        let hex: String = plain.iter().map(|byte| format!("{byte:02x}")).collect();
        forms.extend([plain.to_vec(), hex.into_bytes()]);
        forms.extend([STANDARD_NO_PAD.encode(plain), URL_SAFE_NO_PAD.encode(plain)].map(String::into_bytes));
    }
    forms.into_iter().filter(|form| !form.is_empty()).map(Zeroizing::new).collect()
}

/// SHA-256 of the secret and a newline: `echo` puts one into `sha256sum`.
fn with_newline(secret: &[u8]) -> [u8; 32] {
    crate::keyed::sha256(&[secret, b"\n"].concat())
}

/// Whether one is within the other. Short ones are in everything by chance.
fn meets(a: &[u8], b: &[u8]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let chance = short.len() < 8 && short.len() != long.len();
    !chance && long.windows(short.len()).any(|part| part.eq_ignore_ascii_case(short))
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

    // KY-02
    #[test]
    fn secrets_made_of_one_another_are_related() {
        let secret = |text: &str| Secret::from(text.to_owned());
        let base = secret("g!x^4w0)t=5r$2#b(9@z&k_e*u1-q+7y%p3h8m6n");
        for related in [
            "g!x^4w0)t=5r$2#b(9@z&k_e*u1-q+7y%p3h8m6n",
            "G!X^4W0)T=5R$2#B(9@Z&K_E*U1-Q+7Y%P3H8M6N",
            "kek-g!x^4w0)t=5r$2#b(9@z&k_e*u1-q+7y%p3h8m6n",
            "g!x^4w0)t=5r$2#b(9@z&k_e*u1-q+7y",
            "g!x^4w0)t=5r$2#b(9@z&k_e*u1-q+7y%p3h8m6n\n",
            "n6m8h3p%y7+q-1u*e_k&z@9(b#2$r5=t)0w4^x!g",
            // base64, then hex of the SHA-256 and of the SHA-256 with a newline, by coreutils
            "ZyF4XjR3MCl0PTVyJDIjYig5QHoma19lKnUxLXErN3klcDNoOG02bg==",
            "c97f3bf47c2c31fe0aa498dc4ce77456db59cc76a096a8a7a3b49f29bdb1ee83",
            "7508891efb44aed5f317b9342def6d3c1db37f9c28a729caaa08d117a547d40d",
        ] {
            assert!(secret(related).is_related_to(&base), "{related}");
            assert!(base.is_related_to(&secret(related)), "{related}");
        }
        for other in ["9d3fa1c47be05682f1d94c3ab8e76f20", "k8Jx2/QpVbN0sYwLr5Zt+Dg7HcMfA1uE3oXi9Kv", ""] {
            assert!(!secret(other).is_related_to(&base), "{other}");
        }
    }

    #[test]
    fn equality_looks_at_all_bytes() {
        let secret = |text: &str| Secret::from(text.to_owned());
        assert_eq!(secret("abc"), secret("abc"));
        assert_ne!(secret("abc"), secret("abd"));
        assert_ne!(secret("abc"), secret("ab"));
    }
}
