//! Which keys are good enough to sign tokens (KY-02), and where they are read.

use std::path::Path;

use crypto::jws::Algorithm;
use crypto::secret::Secret;

use super::Mode;
use super::problem::Problem;
use super::sources::read_bounded;

/// Fewest bytes of a key in production: as many as the digest has (RFC 7518 section 3.2).
pub(crate) const MIN_BYTES: usize = 32;
/// Most bytes of a key file.
const MAX_BYTES: u64 = 64 * 1024;
/// What keys begin with that `dev` has made; production refuses them.
pub(crate) const DEV_PREFIX: &str = "dev-only-";
/// How Django marks the key that it puts into a new project's settings file.
const DJANGO_PREFIX: &str = "django-insecure-";

/// How to make a key.
pub(crate) const MAKE_ONE: &str = "make one with `openssl rand -base64 48`";

/// Words that examples in documentation are made of, without anything but letters and digits.
const EXAMPLES: &[&str] = &[
    "changeme",
    "changethis",
    "replaceme",
    "replacethis",
    "yoursecret",
    "mysecret",
    "supersecret",
    "secretkey",
    "notsecret",
    "notasecret",
    "insertsecret",
    "secrethere",
    "keyhere",
    "example",
    "placeholder",
    "insecurekey",
    "donotuse",
    "dontuse",
    "todo",
    "foobar",
    "bookstore",
    "correcthorse",
    "password",
];

/// Reads a key from a file; one newline at the end is not part of it. `name` is the setting that names the file.
///
/// # Errors
/// The problem, ready to be shown.
pub(crate) fn from_file(name: &str, path: &Path) -> Result<Secret, Problem> {
    let mut bytes = read_bounded(path, MAX_BYTES).map_err(|error| {
        Problem::new(
            format!("{name} {} cannot be read: {error}.", path.display()),
            "correct the path, or the permissions of the file.",
        )
    })?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        return Err(Problem::new(
            format!("{name} {} is empty.", path.display()),
            format!("write the key into it; {MAKE_ONE}."),
        ));
    }
    Ok(Secret::new(bytes))
}

/// Why a key must not sign in production; `None` when it may. `name` says which setting it is.
pub(crate) fn fault(name: &str, key: &Secret, allow_short: bool) -> Option<Problem> {
    let bytes = key.as_bytes();
    if bytes.starts_with(DEV_PREFIX.as_bytes()) {
        return Some(Problem::new(
            format!("{name} is a key made by `bookstore-auth dev`."),
            format!("production needs a key of its own: {MAKE_ONE}."),
        ));
    }
    if is_example(bytes) {
        return Some(Problem::new(
            format!("{name} is an example or a pattern that anybody could guess."),
            format!("{MAKE_ONE}."),
        ));
    }
    if bytes.len() < MIN_BYTES && !allow_short {
        return Some(Problem::new(
            format!("{name} has {} bytes; HS256 needs at least {MIN_BYTES}.", bytes.len()),
            format!(
                "{MAKE_ONE}, and give it to every service that checks tokens. If the key cannot be changed yet, set \
                 ALLOW_SHORT_SECRET_KEY=true."
            ),
        ));
    }
    None
}

/// What is missing when public keys are to sign.
pub(crate) fn no_encryption_key(algorithm: Algorithm) -> Problem {
    Problem::new(
        format!("KEY_ENCRYPTION_KEY is not set; SIGNING_ALG={} needs it.", algorithm.name()),
        format!("set KEY_ENCRYPTION_KEY or KEY_ENCRYPTION_KEY_FILE to a secret of its own: {MAKE_ONE}."),
    )
}

/// Why a key must not encrypt the signing keys; `None` when it may. `shared` are the secrets that other services hold.
pub(crate) fn encryption_fault<'a>(
    key: &Secret,
    mut shared: impl Iterator<Item = (&'static str, &'a Secret)>,
    mode: Mode,
) -> Option<Problem> {
    let mend = format!("it must be a secret of its own, that no other service holds: {MAKE_ONE}.");
    if let Some((name, _)) = shared.find(|(_, other)| key.is_related_to(other)) {
        return Some(Problem::new(format!("KEY_ENCRYPTION_KEY is {name}, or is made from it."), mend));
    }
    let bytes = key.as_bytes();
    if bytes.len() < MIN_BYTES {
        let what = format!("KEY_ENCRYPTION_KEY has {} bytes; it needs at least {MIN_BYTES}.", bytes.len());
        return Some(Problem::new(what, mend));
    }
    if mode == Mode::Serve && (bytes.starts_with(DEV_PREFIX.as_bytes()) || is_example(bytes)) {
        let what = "KEY_ENCRYPTION_KEY is an example, a pattern, or made by `bookstore-auth dev`.";
        return Some(Problem::new(what, mend));
    }
    None
}

