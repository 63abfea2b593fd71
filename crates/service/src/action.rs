//! Links in mails that let their holder do something, once.

use ::mail::Template;
use crypto::keyed;
use domain::action::Purpose;
use domain::field::FieldErrors;
use domain::time::Timestamp;
use domain::user::{EmailAddress, User, UserId};
use store::action_token::{self, ActionToken, NewToken};
use store::{Tx, account};

use crate::App;
use crate::error::{Error, Result};
use crate::mail::{self, Draft};
use crate::throttle::AddressLimit;
use crate::throttle::mailbox::{self, Letter, has_proved};

/// Sends a link to an address, in the transaction of what it belongs to. Links of the same kind from before are good for nothing
/// then (RC-06). Answers whether it was sent: a mailbox that had many lately gets none, and those from before stay good.
pub(crate) async fn send(
    app: &App,
    tx: &mut Tx,
    now: Timestamp,
    (purpose, user, to): (Purpose, &User, &EmailAddress),
) -> Result<bool> {
    let letter =
        Letter { template: template(purpose), user_id: user.id, is_proved: has_proved(user, to), to };
    let is_sent = mailbox::admits(app, tx, now, AddressLimit::LinkTo, letter).await?;
    if is_sent {
        send_always(app, tx, now, (purpose, user, to)).await?;
    }
    Ok(is_sent)
}

/// The same, whatever the mailbox has had: for links that must come.
pub(crate) async fn send_always(
    app: &App,
    tx: &mut Tx,
    now: Timestamp,
    (purpose, user, to): (Purpose, &User, &EmailAddress),
) -> Result<()> {
    if purpose == Purpose::ResetPassword {
        account::set_reset_sent(tx, user.id, now).await?;
    }
    let seed = crypto::random::fill();
    let lifetime = purpose.lifetime(app.settings.accounts.deletion_grace);
    let new = NewToken {
        digest: &digest(&mail::token(app, &seed)),
        user_id: user.id,
        purpose,
        address: to.as_str(),
        created_at: now,
        expires_at: now + lifetime,
    };
    action_token::insert(tx, &new).await?;
    let draft = Draft {
        to,
        values: vec![("address", to.as_str().to_owned())],
        time: (purpose == Purpose::KeepAccount).then(|| now + lifetime),
        link_seed: Some(seed),
        lifetime,
        ..Draft::notice(template(purpose), user)
    };
    mail::enqueue(app, tx, now, draft).await
}

/// The text that brings a link.
const fn template(purpose: Purpose) -> Template {
    match purpose {
        Purpose::VerifyEmail => Template::VerifyEmail,
        Purpose::ChangeEmail => Template::ChangeEmail,
        Purpose::ResetPassword => Template::ResetPassword,
        Purpose::KeepAccount => Template::DeletionScheduled,
    }
}

/// Whether a link of this kind was sent a moment ago: then there is no other yet. One for a new password counts also when it is
/// good for nothing any more: who changes the password again and again does not have a mail sent each time.
pub(crate) async fn is_recent(tx: &mut Tx, user: UserId, purpose: Purpose, now: Timestamp) -> Result<bool> {
    let since = now - purpose.pause();
    let is_kept = action_token::any_since(tx, user, purpose, since).await?;
    Ok(is_kept || purpose == Purpose::ResetPassword && account::reset_sent_since(tx, user, since).await?)
}

/// What is stored of a token.
pub(crate) fn digest(token: &str) -> [u8; 32] {
    keyed::sha256(token.as_bytes())
}

/// What a token stands for; it stays as it is.
pub(crate) async fn find(
    app: &App,
    token: &str,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Option<ActionToken>> {
    Ok(action_token::find(&mut app.db.read().await?, &digest(token), purpose, now).await?)
}

/// Uses a token up.
///
/// # Errors
/// [`no_good_link`].
pub(crate) async fn redeem(
    tx: &mut Tx,
    token: &str,
    purpose: Purpose,
    now: Timestamp,
) -> Result<ActionToken> {
    action_token::redeem(tx, &digest(token), purpose, now).await?.ok_or_else(no_good_link)
}

/// The answer to a token that is none, was used, has expired, was overtaken, or is for something else: one for all.
pub(crate) fn no_good_link() -> Error {
    Error::invalid(FieldErrors::of("token", vec!["This link is not valid, or not valid any more.".into()]))
}

/// Refuses what needs mail where none is sent.
pub(crate) fn require_mail(app: &App) -> Result<()> {
    match app.settings.mail {
        Some(_) => Ok(()),
        None => Err(Error::mail_off()),
    }
}

/// What must not outlive a new password or a new address: links and the change of the address that was asked for (RC-06, RC-07).
pub(crate) async fn forget_links(tx: &mut Tx, user: UserId, purposes: &[Purpose]) -> Result<()> {
    for purpose in purposes {
        action_token::kill(tx, user, *purpose).await?;
    }
    Ok(account::set_pending(tx, user, None).await?)
}
