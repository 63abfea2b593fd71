//! The signing keys of this installation: made at the first start, rotated by the worker, dropped by an operator.
//!
//! Every change writes another `keys_version` in its transaction, before it looks at the keys: so changes run one after
//! another on every engine, and replicas that follow the version read the keys again.

use std::sync::Arc;
use std::time::Duration;

use domain::audit::{Event, EventKind};
use domain::signing_key::{Life, Purpose, State, signer};
use domain::time::Timestamp;
use store::signing_key::{self, StoredKey};
use store::{Db, Tx, meta};

use crate::App;
use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::keyring::{Longest, PublishedKeys, Ring};
use crate::settings::KeySettings;

mod make;
mod start;

use make::{Made, make, make_missing};
pub(crate) use start::prepare;

/// Dropped keys are remembered for so long, for those who ask what happened.
const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Longest time for which others keep the published keys.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// A key as it is told to an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// `kid` in the headers of tokens.
    pub id: String,
    /// What it signs.
    pub purpose: Purpose,
    /// Its algorithm.
    pub algorithm: String,
    /// What it does now.
    pub state: State,
    /// When it does what.
    pub life: Life,
    /// When the last token that it signed has died, if it signs no more.
    pub checks_until: Option<Timestamp>,
}

/// The public keys that check our access tokens, for `/.well-known/jwks.json`. From memory.
#[must_use]
pub fn published(app: &App) -> Arc<PublishedKeys> {
    app.keys.published()
}

/// For how long others may keep the published keys: never so long that they meet a signature of a key that they have not seen.
#[must_use]
pub fn max_age(app: &App) -> Duration {
    MAX_AGE.min(app.settings.keys.rotation.publish_ahead / 2)
}

