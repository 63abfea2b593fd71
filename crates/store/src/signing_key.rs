//! Signing keys as they are stored: the private part is sealed, and nothing here can open it.

use domain::signing_key::{Life, Purpose};
use domain::time::Timestamp;

use crate::{Error, Result, Row, Tx};

/// A stored key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Its id, `kid` in the headers of tokens.
    pub id: String,
    /// What it signs.
    pub purpose: Purpose,
    /// Its algorithm, by its name in JOSE.
    pub algorithm: String,
    /// The required members of its JWK, for people to read; empty for HS256. Never believed: the sealed part says what is.
    pub public_part: String,
    /// The sealed private part; empty once it was dropped.
    pub sealed: Vec<u8>,
    /// When it does what.
    pub life: Life,
}

const LIST: &str = "SELECT kid, purpose, alg, public_part, sealed, created_at, active_from, retired_at, dropped_at \
    FROM signing_keys ORDER BY active_from, kid LIMIT $1";
const INSERT: &str = "INSERT INTO signing_keys (kid, purpose, alg, public_part, sealed, created_at, active_from) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const RETIRE: &str = "UPDATE signing_keys SET retired_at = $1 \
    WHERE purpose = $2 AND kid <> $3 AND retired_at IS NULL AND dropped_at IS NULL";
const RECALL: &str = "UPDATE signing_keys SET retired_at = NULL \
    WHERE purpose = $1 AND retired_at > $2 AND dropped_at IS NULL";
const ACTIVATE: &str = "UPDATE signing_keys SET active_from = $1 WHERE kid = $2 AND dropped_at IS NULL";
const DROP: &str =
    "UPDATE signing_keys SET dropped_at = $1, sealed = $2 WHERE kid = $3 AND dropped_at IS NULL";
const RESEAL: &str = "UPDATE signing_keys SET sealed = $1 WHERE kid = $2 AND dropped_at IS NULL";
const PURGE: &str = "DELETE FROM signing_keys \
    WHERE purpose = $1 AND (dropped_at < $2 OR (dropped_at IS NULL AND retired_at < $3))";

/// Every statement of this file.
pub const STATEMENTS: &[&str] = &[LIST, INSERT, RETIRE, RECALL, ACTIVATE, DROP, RESEAL, PURGE];

/// More keys than a sane installation ever has at once.
const MOST: i64 = 1_000;

/// All keys, by the time from which they sign.
pub async fn list(tx: &mut Tx) -> Result<Vec<StoredKey>> {
    tx.query(LIST, &[MOST.into()]).await?.iter().map(read).collect()
}

/// Stores a key; the others of its purpose sign until it does.
pub async fn insert(tx: &mut Tx, key: &StoredKey) -> Result<()> {
    let purpose = key.purpose.as_str();
    let active_from = key.life.active_from.micros();
    tx.execute(RETIRE, &[active_from.into(), purpose.into(), (&key.id).into()]).await?;
    let params = [
        (&key.id).into(),
        purpose.into(),
        (&key.algorithm).into(),
        (&key.public_part).into(),
        (&key.sealed).into(),
        key.life.created_at.micros().into(),
        active_from.into(),
    ];
    tx.execute(INSERT, &params).await.map(drop)
}

/// Lets a key sign from `now`, and the others of its purpose no longer.
pub async fn activate(tx: &mut Tx, key: &StoredKey, now: Timestamp) -> Result<()> {
    tx.execute(RETIRE, &[now.micros().into(), key.purpose.as_str().into(), (&key.id).into()]).await?;
    tx.execute(ACTIVATE, &[now.micros().into(), (&key.id).into()]).await.map(drop)
}

/// Ends a key at once and forgets its private part. Keys that were to stop signing after `now` go on: their successor may be
/// the one that ended. Answers whether there was such a key.
pub async fn drop_key(tx: &mut Tx, key: &StoredKey, now: Timestamp) -> Result<bool> {
    let nothing: &[u8] = &[];
    let dropped = tx.execute(DROP, &[now.micros().into(), nothing.into(), (&key.id).into()]).await?;
    tx.execute(RECALL, &[key.purpose.as_str().into(), now.micros().into()]).await?;
    Ok(dropped > 0)
}

/// Replaces the sealed private part by the same one sealed anew.
pub async fn reseal(tx: &mut Tx, id: &str, sealed: &[u8]) -> Result<()> {
    tx.execute(RESEAL, &[sealed.into(), id.into()]).await.map(drop)
}

/// Removes keys of a purpose dropped before `dropped_before` or retired before `retired_before`; answers how many.
pub async fn purge(
    tx: &mut Tx,
    purpose: Purpose,
    dropped_before: Timestamp,
    retired_before: Timestamp,
) -> Result<u64> {
    let times = [dropped_before, retired_before].map(|time| time.micros().into());
    tx.execute(PURGE, &[purpose.as_str().into(), times[0], times[1]]).await
}

fn read(row: &Row) -> Result<StoredKey> {
    let time = |column| row.opt_int(column).map(|micros| micros.map(Timestamp::from_micros));
    let purpose =
        Purpose::of(row.text(1)?).ok_or(Error::Corrupt("a signing key of no known purpose".into()))?;
    Ok(StoredKey {
        id: row.text(0)?.to_owned(),
        purpose,
        algorithm: row.text(2)?.to_owned(),
        public_part: row.text(3)?.to_owned(),
        sealed: row.blob(4)?.to_vec(),
        life: Life {
            created_at: Timestamp::from_micros(row.int(5)?),
            active_from: Timestamp::from_micros(row.int(6)?),
            retired_at: time(7)?,
            dropped_at: time(8)?,
        },
    })
}
