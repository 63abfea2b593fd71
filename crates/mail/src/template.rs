//! The texts of mails: two files each, `NAME.txt` (its first line is `Subject: ..`) and `NAME.html`, in a folder for each
//! language. Values are escaped in HTML, and hold no line break anywhere; a value is never read as a template (RC-12).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::{Environment, UndefinedBehavior, Value};

use crate::transport::SendError;

/// The language of the texts that come with the program.
pub const ENGLISH: &str = "en";

/// A kind of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// A link that proves the address of an account.
    VerifyEmail,
    /// A link that proves the address that an account is to have.
    ChangeEmail,
    /// To the old address: another was asked for.
    EmailChangeRequested,
    /// To the old address: it is not the account's any more.
    EmailChanged,
    /// A link that lets a new password be set.
    ResetPassword,
    /// The password was changed.
    PasswordChanged,
    /// The password is taken no more: it was tried too often.
    PasswordStopped,
    /// A login from a device that was not seen before.
    NewLogin,
    /// The account goes at a time; a link keeps it.
    DeletionScheduled,
    /// The account is gone.
    AccountDeleted,
}

impl Template {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::VerifyEmail,
        Self::ChangeEmail,
        Self::EmailChangeRequested,
        Self::EmailChanged,
        Self::ResetPassword,
        Self::PasswordChanged,
        Self::PasswordStopped,
        Self::NewLogin,
        Self::DeletionScheduled,
        Self::AccountDeleted,
    ];

    /// Its name: of its files, and in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ChangeEmail => "change_email",
            Self::EmailChangeRequested => "email_change_requested",
            Self::EmailChanged => "email_changed",
            Self::ResetPassword => "reset_password",
            Self::PasswordChanged => "password_changed",
            Self::PasswordStopped => "password_stopped",
            Self::NewLogin => "new_login",
            Self::DeletionScheduled => "deletion_scheduled",
            Self::AccountDeleted => "account_deleted",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.name() == name)
    }

    /// The values that its text may name, as they might be; a text that names others is refused at the start.
    #[must_use]
    pub fn samples(self) -> BTreeMap<String, String> {
        let names: &[(&str, &str)] = match self {
            Self::VerifyEmail | Self::ResetPassword => &[("link", "https://shop.example/#token=x")],
            Self::ChangeEmail => &[("link", "https://shop.example/#token=x"), ("address", "new@example.com")],
            Self::EmailChangeRequested | Self::EmailChanged => &[("address", "new@example.com")],
            Self::NewLogin => {
                &[("device", "Firefox"), ("network", "203.0.113.7"), ("link", "https://shop.example/")]
            }
            Self::DeletionScheduled => &[("link", "https://shop.example/#token=x")],
            Self::PasswordChanged | Self::PasswordStopped | Self::AccountDeleted => &[],
        };
        let always = [("username", "reader"), ("site", "shop.example"), ("time", "2026-01-01 00:00 UTC")];
        let all = always.iter().chain(names);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}

macro_rules! built_in {
    ($language:literal: $($name:literal),+ $(,)?) => {
        &[$((
            $language,
            $name,
            include_str!(concat!("../templates/", $language, "/", $name, ".txt")),
            include_str!(concat!("../templates/", $language, "/", $name, ".html")),
        )),+]
    };
}

/// The texts that come with the program: language, name, text, HTML.
const BUILT_IN: &[(&str, &str, &str, &str)] = built_in!("en":
    "verify_email",
    "change_email",
    "email_change_requested",
    "email_changed",
    "reset_password",
    "password_changed",
    "password_stopped",
    "new_login",
    "deletion_scheduled",
    "account_deleted",
);

/// What is wrong with a template.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its name is not that of a template.
    #[error("{} is not the name of a template", .0.display())]
    Unknown(PathBuf),
    /// A text that does not begin with its subject.
    #[error("{0}: the first line must be `Subject: ..`")]
    NoSubject(String),
    /// The template language does not read it, or it names a value that there is not.
    #[error("{name}: {message}")]
    Broken {
        /// Which.
        name: String,
        /// Why.
        message: String,
    },
}

/// A mail's text with its values in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// For readers of plain text.
    pub text: String,
    /// For the others.
    pub html: String,
}