/// Notes that the shared secret signs (again): the next change to public keys begins a new bridge.
pub(crate) async fn note_shared(app: &App) -> Result<()> {
    if !app.keys.shared_signs() {
        return Ok(());
    }
    let mut tx = app.db.read().await?;
    let is_noted = meta::get(&mut tx, meta::PUBLIC_KEYS_SINCE).await?.is_none_or(|since| since.is_empty());
    drop(tx);
    if !is_noted {
        let mut tx = app.db.begin().await?;
        meta::set(&mut tx, meta::PUBLIC_KEYS_SINCE, "").await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Reads the keys again when another process has changed them.
///
/// # Errors
/// When the database cannot be read; what is in memory then stays.
pub(crate) async fn poll(app: &App) -> Result<()> {
    if !app.keys.has_own() {
        return Ok(());
    }
    let mut tx = app.db.watch().await?;
    let version = meta::get(&mut tx, meta::KEYS_VERSION).await?;
    drop(tx);
    let before = app.keys.ring();
    if version == before.version {
        return Ok(());
    }
    let snapshot = Snapshot::read(&app.db).await?;
    let (ring, closed) =
        Ring::build(snapshot.version, snapshot.longest, &snapshot.keys, app.keys.opening(), Some(&before));
    for id in closed {
        tracing::error!(
            event = "signing_key_closed",
            key.id = id,
            "a stored signing key cannot be opened; it is not used"
        );
    }
    app.keys.replace(ring);
    tracing::info!(event = "signing_keys_read", "the signing keys have changed and were read again");
    Ok(())
}

/// One round of the worker: makes the next keys when it is time to publish them, and removes those that are over.
///
/// # Errors
/// When the database cannot be read or written.
pub(crate) async fn maintain(app: &App, now: Timestamp) -> Result<()> {
    if !app.keys.has_own() {
        return Ok(());
    }
    let settings = &app.settings.keys;
    if settings.algorithm.is_public() {
        // Which algorithm is wanted was settled at the start: replicas that disagree must not outdo one another every minute.
        make_missing(&app.db, settings, now, |_| true).await?;
    }
    let snapshot = Snapshot::read(&app.db).await?;
    let is_over = |row: &StoredKey| match row.life.dropped_at {
        Some(at) => at < now - REMEMBERED,
        None => row.life.state(now, snapshot.longest.of(row.purpose)) == State::Expired,
    };
    if snapshot.keys.iter().any(is_over) {
        let mut tx = app.db.begin().await?;
        change(&mut tx).await?;
        for purpose in Purpose::ALL {
            let retired = Life::expired_if_retired_before(now, snapshot.longest.of(purpose));
            signing_key::purge(&mut tx, purpose, now - REMEMBERED, retired).await?;
        }
        tx.commit().await?;
    }
    poll(app).await
}

/// All keys that are remembered, by the time from which they sign.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(app: &App) -> Result<Vec<Listed>> {
    let now = app.clock.now();
    let Snapshot { keys, longest, .. } = Snapshot::read(&app.db).await?;
    Ok(keys.into_iter().map(|row| listed(row, longest, now)).collect())
}

fn listed(row: StoredKey, longest: Longest, now: Timestamp) -> Listed {
    let longest = longest.of(row.purpose);
    Listed {
        state: row.life.state(now, longest),
        checks_until: row.life.checks_until(longest),
        id: row.id,
        purpose: row.purpose,
        algorithm: row.algorithm,
        life: row.life,
    }
}

/// Publishes the next keys now; they sign after the time of `KeySettings::rotation`. Answers them.
///
/// # Errors
/// [`crate::Kind::Conflict`] when no public keys sign, or the next one is published already.
pub async fn rotate(app: &App) -> Result<Vec<Listed>> {
    let made = make_next(app).await?;
    let (tx, now) = crate::user::begin(app).await?;
    let next = rotate_in(app, tx, &By::operator(now), &made).await?;
    follow_rotation(app).await?;
    Ok(next)
}

/// The next keys, not stored yet.
pub(crate) struct Next([Made; 2]);

/// Makes the next keys: before a transaction, for that may take long.
pub(crate) async fn make_next(app: &App) -> Result<Next> {
    let settings = &app.settings.keys;
    require_public(settings)?;
    Ok(Next([make(settings, Purpose::Access).await?, make(settings, Purpose::Refresh).await?]))
}

/// Publishes keys that were made, by whoever asked for it.
pub(crate) async fn rotate_in(app: &App, mut tx: Tx, by: &By<'_>, made: &Next) -> Result<Vec<Listed>> {
    let settings = &app.settings.keys;
    change(&mut tx).await?;
    let now = app.clock.now();
    let longest = longest(&mut tx).await?;
    if let Some(next) = signing_key::list(&mut tx)
        .await?
        .iter()
        .find(|row| row.purpose == Purpose::Access && row.life.state(now, longest.access) == State::Next)
    {
        return Err(Error::conflict(format!("The next key, {}, is published already.", next.id)));
    }
    let mut next = Vec::new();
    for key in &made.0 {
        let row = key.row(settings, now, now + settings.rotation.publish_ahead)?;
        signing_key::insert(&mut tx, &row).await?;
        audit::record(&mut tx, by, &about(EventKind::KeyRotated, &row))?;
        next.push(listed(row, longest, now));
    }
    tx.commit().await?;
    Ok(next)
}

/// Takes in here what was just published.
pub(crate) async fn follow_rotation(app: &App) -> Result<()> {
    poll(app).await?;
    tracing::info!(event = "signing_keys_rotated", "the next signing keys are published");
    Ok(())
}

/// Ends keys at once, here now and on every replica within the bound: what they signed is refused. When nobody is left to
/// sign, the next key signs at once, or a new one. Answers the ids of those that sign now.
///
/// # Errors
/// [`crate::Kind::NotFound`] for an id of no living key; nothing is changed then.
pub async fn drop_keys(app: &App, ids: &[String]) -> Result<Vec<String>> {
    let settings = app.settings.keys.clone();
    let is_public = settings.algorithm.is_public();
    let mut spare = Vec::new();
    for purpose in Purpose::ALL.into_iter().filter(|_| is_public) {
        spare.push(make(&settings, purpose).await?);
    }
    let mut tx = app.db.begin().await?;
    change(&mut tx).await?;
    let now = app.clock.now();
    let keys = signing_key::list(&mut tx).await?;
    for id in ids {
        let living = keys.iter().find(|row| row.id == *id && row.life.dropped_at.is_none());
        let row = living.ok_or_else(|| Error::not_found(format!("There is no living key {id:?}.")))?;
        signing_key::drop_key(&mut tx, row, now).await?;
        audit::record(&mut tx, &By::operator(now), &about(EventKind::KeyDropped, row))?;
    }
    for key in spare {
        replace(&mut tx, &settings, key, now).await?;
    }
    let rest = signing_key::list(&mut tx).await?;
    tx.commit().await?;
    app.feed.note_news();
    poll(app).await?;
    tracing::warn!(event = "signing_keys_dropped", key.ids = ids.join(" "), "signing keys were dropped");
    let signing = Purpose::ALL
        .map(|purpose| signer(&of(purpose, &rest), |row| row.life, now).map(|row| row.id.clone()));
    Ok(signing.into_iter().flatten().collect())
}

/// Sees to it that somebody signs tokens of the purpose of `spare`.
async fn replace(tx: &mut Tx, settings: &KeySettings, spare: Made, now: Timestamp) -> Result<()> {
    let keys = signing_key::list(tx).await?;
    let keys = of(spare.purpose, &keys);
    let is = |row: &&&StoredKey, state| row.life.state(now, Duration::MAX) == state;
    if keys.iter().any(|row| is(&row, State::Signing)) {
        return Ok(());
    }
    match keys.iter().find(|row| is(row, State::Next)) {
        Some(next) => {
            signing_key::activate(tx, next, now).await?;
            audit::record(tx, &By::system(now), &about(EventKind::KeyActivated, next))?;
        }
        None => {
            let row = spare.row(settings, now, now)?;
            signing_key::insert(tx, &row).await?;
            audit::record(tx, &By::system(now), &about(EventKind::KeyMade, &row))?;
        }
    }
    Ok(())
}

/// Something that became of a key.
fn about(kind: EventKind, row: &StoredKey) -> Event {
    Event::new(kind)
        .detail("kid", row.id.as_str())
        .detail("purpose", row.purpose.as_str())
        .detail("alg", row.algorithm.as_str())
}

fn require_public(settings: &KeySettings) -> Result<()> {
    if settings.algorithm.is_public() {
        return Ok(());
    }
    Err(Error::conflict(
        "SIGNING_ALG is HS256: tokens are signed with SECRET_KEY, there is nothing to rotate here.",
    ))
}

/// Writes another version: whoever comes second waits here until the first is done.
pub(crate) async fn change(tx: &mut Tx) -> Result<()> {
    let version = u128::from_be_bytes(crypto::random::fill());
    Ok(meta::set(tx, meta::KEYS_VERSION, &format!("{version:032x}")).await?)
}

/// The keys of one purpose.
fn of(purpose: Purpose, keys: &[StoredKey]) -> Vec<&StoredKey> {
    keys.iter().filter(|row| row.purpose == purpose).collect()
}

/// What the database says, at one moment.
struct Snapshot {
    version: Option<String>,
    longest: Longest,
    keys: Vec<StoredKey>,
}

impl Snapshot {
    async fn read(db: &Db) -> Result<Self> {
        let mut tx = db.watch().await?;
        // The version first: if the keys change in between, the next look at it finds another one.
        let version = meta::get(&mut tx, meta::KEYS_VERSION).await?;
        let longest = longest(&mut tx).await?;
        Ok(Self { version, longest, keys: signing_key::list(&mut tx).await? })
    }
}

async fn longest(tx: &mut Tx) -> Result<Longest> {
    let access = meta::get(tx, meta::LONGEST_ACCESS_LIFETIME).await?;
    let refresh = meta::get(tx, meta::LONGEST_REFRESH_LIFETIME).await?;
    let time = |value: Option<String>| {
        value.and_then(|value| value.parse().ok()).map_or(Duration::MAX, Duration::from_micros)
    };
    Ok(Longest { access: time(access), refresh: time(refresh) })
}