/// What is odd about a key without being refused.
pub(crate) fn oddity(name: &str, key: &Secret) -> Option<String> {
    let bytes = key.as_bytes();
    if bytes.starts_with(DJANGO_PREFIX.as_bytes()) {
        return Some(format!(
            "{name} begins with {DJANGO_PREFIX}: Django's mark of a key made for development, usually kept in the \
             repository. Change it; SECRET_KEY_FALLBACKS does that without signing anybody out"
        ));
    }
    let ends = [bytes.first(), bytes.last()];
    if ends.iter().flatten().any(|byte| byte.is_ascii_whitespace()) {
        return Some(format!("{name} begins or ends with white space, which is part of the key"));
    }
    None
}

/// Whether a key comes from a page of documentation, repeats itself, or has hardly any variety.
fn is_example(bytes: &[u8]) -> bool {
    let plain: String = bytes
        .iter()
        .filter(|byte| byte.is_ascii_alphanumeric())
        .map(|byte| byte.to_ascii_lowercase() as char)
        .collect();
    if EXAMPLES.iter().any(|word| plain.contains(word)) {
        return true;
    }
    if matches!(
        plain.as_str(),
        "" | "secret" | "test" | "dev" | "key" | "admin" | "django" | "jwt" | "insecure"
    ) {
        return true;
    }
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let distinct = seen.iter().filter(|seen| **seen).count();
    distinct < 6 || repeats(bytes) || counts_up(bytes)
}

/// Whether the whole is a shorter piece over and over.
fn repeats(bytes: &[u8]) -> bool {
    (1..=bytes.len() / 2).any(|period| bytes.iter().zip(&bytes[period..]).all(|(a, b)| a == b))
}

/// Whether every byte follows from the one before it, as in `abcdef` or `012345`.
fn counts_up(bytes: &[u8]) -> bool {
    let steps = bytes.windows(2).filter(|pair| pair[1] == pair[0].wrapping_add(1)).count();
    steps * 10 >= bytes.len() * 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    // KY-02: example and patterned keys are refused whatever their length.
    #[test]
    fn examples_are_refused() {
        for text in [
            "secret",
            "changeme",
            "change-me-change-me-please-change-me-now",
            "your-secret-key-goes-here-0123456789abcdef",
            "your_secret_key",
            "django",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "0123456789abcdef0123456789abcdef0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "this is an example key, thirty-two bytes",
            "dev-only-5b1e0c1d9f8e7a6b5c4d3e2f1a0b9c8d",
            "----------------------------------------",
        ] {
            assert!(fault("SECRET_KEY", &key(text), true).is_some(), "{text}");
        }
    }

    #[test]
    fn random_keys_of_any_spelling_are_good() {
        for text in [
            "3f9c1b7e5d2a4860c1e8f7b6a5d4938271605f4e3d2c1b0a9f8e7d6c5b4a3928",
            "k8Jx2/QpVbN0sYwLr5Zt+Dg7HcMfA1uE3oXi9KvTn6Uj4PlSqRyWzBhGaCeOdImF",
            "g!x^4w0)t=5r$2#b(9@z&k_e*u1-q+7y%p3h8m6n",
            "9d3fa1c47be05682f1d94c3ab8e76f20",
        ] {
            assert_eq!(fault("SECRET_KEY", &key(text), false), None, "{text}");
        }
    }

    #[test]
    fn short_keys_need_the_operators_word() {
        let short = key("g!x^4w0)t=5r$2#b(9@z");
        let problem = fault("SECRET_KEY", &short, false).unwrap();
        assert!(problem.what.contains("20 bytes") && problem.mend.contains("ALLOW_SHORT_SECRET_KEY"));
        assert_eq!(fault("SECRET_KEY", &short, true), None);
    }

    #[test]
    fn odd_keys_are_pointed_out() {
        assert!(oddity("SECRET_KEY", &key("django-insecure-g!x^4w0)t=5r$2#b(9@z&k_e*u1")).is_some());
        assert!(oddity("SECRET_KEY", &key("g!x^4w0)t=5r$2#b(9@z&k_e*u1 ")).is_some());
        assert_eq!(oddity("SECRET_KEY", &key("g!x^4w0)t=5r$2#b(9@z&k_e*u1")), None);
    }

    // design: one newline at the end of a key file is the editor's, everything else is the key's.
    #[test]
    fn one_newline_at_the_end_of_a_file_is_not_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for (content, expected) in
            [("abc", "abc"), ("abc\n", "abc"), ("abc\r\n", "abc"), ("abc\n\n", "abc\n"), (" abc \n", " abc ")]
        {
            std::fs::write(&path, content).unwrap();
            assert_eq!(from_file("SECRET_KEY_FILE", &path).unwrap(), key(expected), "{content:?}");
        }
        std::fs::write(&path, "\n").unwrap();
        assert!(from_file("SECRET_KEY_FILE", &path).is_err());
        assert!(from_file("SECRET_KEY_FILE", &folder.path().join("none")).is_err());
    }
}
