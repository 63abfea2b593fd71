//! Status lists (draft-ietf-oauth-status-list): which sessions have ended, published for services that check tokens by
//! themselves.
//!
//! A login takes a random place in the current list, and its access tokens name it. Every replica holds all lists in
//! memory: one bit for each place, set when the feed of changes says that the session has ended and never cleared. A
//! list is compressed and signed when somebody asks and something has changed, at most once a second. When random
//! places are hard to find, or a list has been in use for as long as a session lives, the next list is opened; a list
//! goes when no token can name it any more. So no place is ever given twice.

mod follow;
mod publish;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::session::SessionId;
use domain::status::{StatusBits, StatusPlace, random_place};
use domain::time::Timestamp;
use domain::user::UserId;
use parking_lot::RwLock;
use store::{Tx, status_list};

use crate::App;
use crate::error::{Error, Result};

pub(crate) use follow::{follow, start, tidy};
pub use publish::{max_age, token};

/// The lists in memory.
#[derive(Default)]
pub(crate) struct StatusLists {
    lists: RwLock<BTreeMap<i64, List>>,
    /// The list that takes new sessions.
    current: AtomicI64,
    /// When it was last asked whether the oldest list may go; microseconds.
    closed_at: AtomicI64,
    /// Held while a list is signed: those who ask meanwhile wait for it.
    signing: tokio::sync::Mutex<()>,
}

struct List {
    opened_at: Timestamp,
    bits: StatusBits,
    /// Whether the bits are not those of the signed token.
    changed: bool,
    signed: Option<publish::Signed>,
}

/// Where a token says that its status stands (draft section 6.1).
pub(crate) fn uri(app: &App, list: i64) -> Option<String> {
    let settings = app.settings.status.as_ref().filter(|_| is_on(app))?;
    Some(format!("{}/status-lists/{list}", settings.public_url))
}

/// Whether there are lists: with public keys only, since nobody could check them otherwise.
pub(crate) fn is_on(app: &App) -> bool {
    app.settings.status.is_some() && !app.keys.shared_signs()
}

/// So many random places are tried before the list counts as full: it is about half full then, or a little less.
const TRIES: usize = 8;

/// Gives a new session a place, in the transaction that stores the session. `None` where there are no lists.
pub(crate) async fn assign(
    app: &App,
    tx: &mut Tx,
    session: SessionId,
    user: UserId,
    keep_until: Timestamp,
) -> Result<Option<StatusPlace>> {
    if !is_on(app) {
        return Ok(None);
    }
    let current = app.status.current.load(Ordering::Acquire);
    for list in [current, current + 1] {
        if list != current {
            status_list::open(tx, list, app.clock.now()).await?;
        }
        for _ in 0..TRIES {
            let place = random_place(u32::from_ne_bytes(crypto::random::fill()));
            let place = StatusPlace { list, place };
            if status_list::take(tx, place, session, user, keep_until).await? {
                return Ok(Some(place));
            }
        }
    }
    Err(Error::unavailable(std::time::Duration::from_secs(1), "There is no place in the status lists."))
}
