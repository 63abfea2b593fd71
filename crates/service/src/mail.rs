//! Mails: put into the outbox with the change that they tell of, and sent from there by the worker.
//!
//! At least once: a mail that was committed is sent, whatever dies in between; one that was taken back was never there. A
//! replica that sends a mail has it for itself for a while. The row holds no usable link: its token is derived when the mail
//! is sent, from the row's seed and a key that is not in the database.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use ::mail::{Mail, SendError, Template};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::mail::{Next, after_failure};
use domain::time::Timestamp;
use domain::user::{EmailAddress, User, UserId};
use futures_util::{StreamExt as _, stream};
use store::Tx;
use store::mail::Mail as Row;

use crate::App;
use crate::error::{Error, Result};
use crate::settings::MailSettings;
use crate::throttle::AddressLimit;
use crate::throttle::mailbox::{self, Letter, has_proved};

/// Mails that one replica sends at a time.
const AT_ONCE: usize = 16;
/// What is left of a mail is kept for so long.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// No more than so many waiting mails are counted.
const MOST_COUNTED: i64 = 10_000;
/// A mail without a link is worth sending for so long.
pub(crate) const NOTICE_LIFETIME: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// A mail about an account, to be put into the outbox.
pub(crate) struct Draft<'a> {
    pub(crate) template: Template,
    pub(crate) user_id: UserId,
    /// Whether the account outlives the mail.
    pub(crate) outlives: bool,
    pub(crate) username: &'a str,
    pub(crate) to: &'a EmailAddress,
    /// Whether the account has proved that address.
    pub(crate) is_proved: bool,
    /// What the text leaves open, beside the name of the account and the time.
    pub(crate) values: Vec<(&'static str, String)>,
    /// The time that the text names, if it is not now.
    pub(crate) time: Option<Timestamp>,
    /// What the token of its link is derived from.
    pub(crate) link_seed: Option<[u8; 32]>,
    pub(crate) lifetime: Duration,
}

impl<'a> Draft<'a> {
    /// A mail that tells somebody of something.
    pub(crate) fn notice(template: Template, user: &'a User) -> Self {
        Self {
            template,
            user_id: user.id,
            outlives: true,
            username: user.username.as_str(),
            to: &user.email,
            is_proved: has_proved(user, &user.email),
            values: Vec::new(),
            time: None,
            link_seed: None,
            lifetime: NOTICE_LIFETIME,
        }
    }
}

/// Tells somebody of something, in the transaction of that. Without a way to send mails, or an address, nobody is told; nor is an address
/// that nobody has proved and that had many notices lately.
pub(crate) async fn notify(app: &App, tx: &mut Tx, now: Timestamp, draft: Draft<'_>) -> Result<()> {
    let Draft { template, user_id, is_proved, to, .. } = draft;
    let is_sent = app.settings.mail.is_some() && !to.is_blank();
    let letter = Letter { template, user_id, is_proved, to };
    if is_sent && mailbox::admits(app, tx, now, AddressLimit::NoticeTo, letter).await? {
        enqueue(app, tx, now, draft).await?;
    }
    Ok(())
}

/// Puts a mail into the outbox, in the transaction of what it tells of. Without a way to send mails, or an address, there is
/// none.
pub(crate) async fn enqueue(app: &App, tx: &mut Tx, now: Timestamp, draft: Draft<'_>) -> Result<()> {
    let Some(settings) = app.settings.mail.as_ref().filter(|_| !draft.to.is_blank()) else { return Ok(()) };
    let mut values: BTreeMap<&str, &str> =
        draft.values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let time = written(draft.time.unwrap_or(now));
    values.insert("username", draft.username);
    values.insert("time", &time);
    let row = Row {
        id: crypto::random::fill(),
        user_id: draft.outlives.then_some(draft.user_id),
        template: draft.template.name().to_owned(),
        language: settings.language.clone(),
        recipient: draft.to.as_str().to_owned(),
        content: serde_json::to_string(&values).map_err(Error::internal)?,
        link_seed: draft.link_seed,
        created_at: now,
        expires_at: now + draft.lifetime,
        attempts: 0,
    };
    Ok(store::mail::insert(tx, &row).await?)
}

