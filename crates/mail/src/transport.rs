//! The ways that mails leave by.

use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use parking_lot::Mutex;

use crate::Mail;
use crate::message::hex;
use crate::template::{Rendered, Template};

/// Why a mail was not sent. The text is for logs: it holds no secret and nothing of the mail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may go later.
    #[error("{0}")]
    Later(String),
    /// It will never go: the server refuses it for good, or the address is none.
    #[error("{0}")]
    Never(String),
}

/// How the connection to a mail server is protected. There is no way from one to another: a server that does not offer what is
/// asked for gets no mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// STARTTLS (RFC 3207), or nothing is sent.
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// None; for a server on this machine.
    Plain,
}

/// Where a mail server is, and how it is spoken to.
#[derive(Clone)]
pub struct SmtpSettings {
    /// Its name, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub protection: Protection,
    /// Name and password, where the server wants them.
    pub credentials: Option<(String, String)>,
    /// The time for a whole delivery.
    pub timeout: Duration,
    /// How we introduce ourselves (RFC 5321 section 4.1.1.1).
    pub hello: String,
}

/// A way that mails leave by.
#[derive(Clone)]
pub enum Transport {
    /// A mail server.
    Smtp(Smtp),
    /// A folder of `.eml` files, for the development mode.
    Folder(PathBuf),
    /// A list in memory, for tests.
    Memory(Outbox),
}

/// A mail server.
#[derive(Clone)]
pub struct Smtp {
    server: AsyncSmtpTransport<Tokio1Executor>,
    timeout: Duration,
    name: String,
}

impl Transport {
    /// A mail server. It is not spoken to before there is a mail.
    ///
    /// # Errors
    /// When no certificate can be checked here.
    pub fn smtp(settings: SmtpSettings) -> Result<Self, SendError> {
        let SmtpSettings { host, port, protection, credentials, timeout, hello } = settings;
        let tls = || {
            TlsParameters::new_rustls(host.clone())
                .map_err(|error| SendError::Never(format!("TLS cannot be set up: {error}")))
        };
        let tls = match protection {
            Protection::StartTls => Tls::Required(tls()?),
            Protection::Tls => Tls::Wrapper(tls()?),
            Protection::Plain => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.clone())
            .port(port)
            .tls(tls)
            .hello_name(ClientId::Domain(hello))
            .timeout(Some(timeout));
        if let Some((name, password)) = credentials {
            builder = builder.credentials(Credentials::new(name, password));
        }
        Ok(Self::Smtp(Smtp { server: builder.build(), timeout, name: format!("{host}:{port}") }))
    }

    pub(crate) async fn send(
        &self,
        mail: &Mail<'_>,
        text: &Rendered,
        message: &Message,
    ) -> Result<(), SendError> {
        match self {
            Self::Smtp(smtp) => smtp.send(message).await,
            Self::Folder(folder) => {
                let (folder, name, bytes) = (folder.clone(), hex(&mail.id), message.formatted());
                let written = tokio::task::spawn_blocking(move || write(&folder, &name, &bytes)).await;
                let written = written.map_err(|error| SendError::Later(error.to_string()))?;
                let path = written
                    .map_err(|error| SendError::Later(format!("the mail cannot be written: {error}")))?;
                show(mail, text, &path);
                Ok(())
            }
            Self::Memory(outbox) => outbox.take(mail, text, message),
        }
    }
}

impl Smtp {
    async fn send(&self, message: &Message) -> Result<(), SendError> {
        match tokio::time::timeout(self.timeout, self.server.send(message.clone())).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_permanent() && names_the_recipient(&error) => {
                Err(SendError::Never(words(&error)))
            }
            Ok(Err(error)) => Err(SendError::Later(words(&error))),
            Err(_) => Err(SendError::Later("the mail server took too long".to_owned())),
        }
    }
}

/// Whether a refusal for good is about the mail's address. Most others are about us (a refused login, a relay that has blocked us, a
/// wrong sender): somebody mends that, and the mail goes out after all.
fn names_the_recipient(error: &lettre::transport::smtp::Error) -> bool {
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    let said = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    is_about_recipient(&code, &said)
}

