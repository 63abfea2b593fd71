//! The other services: SERVICE_CREDENTIALS and FORWARD_AUTH_COOKIE.

use std::time::Duration;

use crypto::secret::Secret;
use service::credential::ServiceCredential;

use super::Mode;
use super::problem::Problem;
use super::reader::Reader;
use super::settings::is_good_issuer;

/// The shortest secret: it is compared, not stretched, so it must not be guessable.
const MIN_SECRET: usize = 32;

/// What the other services and reverse proxies are told and taken for.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) credentials: Vec<ServiceCredential>,
    pub(crate) cookie: Option<String>,
    /// Where the service is reached from outside, without a slash at its end.
    pub(crate) public_url: Option<String>,
    pub(crate) status_list_ttl: Duration,
}

pub(super) fn settle(reader: &mut Reader<'_>) -> Services {
    let mut credentials: Vec<ServiceCredential> = Vec::new();
    for entry in reader.secret_list("SERVICE_CREDENTIALS") {
        match credential(&entry, &credentials) {
            Ok(credential) => credentials.push(credential),
            Err(what) => reader.problems.push(Problem::new(
                format!("SERVICE_CREDENTIALS holds {what}."),
                "write name:secret for each service, separated by spaces; secrets are random, 32 characters or more.",
            )),
        }
    }
    let cookie = reader.optional_text("FORWARD_AUTH_COOKIE");
    if let Some(name) = cookie.as_deref().filter(|name| !is_cookie_name(name)) {
        reader.problems.push(Problem::new(
            format!("FORWARD_AUTH_COOKIE is {name:?}, which no cookie can be called."),
            "use letters, digits, - and _.",
        ));
    }
    let public_url = public_url(reader);
    Services { credentials, cookie, public_url, status_list_ttl: reader.duration("STATUS_LIST_TTL") }
}

fn public_url(reader: &mut Reader<'_>) -> Option<String> {
    let url = reader.optional_text("PUBLIC_URL")?;
    let (scheme, rest) = url.split_once("://").unwrap_or(("", ""));
    let known = matches!(scheme, "https" | "http") && !rest.is_empty() && !rest.contains(['?', '#', ' ']);
    if !known || (reader.mode == Mode::Serve && !is_good_issuer(&url)) {
        reader.problems.push(Problem::new(
            format!("PUBLIC_URL is {url:?}, which is not where others can reach the service safely."),
            "write an address such as https://auth.example, with a path if there is one.",
        ));
        return None;
    }
    Some(url.trim_end_matches('/').to_owned())
}

/// One entry; what is wrong with it names the service, never its secret.
fn credential(entry: &Secret, others: &[ServiceCredential]) -> Result<ServiceCredential, String> {
    let text = str::from_utf8(entry.as_bytes()).map_err(|_| "an entry that is no text".to_owned())?;
    let Some((id, secret)) = text.split_once(':') else {
        return Err("an entry without a colon".to_owned());
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() || !id.chars().all(plain) {
        return Err("a name that is not of letters, digits, -, _ and .".to_owned());
    }
    if secret.len() < MIN_SECRET {
        return Err(format!("a secret of fewer than {MIN_SECRET} characters, that of {id}"));
    }
    if others.iter().any(|other| other.id == id) {
        return Err(format!("{id} twice"));
    }
    Ok(ServiceCredential::new(id.to_owned(), &Secret::from(secret.to_owned())))
}

fn is_cookie_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    // SE-07, KY-01
    #[test]
    fn faulty_entries_are_named_without_their_secrets() {
        let long = "s".repeat(MIN_SECRET);
        let read = |text: String| credential(&Secret::from(text), &[]);
        assert!(read(format!("catalog:{long}:with:colons")).is_ok_and(|known| known.id == "catalog"));
        for (entry, words) in [
            (long.clone(), "an entry without a colon"),
            (format!(":{long}"), "a name that"),
            (format!("cat alog:{long}"), "a name that"),
            (format!("catalog:{}", &long[1..]), "a secret of fewer than 32 characters, that of catalog"),
        ] {
            let fault = read(entry).unwrap_err();
            assert!(fault.starts_with(words) && !fault.contains("sss"), "{fault}");
        }
        let first = read(format!("catalog:{long}")).unwrap();
        assert_eq!(
            credential(&Secret::from(format!("catalog:{long}")), &[first]),
            Err("catalog twice".into())
        );
    }
}