/// `2026-01-01 00:00 UTC`
fn written(time: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.micros())
        .map_or_else(|_| String::new(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// The token that follows from a seed: 256 bits that nobody can tell without our key.
pub(crate) fn token(app: &App, seed: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(app.link_key.digest(seed))
}

/// Sends what is due; answers how many mails were tried. The worker does so all the time.
///
/// # Errors
/// When the database cannot be read or written before anything is sent.
pub async fn deliver(app: &App) -> Result<usize> {
    let Some(settings) = &app.settings.mail else { return Ok(0) };
    let taken = take(app, settings).await?;
    let count = taken.len();
    stream::iter(taken).for_each_concurrent(None, |row| attempt(app, settings, row)).await;
    Ok(count)
}

/// Takes some mails for this replica alone, until the time for sending them is surely over.
async fn take(app: &App, settings: &MailSettings) -> Result<Vec<Row>> {
    let now = app.clock.now();
    if store::mail::due(&mut app.db.read().await?, now, 1).await?.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = app.db.begin().await?;
    let mut taken = Vec::new();
    for mut row in store::mail::due(&mut tx, now, AT_ONCE as i64).await? {
        if store::mail::claim(&mut tx, &row, now + settings.timeout * 2).await? {
            row.attempts += 1;
            taken.push(row);
        }
    }
    tx.commit().await?;
    Ok(taken)
}

async fn attempt(app: &App, settings: &MailSettings, row: Row) {
    let sent = match app.clock.now() < row.expires_at {
        true => send(app, settings, &row).await,
        false => Err(SendError::Never("nobody could send it in its time".to_owned())),
    };
    let now = app.clock.now();
    let noted = match &sent {
        Ok(()) => note_sent(app, &row, now).await,
        Err(SendError::Never(why)) => note_failed(app, &row, now, why).await,
        Err(SendError::Later(why)) => {
            let [chance] = crypto::random::fill();
            match after_failure(row.attempts, row.expires_at, now, chance) {
                Next::At(at) => note_deferred(app, &row, at, why).await,
                Next::GiveUp => note_failed(app, &row, now, why).await,
            }
        }
    };
    if let Err(error) = noted {
        // Nobody knows that it was tried: it is tried again when our time for it is over.
        tracing::warn!(event = "mail_not_noted", mail.id = hex(&row.id), error = %error, "what became of a mail could not be noted");
    }
}

async fn send(app: &App, settings: &MailSettings, row: &Row) -> std::result::Result<(), SendError> {
    let unknown = || SendError::Later(format!("this version has no text {:?}", row.template));
    let template = Template::of(&row.template).ok_or_else(unknown)?;
    let mut values: BTreeMap<String, String> =
        serde_json::from_str(&row.content).map_err(|error| SendError::Never(error.to_string()))?;
    values.insert("site".to_owned(), site(&settings.link_url).to_owned());
    values.insert("link".to_owned(), link(app, settings, template, row.link_seed.as_ref()));
    let to = EmailAddress::from_stored(row.recipient.clone());
    let mail = Mail {
        id: row.id,
        template,
        language: &row.language,
        to: &to.mailbox(),
        values,
        date: SystemTime::UNIX_EPOCH + row.created_at.since(Timestamp::from_micros(0)),
    };
    settings.mailer.send(&mail).await
}

/// Where a mail's link leads: a page of the front end. The token stands behind `#`, which browsers keep to themselves: it comes
/// into no log and no Referer header, and fetching the link redeems nothing (RC-03, RC-08).
fn link(app: &App, settings: &MailSettings, template: Template, seed: Option<&[u8; 32]>) -> String {
    let page = match template {
        Template::VerifyEmail => "/verify-email",
        Template::ChangeEmail => "/change-email",
        Template::ResetPassword => "/reset-password",
        Template::DeletionScheduled => "/keep-account",
        _ => "/",
    };
    match seed {
        Some(seed) => format!("{}{page}#token={}", settings.link_url, token(app, seed)),
        None => format!("{}{page}", settings.link_url),
    }
}

/// What people know the service by: the host of its pages.
fn site(link_url: &str) -> &str {
    let rest = link_url.split_once("://").map_or(link_url, |(_, rest)| rest);
    rest.split(['/', ':']).next().unwrap_or(rest)
}

async fn note_sent(app: &App, row: &Row, now: Timestamp) -> Result<()> {
    app.counters.mails_sent.fetch_add(1, Relaxed);
    tracing::info!(
        event = "mail_sent",
        mail.id = hex(&row.id),
        mail.template = row.template,
        "a mail was sent"
    );
    let mut tx = app.db.begin().await?;
    store::mail::sent(&mut tx, &row.id, now).await?;
    Ok(tx.commit().await?)
}

async fn note_deferred(app: &App, row: &Row, at: Timestamp, why: &str) -> Result<()> {
    app.counters.mails_deferred.fetch_add(1, Relaxed);
    tracing::warn!(
        event = "mail_deferred",
        mail.id = hex(&row.id),
        mail.template = row.template,
        mail.attempts = row.attempts,
        cause = why,
        "a mail could not be sent; it is tried again"
    );
    let mut tx = app.db.begin().await?;
    store::mail::retry(&mut tx, &row.id, row.attempts, at).await?;
    Ok(tx.commit().await?)
}

async fn note_failed(app: &App, row: &Row, now: Timestamp, why: &str) -> Result<()> {
    app.counters.mails_failed.fetch_add(1, Relaxed);
    tracing::error!(
        event = "mail_failed",
        mail.id = hex(&row.id),
        mail.template = row.template,
        mail.attempts = row.attempts,
        cause = why,
        "a mail was given up"
    );
    let mut tx = app.db.begin().await?;
    store::mail::give_up(&mut tx, &row.id, row.attempts, now).await?;
    Ok(tx.commit().await?)
}

/// Gives up what nobody sent in its time, forgets old mails, and counts those that wait.
pub(crate) async fn tidy(app: &App, now: Timestamp, step: i64) -> Result<()> {
    let waiting = store::mail::waiting(&mut app.db.read().await?, MOST_COUNTED).await?;
    app.counters.mails_waiting.store(waiting.unsigned_abs(), Relaxed);
    loop {
        let mut tx = app.db.begin().await?;
        let expired = store::mail::expire(&mut tx, now, step).await?;
        let purged = store::mail::purge(&mut tx, now - KEPT_FOR, step).await?;
        if expired + purged == 0 {
            return Ok(()); // nothing was written: the transaction is dropped
        }
        tx.commit().await?;
        if expired > 0 {
            app.counters.mails_failed.fetch_add(expired, Relaxed);
            tracing::error!(event = "mail_failed", mail.count = expired, "mails were not sent in their time");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_know_the_service_by_its_host() {
        assert_eq!(site("https://shop.example/account"), "shop.example");
        assert_eq!(site("http://localhost:8000"), "localhost");
    }

    #[test]
    fn times_are_written_for_people() {
        assert_eq!(written(Timestamp::from_seconds(1_767_225_600)), "2026-01-01 00:00 UTC");
    }
}
