//! An account in the hands of its owner: seen, renamed, taken along, closed.

use std::time::Duration;

use ::mail::Template;
use domain::action::Purpose;
use domain::audit::{Event, EventKind};
use domain::session::Session;
use domain::time::Timestamp;
use domain::user::{User, UserId};
use store::change::What;
pub use store::mail::Trace;
use store::user::Credentials;

use crate::audit::{self, By, EventRow, Filter};
use crate::error::{Error, Result};
use crate::mail::Draft;
use crate::throttle::{self, AddressLimit};
use crate::verify::Identity;
use crate::{App, Caller, action, mail, reauth, retry, user};

/// Rows of each sort in an export at most: the latest.
const MOST: u32 = 1_000;
/// An export takes a login that is not longer ago: it is everything at once, and a token that was stolen later does not get it.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// Accounts that are deleted in one round.
const STEP: i64 = 100;

/// The account of a user.
///
/// # Errors
/// [`crate::Kind::NotFound`]; [`crate::Kind::Unavailable`].
pub async fn show(app: &App, who: Identity) -> Result<User> {
    let user = store::user::find(&mut app.db.read().await?, who.user_id).await?;
    user.ok_or_else(|| Error::not_found("There is no such account."))
}

/// Changes the names that are given, and answers the account.
///
/// # Errors
/// As [`show`].
pub async fn rename(
    app: &App,
    caller: &Caller,
    who: Identity,
    (first, last): (Option<&str>, Option<&str>),
) -> Result<User> {
    let mut tx = app.db.begin().await?;
    if !store::account::rename(&mut tx, who.user_id, first, last).await? {
        return Err(Error::not_found("There is no such account."));
    }
    let event = Event::new(EventKind::ProfileChanged).user(who.user_id);
    audit::record(&mut tx, &By::user(caller, who.user_id), &event)?;
    tx.commit().await?;
    show(app, who).await
}

/// All that is kept on a person.
pub struct Export {
    /// The account.
    pub user: User,
    /// The sessions that are good.
    pub sessions: Vec<Session>,
    /// The mails to and about them; not what stood in them, which is not kept.
    pub mails: Vec<Trace>,
    /// What happened with the account.
    pub events: Vec<EventRow>,
}

/// All that is kept on a user; of sessions, mails and events the latest thousand.
///
/// # Errors
/// As [`show`]; [`crate::Kind::Forbidden`] when the login is more than ten minutes ago.
pub async fn export(app: &App, caller: &Caller, who: Identity) -> Result<Export> {
    let mut tx = app.db.read().await?;
    let user = store::user::find(&mut tx, who.user_id).await?;
    let user = user.ok_or_else(|| Error::not_found("There is no such account."))?;
    // A token of the replaced service says nothing of a login here.
    let session = store::session::find(&mut tx, who.session.ok_or_else(Error::login_not_fresh)?).await?;
    if !session.is_some_and(|found| reauth::is_fresh(app, &found.session, &user, FRESH, caller.now)) {
        return Err(Error::login_not_fresh());
    }
    let sessions =
        store::session::list_live(&mut tx, user.id, user.epoch, None, i64::from(MOST), caller.now).await?;
    let mails = store::mail::of_user(&mut tx, user.id, i64::from(MOST)).await?;
    drop(tx);
    let mut tx = app.db.begin().await?;
    let event = Event::new(EventKind::DataExported).user(user.id);
    audit::record(&mut tx, &By::user(caller, user.id), &event)?;
    tx.commit().await?;
    let filter = Filter { user: Some(user.id), ..Filter::default() };
    let events = audit::search(app, &filter, None, MOST).await?;
    Ok(Export { user, sessions, mails, events })
}

