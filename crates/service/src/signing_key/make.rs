//! Making keys and storing them: once, however many replicas want to.

use crypto::jws::{Algorithm, SigningKey, generate};
use crypto::secret::Secret;
use domain::audit::EventKind;
use domain::signing_key::{Life, Purpose, next_from};
use domain::time::Timestamp;
use store::Db;
use store::signing_key::{self, StoredKey};

use super::{Snapshot, about, change, of};
use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::keyring;
use crate::settings::KeySettings;

/// A change that meets another's is tried again.
const TURNS: usize = 5;

/// Makes the keys that are missing or due. `fits` says whether a key is one that is wanted. Answers whether one of them signs at
/// once.
pub(super) async fn make_missing(
    db: &Db,
    settings: &KeySettings,
    now: Timestamp,
    fits: impl Fn(&StoredKey) -> bool,
) -> Result<bool> {
    let plan = |keys: &[StoredKey]| -> Vec<(Purpose, Timestamp)> {
        let next = |purpose| {
            let from =
                next_from(&of(purpose, keys), |row| row.life, |row| fits(row), settings.rotation, now)?;
            Some((purpose, from))
        };
        Purpose::ALL.into_iter().filter_map(next).collect()
    };
    for turn in 1.. {
        let wanted = plan(&Snapshot::read(db).await?.keys);
        if wanted.is_empty() {
            return Ok(false);
        }
        let mut made = Vec::new();
        for (purpose, _) in wanted {
            made.push(make(settings, purpose).await?);
        }
        match insert_missing(db, settings, made, now, &plan).await {
            Err(error) if error.is_unavailable() && turn < TURNS => {}
            done => return done,
        }
    }
    Ok(false)
}

/// Stores of the keys that were made those that are still missing: another replica may have been faster.
async fn insert_missing(
    db: &Db,
    settings: &KeySettings,
    made: Vec<Made>,
    now: Timestamp,
    plan: impl Fn(&[StoredKey]) -> Vec<(Purpose, Timestamp)>,
) -> Result<bool> {
    let mut tx = db.begin().await?;
    change(&mut tx).await?;
    let wanted = plan(&signing_key::list(&mut tx).await?);
    for (purpose, from) in &wanted {
        let Some(key) = made.iter().find(|key| key.purpose == *purpose) else { continue };
        let row = key.row(settings, now, *from)?;
        signing_key::insert(&mut tx, &row).await?;
        audit::record(&mut tx, &By::system(now), &about(EventKind::KeyMade, &row))?;
        tracing::info!(event = "signing_key_made", key.id = key.key.id(), "a signing key was made");
    }
    if !wanted.is_empty() {
        tx.commit().await?;
    }
    Ok(wanted.iter().any(|(_, from)| *from <= now))
}

/// A key that nobody knows yet.
pub(super) struct Made {
    pub(super) purpose: Purpose,
    key: SigningKey,
    secret: Secret,
}

/// Makes a key on a thread of its own: RSA takes its time.
pub(super) async fn make(settings: &KeySettings, purpose: Purpose) -> Result<Made> {
    let algorithm = match purpose {
        Purpose::Access => settings.algorithm,
        Purpose::Refresh => Algorithm::Hs256,
    };
    let made = tokio::task::spawn_blocking(move || generate(algorithm)).await.map_err(Error::internal)?;
    let (key, secret) = made.map_err(Error::internal)?;
    Ok(Made { purpose, key, secret })
}

impl Made {
    /// Its row, sealed.
    pub(super) fn row(&self, settings: &KeySettings, now: Timestamp, from: Timestamp) -> Result<StoredKey> {
        let no_key = || Error::internal("there is no key-encryption key");
        let sealing = settings.sealing.as_ref().ok_or_else(no_key)?;
        Ok(StoredKey {
            id: self.key.id().to_owned(),
            purpose: self.purpose,
            algorithm: self.key.algorithm().name().to_owned(),
            public_part: self.key.public().map(|public| public.members().to_owned()).unwrap_or_default(),
            sealed: keyring::seal(sealing, &self.key, &self.secret, self.purpose),
            life: Life::new(now, from),
        })
    }
}
