//! What goes on beside requests: following the feed, sending mails, chaining the audit trail, sharing with other replicas what
//! networks did, and purging in small steps what no token names any more.

use std::time::Duration;

use domain::time::Timestamp;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::Result;
use crate::throttle::{sharing, storm};
use crate::{App, audit, feed, mail, me, recovery, unproved};

/// Rows purged in one transaction, so that no request waits long behind it.
const STEP: i64 = 200;
/// Steps in one round of tidying; the next round goes on.
const STEPS: usize = 50;
/// How often to look for mails that are due.
const POST_EVERY: Duration = Duration::from_secs(1);
/// How often to tidy up.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How often rows of the audit trail get their places.
const CHAIN_EVERY: Duration = Duration::from_secs(1);
/// How often replicas tell each other what they let pass.
const SHARE_EVERY: Duration = Duration::from_secs(1);

/// How soon a lost connection that listens is made anew: at first, and when that keeps failing.
const LISTEN_AGAIN: Duration = Duration::from_millis(100);
const LISTEN_AT_LAST: Duration = Duration::from_secs(5);

/// Works until the future is dropped.
pub async fn run(app: App) {
    let heard = Notify::new();
    let following = async { tokio::join!(follow(&app, &heard), listen(&app, &heard), tell(&app)) };
    tokio::join!(following, tidy(&app), post(&app), keep_audit(&app), share(&app));
}

/// Reads the feed three times within the bound in which a change must be seen, and whenever a change is announced.
async fn follow(app: &App, heard: &Notify) {
    let mut ticks = interval((app.settings.revocation_bound / 3).max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = heard.notified() => {}
        }
        let failed = look(app).await.err();
        match (&failed, failing) {
            (Some(error), false) => {
                tracing::error!(event = "feed_unreadable", error = %Chain(error), "cannot follow the feed of changes");
            }
            (None, true) => tracing::info!(event = "feed_readable", "following the feed of changes again"),
            _ => {}
        }
        failing = failed.is_some();
    }
}

/// One look at the feed, and at the clock that all replicas go by.
async fn look(app: &App) -> Result<()> {
    app.clock.follow(&app.db).await?;
    feed::poll(app).await
}

/// Hears what other replicas announce. While it cannot, the feed is read at its usual pace.
async fn listen(app: &App, heard: &Notify) {
    if !app.settings.feed_notify {
        return;
    }
    let mut pause = LISTEN_AGAIN;
    loop {
        if let Ok(mut announcements) = app.db.announcements().await {
            pause = LISTEN_AGAIN;
            // Something may have been announced while nobody listened.
            heard.notify_one();
            while announcements.next().await.is_ok() {
                heard.notify_one();
            }
            tracing::info!(
                event = "listening_ended",
                "the connection that hears of changes has ended; it is made anew"
            );
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LISTEN_AT_LAST);
    }
}

/// Announces what was changed here: at once, and as one what comes meanwhile.
async fn tell(app: &App) {
    loop {
        app.feed.news().await;
        feed::announce(app).await;
    }
}

/// Answers requests for recovery and sends the mails of the outbox.
async fn post(app: &App) {
    if app.settings.mail.is_none() {
        return;
    }
    let mut ticks = interval(POST_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        let failed = post_due(app).await.err();
        if let (Some(error), false) = (&failed, failing) {
            tracing::warn!(event = "outbox_unreadable", error = %Chain(error), "mails cannot be read; it is tried again");
        }
        failing = failed.is_some();
    }
}

/// Answers the requests for recovery that there are, and tries every mail that is due once.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn post_due(app: &App) -> Result<()> {
    // In turns: however many requests come in, mails go out.
    loop {
        let answered = recovery::look_up(app).await?;
        if mail::deliver(app).await? == 0 && answered == 0 {
            return Ok(());
        }
    }
}

/// Gives the rows of the audit trail their places, and signs its state when it is time.
async fn keep_audit(app: &App) {
    let mut ticks = interval(CHAIN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        let failed = audit::keep(app, app.clock.now()).await.err();
        if let (Some(error), false) = (&failed, failing) {
            tracing::error!(event = "audit_unchained", error = %Chain(error), "the audit trail cannot be chained; it is tried again");
        }
        failing = failed.is_some();
    }
}

/// Keeps rates alike on all replicas, and looks for storms. While the database is away each goes on with its own, and tells the rest when it is back.
async fn share(app: &App) {
    if !app.settings.throttle {
        return;
    }
    let mut ticks = interval(SHARE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        let failed = share_once(app, app.clock.now()).await.err();
        if let (Some(error), false) = (&failed, failing) {
            tracing::warn!(event = "rates_unshared", error = %Chain(error), "rates are not shared with other replicas; it is tried again");
        }
        failing = failed.is_some();
    }
}

/// Tells the other replicas what networks did here, hears what they did elsewhere, and judges whether logins fail in a storm.
///
/// # Errors
/// When the database cannot be read or written; what was not told is told the next time.
pub async fn share_once(app: &App, now: Timestamp) -> Result<()> {
    sharing::tell(app, now).await?;
    sharing::hear(app, now).await?;
    storm::look(app, now).await
}

async fn tidy(app: &App) {
    let mut ticks = interval(TIDY_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = tidy_once(app, app.clock.now()).await {
            tracing::warn!(event = "tidy_failed", error = %Chain(&error), "tidying up failed; it is tried again");
        }
    }
}

/// How long after its end a refused token is remembered.
const REFUSED_MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// One round: forgets old changes and dead sessions, rotates the signing keys, and learns which password schemes occur.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn tidy_once(app: &App, now: Timestamp) -> Result<()> {
    app.feed.widen(crate::app::longest_access_lifetime(&app.db).await?);
    app.feed.prune(now);
    crate::signing_key::note_shared(app).await?;
    crate::signing_key::maintain(app, now).await?;
    crate::status_list::tidy(app, now).await?;
    recovery::look_up(app).await?; // where no mail is sent any more, nobody else forgets them
    me::delete_closed(app, now).await?;
    unproved::delete_expired(app, now).await?;
    mail::tidy(app, now, STEP).await?;
    if let Err(error) = audit::tidy(app, now).await {
        // What is wrong with the trail must not keep dead sessions.
        tracing::error!(event = "audit_untidy", error = %Chain(&error), "the audit trail cannot be tidied up; it is tried again");
    }
    sharing::tidy(app, now).await?;
    storm::tidy(app, now).await?;
    app.schemes.store(crate::app::load_schemes(&app.db).await?.into());
    for _ in 0..STEPS {
        let mut tx = app.db.begin().await?;
        let sessions = store::session::purge(&mut tx, now, STEP).await?;
        let changes = store::change::purge(&mut tx, now - app.feed.horizon() * 2, STEP).await?;
        // Tokens are taken for a moment after they expire: clocks differ.
        let refused = store::refused_token::purge(&mut tx, now - REFUSED_MARGIN, STEP).await?;
        let links = store::action_token::purge(&mut tx, now, STEP).await?;
        if sessions + changes + refused + links == 0 {
            break; // nothing was written: the transaction is dropped
        }
        tx.commit().await?;
    }
    Ok(())
}

/// An error with its causes in one line, for logs.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
