//! Mails: what they say, how they are put together, and the ways they leave by. This crate knows no users and no database;
//! when a mail is sent, and again if that failed, is the business of `service::mail`.
//!
//! | module | what |
//! |---|---|
//! | [`template`] | the texts, built in and an operator's own |
//! | `message` | a rendered text as a message (RFC 5322, MIME) |
//! | [`transport`] | SMTP, a folder, memory |
//!
//! # How to add a mail
//! A variant of [`template::Template`], its two files in `templates/en`, and its values in `Template::samples`. A test renders
//! them all.
//!
//! # How to add a language
//! A folder beside `templates/en` with the same files, and its name in `template::BUILT_IN`. An operator does the same in the
//! folder of MAIL_TEMPLATES without a build.
#![warn(missing_docs)]

mod message;
pub mod template;
pub mod transport;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use lettre::message::Mailbox;

pub use template::{Template, Templates};
pub use transport::{SendError, Transport};

/// A mail to be sent.
#[derive(Clone, Debug)]
pub struct Mail<'a> {
    /// Names the mail: its Message-ID is made of it, so that every attempt has the same one.
    pub id: [u8; 16],
    /// Which text.
    pub template: Template,
    /// In which language; English where there is none.
    pub language: &'a str,
    /// The address that it goes to.
    pub to: &'a str,
    /// What the text leaves open.
    pub values: BTreeMap<String, String>,
    /// When it was written: its Date header.
    pub date: SystemTime,
}

/// Writes mails and sends them. Cheap to clone.
#[derive(Clone)]
pub struct Mailer(Arc<Inner>);

struct Inner {
    templates: Templates,
    from: Mailbox,
    transport: Transport,
}

/// What is wrong with an address that mails should come from.
#[derive(Debug, thiserror::Error)]
#[error("it is no address that mail can come from: {0}")]
pub struct BadSender(String);

impl Mailer {
    /// Mails from this address (`Name <local@domain>`), by this way.
    ///
    /// # Errors
    /// [`BadSender`].
    pub fn new(from: &str, templates: Templates, transport: Transport) -> Result<Self, BadSender> {
        let from = from.parse().map_err(|error| BadSender(format!("{error}")))?;
        Ok(Self(Arc::new(Inner { templates, from, transport })))
    }

    /// Sends a mail. `Ok` means that another has taken it on: a server, a folder.
    ///
    /// # Errors
    /// [`SendError`], which says whether it is worth another attempt.
    pub async fn send(&self, mail: &Mail<'_>) -> Result<(), SendError> {
        let text = self.0.templates.render(mail.template, mail.language, &mail.values)?;
        let message = message::build(&self.0.from, mail, &text)?;
        self.0.transport.send(mail, &text, &message).await
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailer({} by {:?})", self.0.from, self.0.transport)
    }
}
