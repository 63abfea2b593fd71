//! The other services that may ask about tokens and end sessions: names and secrets in the operator's configuration.

use crypto::keyed;
use crypto::secret::Secret;

/// A service with its secret, of which only the digest is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCredential {
    /// Its name (`client_id` of RFC 6749).
    pub id: String,
    digest: [u8; 32],
}

impl ServiceCredential {
    /// The secret must be random and long: it is compared, not stretched.
    #[must_use]
    pub fn new(id: String, secret: &Secret) -> Self {
        Self { id, digest: keyed::sha256(secret.as_bytes()) }
    }
}

/// The service whose name and secret these are. Takes the same time for any secret of a length, known name or not.
#[must_use]
pub fn authenticate<'a>(
    credentials: &'a [ServiceCredential],
    id: &str,
    secret: &[u8],
) -> Option<&'a ServiceCredential> {
    let digest = keyed::sha256(secret);
    let mut found = None;
    for credential in credentials {
        let same_secret = keyed::equal(&credential.digest, &digest);
        let same_id = keyed::equal(credential.id.as_bytes(), id.as_bytes());
        if same_id & same_secret {
            found = Some(credential);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    // SE-07
    #[test]
    fn name_and_secret_must_be_of_one_service() {
        let credential = |id: &str, secret: &str| {
            ServiceCredential::new(id.into(), &Secret::new(secret.as_bytes().to_vec()))
        };
        let known = [credential("catalog", "first secret"), credential("orders", "second secret")];
        let asked =
            |id, secret: &str| authenticate(&known, id, secret.as_bytes()).map(|found| found.id.as_str());
        assert_eq!(asked("catalog", "first secret"), Some("catalog"));
        assert_eq!(asked("orders", "second secret"), Some("orders"));
        for (id, secret) in [
            ("catalog", "second secret"),
            ("Catalog", "first secret"),
            ("", ""),
            ("catalog", ""),
            ("x", "first secret"),
        ] {
            assert_eq!(asked(id, secret), None, "{id} {secret}");
        }
    }
}
