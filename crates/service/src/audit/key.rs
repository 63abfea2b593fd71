//! The key of the audit trail: random, made with its first row, and kept in the database sealed under the secrets of the
//! service. So it stays the same when those are changed, and whoever has the database alone has no use of it.

use std::sync::{Arc, OnceLock};

use crypto::jws::{Algorithm, SigningKey, TokenKind, Unverified};
use crypto::keyed::IndexKey;
use crypto::seal::SealingKey;
use crypto::secret::Secret;
use domain::audit::{Hash, link_bytes};
use store::{Tx, meta};

use super::checkpoint::{hex, unhex};
use crate::App;
use crate::error::{Error, Result};

/// What the sealed key is bound to.
const CONTEXT: [&str; 1] = ["audit trail"];

/// What the key of the trail is sealed under, and the key once it has been opened.
pub(crate) struct Sealed {
    opening: Vec<SealingKey>,
    opened: OnceLock<Arc<Key>>,
}

/// The key, opened: one for links and one for statements, neither of which says anything about the other (HKDF, RFC 5869).
pub(super) struct Key {
    links: IndexKey,
    statements: SigningKey,
}

impl Sealed {
    /// The first of these seals; all open.
    pub(crate) fn new(opening: Vec<SealingKey>) -> Self {
        Self { opening, opened: OnceLock::new() }
    }
}

impl Key {
    fn of(secret: &Secret) -> Result<Self> {
        let derive = |label: &str| IndexKey::derive(secret.as_bytes(), label);
        let statements = derive("bookstore-auth audit checkpoint v1").digest(b"key");
        let statements = SigningKey::from_secret(Algorithm::Hs256, &Secret::new(statements.to_vec()));
        Ok(Self {
            links: derive("bookstore-auth audit link v1"),
            statements: statements.map_err(Error::internal)?,
        })
    }

    /// The hash of a row behind the one before it.
    pub(super) fn link(&self, previous: &Hash, position: i64, commitment: &Hash) -> Hash {
        self.links.digest(&link_bytes(previous, position, commitment))
    }

    /// A statement as a compact JWS.
    pub(super) fn sign(&self, payload: &[u8]) -> String {
        self.statements.sign(TokenKind::AuditCheckpoint, payload)
    }

    /// What a statement says, if it is ours.
    pub(super) fn open(&self, text: &str) -> Option<Vec<u8>> {
        let parsed = Unverified::parse(text).ok()?;
        let is_ours = parsed.key_id() == Some(self.statements.id())
            && parsed.kind() == Some(TokenKind::AuditCheckpoint.name());
        if is_ours { parsed.payload(&self.statements).ok() } else { None }
    }
}

/// The key of the trail. Must not be asked for within a transaction: it may write.
pub(super) async fn key(app: &App) -> Result<Arc<Key>> {
    if let Some(key) = app.audit_key.opened.get() {
        return Ok(Arc::clone(key));
    }
    let (seals, before) = match app.audit_key.opening.split_first() {
        Some((first, before)) => (first, before),
        None => return Err(Error::conflict("The key of the audit trail needs the secrets of the service.")),
    };
    let mut tx = app.db.begin().await?;
    let secret = match meta::get(&mut tx, meta::AUDIT_KEY).await? {
        None => make(&mut tx, seals).await?,
        Some(stored) => {
            let sealed = unhex(&stored).ok_or_else(closed)?;
            if let Ok(secret) = seals.open(&sealed, &CONTEXT) {
                secret
            } else {
                let secret = before.iter().find_map(|sealing| sealing.open(&sealed, &CONTEXT).ok());
                let secret = secret.ok_or_else(closed)?;
                meta::set(&mut tx, meta::AUDIT_KEY, &hex(&seals.seal(&secret, &CONTEXT))).await?;
                secret
            }
        }
    };
    tx.commit().await?;
    let key = Arc::new(Key::of(&secret)?);
    Ok(Arc::clone(app.audit_key.opened.get_or_init(|| key)))
}

/// Makes the key with the trail. A trail that has rows has had one: another would not prove them.
async fn make(tx: &mut Tx, seals: &SealingKey) -> Result<Secret> {
    if store::audit::head(tx).await?.position != 0 {
        return Err(Error::conflict("The key of the audit trail is not in the database any more."));
    }
    let secret = Secret::new(crypto::random::fill::<32>().to_vec());
    let sealed = hex(&seals.seal(&secret, &CONTEXT));
    // Another replica may have made it at the same moment; then that one counts.
    let stored = meta::set_once(tx, meta::AUDIT_KEY, &sealed).await?;
    let stored = unhex(&stored).ok_or_else(closed)?;
    seals.open(&stored, &CONTEXT).map_err(|_| closed())
}

fn closed() -> Error {
    Error::conflict(
        "The key of the audit trail is sealed under another secret: set that one in KEY_ENCRYPTION_KEY_FALLBACKS or SECRET_KEY_FALLBACKS.",
    )
}