/// All texts.
#[derive(Clone, Debug)]
pub struct Templates(Arc<Environment<'static>>);

impl Templates {
    /// The texts that come with the program.
    ///
    /// # Errors
    /// None, as a test shows.
    pub fn built_in() -> Result<Self, Fault> {
        Self::load(None)
    }

    /// The texts that come with the program, with those in `folder` (`LANGUAGE/NAME.txt`, `LANGUAGE/NAME.html`) over them.
    ///
    /// # Errors
    /// [`Fault`]: also when a text names a value that its mail does not have, so that no mail fails for that later.
    pub fn load(folder: Option<&Path>) -> Result<Self, Fault> {
        let mut all = Environment::new();
        all.set_undefined_behavior(UndefinedBehavior::Strict);
        for (language, name, text, html) in BUILT_IN {
            add_text(&mut all, &format!("{language}/{name}.txt"), text)?;
            add(&mut all, format!("{language}/{name}.html"), html)?;
        }
        if let Some(folder) = folder {
            add_folder(&mut all, folder)?;
        }
        let templates = Self(Arc::new(all));
        templates.check()?;
        Ok(templates)
    }

    /// Whether there is any text in a language.
    #[must_use]
    pub fn has_language(&self, language: &str) -> bool {
        let folder = format!("{language}/");
        self.0.templates().any(|(name, _)| name.starts_with(&folder))
    }

    fn check(&self) -> Result<(), Fault> {
        let names: Vec<String> = self.0.templates().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            let stem = name.rsplit('/').next().and_then(|file| file.split('.').next());
            let Some(template) = stem.and_then(Template::of) else { continue };
            self.fill(&name, &template.samples()).map_err(|error| broken(&name, &error))?;
        }
        Ok(())
    }

    /// A mail's text in a language, or in English.
    ///
    /// # Errors
    /// [`SendError::Later`] when a value is missing: a replica of another version may have it.
    pub fn render(
        &self,
        template: Template,
        language: &str,
        values: &BTreeMap<String, String>,
    ) -> Result<Rendered, SendError> {
        let one = |part: &str| {
            let name = format!("{language}/{}.{part}", template.name());
            let exists = self.0.get_template(&name).is_ok();
            let name = if exists { name } else { format!("{ENGLISH}/{}.{part}", template.name()) };
            self.fill(&name, values).map_err(|error| SendError::Later(format!("{name}: {error:#}")))
        };
        let subject = one_line(&one("subject.txt")?).trim().to_owned();
        Ok(Rendered { subject, text: one("txt")?, html: one("html")? })
    }

    fn fill(&self, name: &str, values: &BTreeMap<String, String>) -> Result<String, minijinja::Error> {
        let values = values.iter().map(|(name, value)| (name.as_str(), Value::from(one_line(value))));
        self.0.get_template(name)?.render(Value::from_pairs(values))
    }
}

/// Line breaks and other control characters become spaces: no value makes a line, let alone a header, of its own.
fn one_line(text: &str) -> String {
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if is_break(c) { ' ' } else { c }).collect()
}

fn add_folder(all: &mut Environment<'static>, folder: &Path) -> Result<(), Fault> {
    for language in entries(folder)? {
        if !language.is_dir() {
            return Err(Fault::Unknown(language));
        }
        for path in entries(&language)? {
            let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let stem = file.strip_suffix(".txt").or_else(|| file.strip_suffix(".html"));
            let name = language.file_name().and_then(|name| name.to_str());
            let (Some(name), true) = (name, stem.is_some_and(|stem| Template::of(stem).is_some())) else {
                return Err(Fault::Unknown(path));
            };
            let source = std::fs::read_to_string(&path)
                .map_err(|source| Fault::Unreadable { path: path.clone(), source })?;
            let name = format!("{name}/{file}");
            if file.ends_with(".txt") { add_text(all, &name, &source) } else { add(all, name, &source) }?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let unreadable = |source| Fault::Unreadable { path: folder.to_owned(), source };
    let found = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut paths: Vec<PathBuf> =
        found.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

/// A text has its subject in its first line; it becomes a template of its own, `NAME.subject.txt`.
fn add_text(all: &mut Environment<'static>, name: &str, source: &str) -> Result<(), Fault> {
    let (first, rest) = source.split_once('\n').unwrap_or((source, ""));
    let subject = first.strip_prefix("Subject: ").ok_or_else(|| Fault::NoSubject(name.to_owned()))?;
    let stem = name.strip_suffix(".txt").unwrap_or(name);
    add(all, format!("{stem}.subject.txt"), subject)?;
    add(all, name.to_owned(), rest.trim_start_matches(['\r', '\n']))
}

fn add(all: &mut Environment<'static>, name: String, source: &str) -> Result<(), Fault> {
    let added = all.add_template_owned(name.clone(), source.to_owned());
    added.map_err(|error| broken(&name, &error))
}

fn broken(name: &str, error: &minijinja::Error) -> Fault {
    Fault::Broken { name: name.to_owned(), message: format!("{error:#}") }
}

#[cfg(test)]
mod tests;