/// By the enhanced status (RFC 3463: X.1 is the address, X.2 the mailbox), or where there is none by the code (RFC 5321 section
/// 4.2.3), of which 554 may mean anything.
fn is_about_recipient(code: &str, said: &str) -> bool {
    let mut status = said.split_whitespace().next().unwrap_or_default().split('.');
    match (status.next(), status.next(), status.next()) {
        (Some("5"), Some(subject), Some(_)) => matches!(subject, "1" | "2"),
        _ => matches!(code, "550" | "551" | "552" | "553"),
    }
}

/// What happened, without the server's words: those may repeat an address.
fn words(error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("the mail server answered {code}"),
        None if error.is_timeout() => "the mail server took too long".to_owned(),
        None if error.is_tls() => format!("no protected connection to the mail server: {}", chain(error)),
        None => format!("the mail server cannot be used: {}", chain(error)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Written whole, for its owner alone: mails hold links that open accounts.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<PathBuf> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let (path, unfinished) = (folder.join(format!("{name}.eml")), folder.join(format!("{name}.tmp")));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    std::fs::rename(&unfinished, &path)?;
    Ok(path)
}

/// For the developer who waits for it.
fn show(mail: &Mail<'_>, text: &Rendered, path: &Path) {
    let lines = format!("--- mail to {}: {}\n{}\n--- {}\n", mail.to, text.subject, text.text, path.display());
    // Nobody may be reading.
    let _ = std::io::stdout().lock().write_all(lines.as_bytes());
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smtp(smtp) => write!(f, "Smtp({})", smtp.name),
            Self::Folder(folder) => write!(f, "Folder({})", folder.display()),
            Self::Memory(_) => f.write_str("Memory"),
        }
    }
}

/// A mail that came to an [`Outbox`].
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its id.
    pub id: [u8; 16],
    /// Which it is.
    pub template: Template,
    /// Where it went.
    pub to: String,
    /// What it says.
    pub text: Rendered,
    /// The message as a server would have got it.
    pub message: Vec<u8>,
}

/// Mails in memory: what tests send to.
#[derive(Clone, Default)]
pub struct Outbox(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    sent: Vec<Sent>,
    refusal: Option<SendError>,
}

impl Outbox {
    /// All that came so far, in order.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.0.lock().sent.clone()
    }

    /// From now on every mail is refused like this, or taken again.
    pub fn refuse(&self, refusal: Option<SendError>) {
        self.0.lock().refusal = refusal;
    }

    fn take(&self, mail: &Mail<'_>, text: &Rendered, message: &Message) -> Result<(), SendError> {
        let mut inner = self.0.lock();
        if let Some(refusal) = &inner.refusal {
            return Err(refusal.clone());
        }
        inner.sent.push(Sent {
            id: mail.id,
            template: mail.template,
            to: mail.to.to_owned(),
            text: text.clone(),
            message: message.formatted(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_whole_and_for_their_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = folder.path().join("outbox");
        let path = write(&outbox, "abc", b"mail").expect("written");
        write(&outbox, "abc", b"mail").expect("written again by another attempt");
        assert_eq!(std::fs::read(&path).expect("readable"), b"mail");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&outbox), mode(&path)), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&outbox).expect("readable").count(), 1);
    }

    // KY-01
    #[test]
    fn settings_show_no_password() {
        let settings = SmtpSettings {
            host: "localhost".to_owned(),
            port: 25,
            protection: Protection::Plain,
            credentials: Some(("user".to_owned(), "canary".to_owned())),
            timeout: Duration::from_secs(1),
            hello: "localhost".to_owned(),
        };
        assert_eq!(
            format!("{:?}", Transport::smtp(settings).expect("no TLS to set up")),
            "Smtp(localhost:25)"
        );
    }

    #[test]
    fn only_refusals_of_the_recipient_are_for_good() {
        let for_good = [
            ("550", "5.1.1 no such user"),
            ("552", "5.2.2 mailbox full"),
            ("550", "No such user"),
            ("553", ""),
        ];
        let of_ours = [
            ("554", "5.7.1 blocked"),
            ("550", "5.7.1 your address is on a list"),
            ("554", "no service for you"),
            ("535", "5.7.8 wrong password"),
            ("530", "Must issue a STARTTLS command first"),
            ("", ""),
        ];
        assert!(for_good.iter().all(|(code, said)| is_about_recipient(code, said)));
        assert!(!of_ours.iter().any(|(code, said)| is_about_recipient(code, said)));
    }
}
