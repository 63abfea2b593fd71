//! The keys at the start of a service: made, sealed anew, opened; and how long the shared secret still counts.

use std::time::Duration;

use crypto::jws::KeyRing;
use domain::audit::EventKind;
use domain::signing_key::Purpose;
use domain::time::Timestamp;
use store::signing_key::{self, StoredKey};
use store::{Db, meta};

use super::make::make_missing;
use super::{Snapshot, about, change};
use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::keyring::{Keys, Longest, Ring, resealed};
use crate::settings::{KeySettings, Settings, SharedUntil};

/// Within this time after the first start of all there are no other replicas that should be waited for.
const FRESH: Duration = Duration::from_secs(10);
/// Sessions that were opened in the last moment of the shared secret get this much more than their lifetime.
const BRIDGE_MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// The keys at the start: made where there are none, and all of them opened.
///
/// # Errors
/// [`crate::Kind::Conflict`] when a stored key cannot be opened; and when the database cannot be read or written.
pub(crate) async fn prepare(
    db: &Db,
    shared: KeyRing,
    settings: &Settings,
    first_started_at: Timestamp,
    now: Timestamp,
) -> Result<Keys> {
    let keys = &settings.keys;
    let is_public = keys.algorithm.is_public();
    let opening = keys.opening();
    if opening.is_empty() {
        if is_public {
            return Err(Error::internal("public keys were asked for without a key-encryption key"));
        }
        let ring = Ring::empty(Longest::default());
        return Ok(Keys::new(shared, true, Timestamp::from_micros(i64::MAX), opening, ring));
    }
    reseal(db, keys, now).await?;
    let ring = open_all(db, keys).await?;
    if !is_public {
        return Ok(Keys::new(shared, true, Timestamp::from_micros(i64::MAX), opening, ring));
    }
    // Only who opens the keys that are there makes more: one sealed under a wrong key would be closed to all others.
    let is_wanted =
        |row: &StoredKey| row.purpose == Purpose::Refresh || row.algorithm == keys.algorithm.name();
    let signs_at_once = make_missing(db, keys, now, is_wanted).await?;
    if signs_at_once && now.since(first_started_at) > FRESH {
        // Replicas that run already are to know a key before they meet its signatures.
        tokio::time::sleep(settings.revocation_bound).await;
    }
    let shared_until = shared_until(db, keys.shared_until, ring.longest, now).await?;
    Ok(Keys::new(shared, false, shared_until, opening, open_all(db, keys).await?))
}

/// All keys, opened.
async fn open_all(db: &Db, settings: &KeySettings) -> Result<Ring> {
    let snapshot = Snapshot::read(db).await?;
    let opening = settings.opening();
    let (ring, closed) = Ring::build(snapshot.version, snapshot.longest, &snapshot.keys, &opening, None);
    if closed.is_empty() || !settings.require_all {
        return Ok(ring);
    }
    Err(Error::conflict(format!(
        "KEY_ENCRYPTION_KEY does not open the stored signing keys {}: give the key that sealed them, or end them with \
         `bookstore-auth key drop`.",
        closed.join(", ")
    )))
}

/// When the bridge from the shared secret ends. The first start with public keys notes its time.
async fn shared_until(db: &Db, until: SharedUntil, longest: Longest, now: Timestamp) -> Result<Timestamp> {
    let mut tx = db.begin().await?;
    let stored = meta::get(&mut tx, meta::PUBLIC_KEYS_SINCE).await?.and_then(|since| since.parse().ok());
    let since = match stored {
        Some(micros) => Timestamp::from_micros(micros),
        None => {
            meta::set(&mut tx, meta::PUBLIC_KEYS_SINCE, &now.micros().to_string()).await?;
            tx.commit().await?;
            now
        }
    };
    Ok(match until {
        SharedUntil::Auto => since + longest.refresh + BRIDGE_MARGIN,
        SharedUntil::Never => Timestamp::from_micros(i64::MIN),
        SharedUntil::At(time) => time,
    })
}

/// Seals anew what was sealed under an earlier key-encryption key (KY-03).
async fn reseal(db: &Db, settings: &KeySettings, now: Timestamp) -> Result<()> {
    let opening = settings.opening();
    if opening.len() < 2
        || !Snapshot::read(db).await?.keys.iter().any(|row| resealed(&opening, row).is_some())
    {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    change(&mut tx).await?;
    for row in signing_key::list(&mut tx).await? {
        if let Some(sealed) = resealed(&opening, &row) {
            signing_key::reseal(&mut tx, &row.id, &sealed).await?;
            audit::record(&mut tx, &By::system(now), &about(EventKind::KeyResealed, &row))?;
            tracing::info!(
                event = "signing_key_resealed",
                key.id = row.id,
                "a signing key was sealed under the new key"
            );
        }
    }
    Ok(tx.commit().await?)
}