/// Closes an account: its sessions end, nobody logs in, and after the grace it is deleted. Answers when. Until then a link that
/// was sent to its address, or an operator (`user enable`), opens it again.
///
/// # Errors
/// [`crate::Kind::Forbidden`] for a wrong password; [`crate::Kind::Throttled`]; [`crate::Kind::Unavailable`].
pub async fn close(app: &App, caller: &Caller, who: Identity, current: &str) -> Result<Timestamp> {
    let checked = reauth::check(app, caller, who.user_id, current).await?;
    let mut turn = 0;
    loop {
        let done = try_to_close(app, caller, &checked).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_close(app: &App, caller: &Caller, checked: &Credentials) -> Result<Timestamp> {
    let (mut tx, now) = user::begin(app).await?;
    let current = store::imported_user::lock_credentials(&mut tx, checked.user.id).await?;
    let is_as_checked = |current: &Credentials| {
        current.password_hash == checked.password_hash && current.user.epoch == checked.user.epoch
    };
    let user = &current.filter(is_as_checked).ok_or_else(Error::changed_meanwhile)?.user;
    if user.is_superuser {
        return Err(Error::conflict(
            "A superuser's account is closed by another superuser, or after the role is taken.",
        ));
    }
    let (id, delete_at) = (user.id, now + app.settings.accounts.deletion_grace);
    let closed = store::account::close(&mut tx, id, delete_at, now).await?;
    let epoch = closed.ok_or_else(Error::changed_meanwhile)?;
    action::forget_links(&mut tx, id, &Purpose::ALL).await?;
    if !app.settings.accounts.deletion_grace.is_zero() {
        action::send_always(app, &mut tx, now, (Purpose::KeepAccount, user, &user.email)).await?;
    }
    let event = Event::new(EventKind::DeletionScheduled).user(id);
    audit::record(&mut tx, &By::user(caller, id), &event)?;
    user::commit_change(app, tx, now, What::User { id, epoch, active: false }).await?;
    tracing::info!(event = "account_closed", user.id = %id, request.id = caller.request_id, "account closed by its owner");
    Ok(delete_at)
}

/// Opens a closed account again with the token of its link. Sessions that ended stay ended.
///
/// # Errors
/// [`crate::Kind::Invalid`] for a bad token; [`crate::Kind::Throttled`]; [`crate::Kind::Unavailable`].
pub async fn keep(app: &App, caller: &Caller, token: &str) -> Result<()> {
    throttle::admit(app, caller, AddressLimit::Link)?;
    let mut turn = 0;
    loop {
        let done = try_to_keep(app, caller, token).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_keep(app: &App, caller: &Caller, token: &str) -> Result<()> {
    let (mut tx, now) = user::begin(app).await?;
    let id = action::redeem(&mut tx, token, Purpose::KeepAccount, now).await?.user_id;
    let epoch = store::account::keep(&mut tx, id, now).await?.ok_or_else(action::no_good_link)?;
    audit::record(&mut tx, &By::anonymous(caller), &Event::new(EventKind::DeletionCancelled).user(id))?;
    user::commit_change(app, tx, now, What::User { id, epoch, active: true }).await?;
    tracing::info!(event = "account_kept", user.id = %id, request.id = caller.request_id, "a closed account was opened again");
    Ok(())
}

/// Deletes the closed accounts whose day has come. The worker does so every minute.
pub(crate) async fn delete_closed(app: &App, now: Timestamp) -> Result<()> {
    loop {
        let due = store::account::closed(&mut app.db.read().await?, now, STEP).await?;
        if due.is_empty() {
            return Ok(());
        }
        for id in due {
            delete(app, id).await?;
        }
    }
}

async fn delete(app: &App, id: UserId) -> Result<()> {
    let mut turn = 0;
    loop {
        let done = try_to_delete(app, id).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_delete(app: &App, id: UserId) -> Result<()> {
    let (mut tx, now) = user::begin(app).await?;
    if !store::account::hold_closed(&mut tx, id, now).await? {
        return Ok(()); // it was opened again, or another replica was faster
    }
    let Some(user) = store::user::find(&mut tx, id).await? else { return Ok(()) };
    let notice = Draft { outlives: false, ..Draft::notice(Template::AccountDeleted, &user) };
    mail::enqueue(app, &mut tx, now, notice).await?; // whatever the mailbox has had
    user::delete_in(app, tx, &By::system(now), id).await.map(drop)
}
