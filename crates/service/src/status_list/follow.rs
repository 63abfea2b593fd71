//! Keeping the lists in memory as the database has them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::status::{StatusBits, StatusPlace};
use domain::time::Timestamp;
use store::change::What;
use store::status_list::{self, Held};
use store::{Db, Tx};

use super::{List, StatusLists, is_on};
use crate::App;
use crate::error::Result;

/// Rows that are read at once.
const PAGE: i64 = 5_000;
/// Rows that are removed in one transaction.
const STEP: i64 = 200;
/// A list is in use for so long at least: each costs 128 KiB of memory, however short sessions are.
const SHORTEST_USE: Duration = Duration::from_secs(24 * 60 * 60);
/// How often it is asked whether the oldest list may go: the question may take a while.
const CLOSE_EVERY: Duration = Duration::from_secs(60 * 60);

/// Reads all lists, and opens the first one.
pub(crate) async fn start(app: &App) -> Result<()> {
    if !is_on(app) {
        return Ok(());
    }
    // What the feed has heard so far is in the rows that are read now.
    app.feed.pass_on_changes();
    let mut tx = app.db.begin().await?;
    if status_list::lists(&mut tx).await?.is_empty() {
        status_list::open(&mut tx, 1, app.clock.now()).await?;
    }
    tx.commit().await?;
    follow(app).await
}

/// Takes in lists that were opened or have gone, and what the feed has heard since the last time.
///
/// # Errors
/// When the database cannot be read; what could not be taken in is taken in the next time.
pub(crate) async fn follow(app: &App) -> Result<()> {
    if !is_on(app) {
        return Ok(());
    }
    let now = app.clock.now();
    let changes = app.feed.take_changes();
    let done = take_in(&app.status, &app.db, &changes).await;
    match &done {
        Ok(()) => app.status.followed_at.store(now.micros(), Ordering::Release),
        Err(_) if app.feed.give_back_changes(changes) => {}
        // All is read again, and until then nothing is published.
        Err(_) => app.status.lists.write().clear(),
    }
    done
}

async fn take_in(lists: &StatusLists, db: &Db, changes: &[What]) -> Result<()> {
    let mut tx = db.watch().await?;
    let known = status_list::lists(&mut tx).await?;
    lists.lists.write().retain(|id, _| known.iter().any(|(known, _)| known == id));
    for (id, opened_at) in &known {
        if !lists.lists.read().contains_key(id) {
            let bits = read_bits(&mut tx, *id).await?;
            let list = List { opened_at: *opened_at, bits, changed: true, signed: None };
            lists.lists.write().insert(*id, list);
        }
    }
    if let Some((last, _)) = known.last() {
        lists.current.store(*last, Ordering::Release);
    }
    for what in changes {
        end_places(lists, &mut tx, what).await?;
    }
    Ok(())
}

async fn read_bits(tx: &mut Tx, list: i64) -> Result<StatusBits> {
    let mut bits = StatusBits::default();
    let mut after = None;
    loop {
        let page = status_list::page(tx, list, after, PAGE).await?;
        for entry in page.iter().filter(|entry| entry.ended) {
            bits.end(entry.place);
        }
        match page.last() {
            Some(last) if page.len() as i64 == PAGE => after = Some(last.place),
            _ => return Ok(bits),
        }
    }
}

async fn end_places(lists: &StatusLists, tx: &mut Tx, what: &What) -> Result<()> {
    match what {
        What::SessionEnded(id) => {
            if let Some(place) = status_list::of_session(tx, *id).await? {
                lists.end(place);
            }
        }
        What::User { id, epoch, active } => {
            let mut after = None;
            loop {
                let held = status_list::of_user(tx, *id, after, PAGE).await?;
                let over = |held: &&Held| !active || held.session.epoch() < *epoch;
                held.iter().filter(over).for_each(|held| lists.end(held.place));
                match held.last() {
                    Some(last) if held.len() as i64 == PAGE => after = Some(last.place),
                    _ => break,
                }
            }
        }
    }
    Ok(())
}

impl StatusLists {
    fn end(&self, place: StatusPlace) {
        if let Some(list) = self.lists.write().get_mut(&place.list) {
            list.changed |= list.bits.end(place.place);
        }
    }
}

/// Opens the next list in time, and removes the oldest one, step by step, when no token names it any more.
///
/// # Errors
/// When the database cannot be read or written.
pub(crate) async fn tidy(app: &App, now: Timestamp) -> Result<()> {
    if !is_on(app) {
        return Ok(());
    }
    let current = app.status.current.load(Ordering::Acquire);
    let opened_at = app.status.lists.read().get(&current).map(|list| list.opened_at);
    let time = app.settings.tokens.session_lifetime.max(SHORTEST_USE);
    if opened_at.is_some_and(|at| now.since(at) >= time) {
        let mut tx = app.db.begin().await?;
        status_list::open(&mut tx, current + 1, now).await?;
        tx.commit().await?;
    }
    let asked_at = Timestamp::from_micros(app.status.closed_at.load(Ordering::Relaxed));
    let oldest = app.status.lists.read().keys().next().copied().filter(|id| *id < current);
    let Some(oldest) = oldest.filter(|_| now.since(asked_at) >= CLOSE_EVERY) else { return Ok(()) };
    let mut tx = app.db.read().await?;
    let lives = status_list::lives(&mut tx, oldest, now).await?;
    drop(tx);
    if lives {
        app.status.closed_at.store(now.micros(), Ordering::Relaxed);
        return Ok(());
    }
    remove(&app.db, oldest).await
}

/// A part of the list, if it is long: the next round goes on.
async fn remove(db: &Db, list: i64) -> Result<()> {
    const STEPS: usize = 50;
    for _ in 0..STEPS {
        let mut tx = db.begin().await?;
        let gone = status_list::close(&mut tx, list, STEP).await?;
        tx.commit().await?;
        if gone {
            tracing::info!(event = "status_list_closed", status.list = list, "a status list has gone");
            break;
        }
    }
    Ok(())
}
