//! API keys: made, listed and revoked by operators and administrators, and exchanged for tokens by the services that hold them.

mod exchange;

use domain::api_key::{ApiKey, ApiKeyId, Scope};
use domain::audit::{Event, EventKind};
use domain::field::FieldErrors;
use domain::time::Timestamp;
use domain::user::UserId;
use store::Tx;
use store::change::{self, What};

use crate::audit::{self, By};
use crate::error::{Error, Result};
use crate::{App, retry, user};

pub use exchange::{Exchanged, Refusal, exchange};

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The account that it acts for.
    pub user: UserId,
    /// What people call it.
    pub name: String,
    /// Permissions with spaces between them.
    pub scope: String,
    /// Its end.
    pub expires_at: Timestamp,
}

/// The longest name of a key, in code points.
const MAX_NAME: usize = 150;

/// A key whose fields are good, and the only copy of its text.
pub struct Made {
    /// The key.
    pub key: ApiKey,
    /// To be shown once: only a digest is kept.
    pub text: String,
}

/// Makes a key, as an operator.
///
/// # Errors
/// [`crate::Kind::Invalid`] with the faulty fields; [`crate::Kind::NotFound`] when there is no such account.
pub async fn create(app: &App, new: &NewKey) -> Result<Made> {
    let made = prepare(app, new, app.clock.now())?;
    retry::turns(|| try_to_create(app, &made)).await?;
    Ok(made)
}

async fn try_to_create(app: &App, made: &Made) -> Result<()> {
    let (tx, now) = user::begin(app).await?;
    create_in(tx, &By::operator(now), made).await
}

/// Checks the fields of a key and makes its secret.
pub(crate) fn prepare(app: &App, new: &NewKey, now: Timestamp) -> Result<Made> {
    let mut errors = FieldErrors::default();
    let name = domain::field::text(&new.name).and_then(|name| {
        let good = name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control);
        if good { Ok(name) } else { Err(vec!["Not a name: too long, or with control characters.".into()]) }
    });
    let name = errors.take("name", name);
    let no_scope = || vec!["Not a list of permissions such as shop.view_book, with single spaces.".into()];
    let scope = errors.take("scope", Scope::parse(&new.scope).ok_or_else(no_scope));
    if new.expires_at <= now || new.expires_at > now + app.settings.api_keys.max_lifetime {
        errors
            .push("expires_at", vec!["Not in the future, or later than API_KEY_MAX_LIFETIME allows.".into()]);
    }
    let (Some(name), Some(scope), true) = (name, scope, errors.is_empty()) else {
        return Err(Error::invalid(errors));
    };
    let id = ApiKeyId::new(crypto::random::fill());
    let text = domain::api_key::text(&id, crypto::random::fill());
    let expires_at = new.expires_at;
    let key = ApiKey {
        id,
        user: new.user,
        name,
        scope,
        created_at: now,
        expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    Ok(Made { key, text })
}

/// Stores a key that was made, by whoever asked for it.
pub(crate) async fn create_in(mut tx: Tx, by: &By<'_>, made: &Made) -> Result<()> {
    let digest = crypto::keyed::sha256(made.text.as_bytes());
    match store::api_key::insert(&mut tx, &made.key, &digest).await {
        Err(store::Error::Constraint(_)) => return Err(Error::not_found("There is no such account.")),
        other => other?,
    }
    audit::record(&mut tx, by, &about(EventKind::ApiKeyMade, &made.key))?;
    Ok(tx.commit().await?)
}

/// At most `limit` keys with ids above `after`, of an account or of all, by id.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(app: &App, user: Option<UserId>, after: &str, limit: u32) -> Result<Vec<ApiKey>> {
    let mut tx = app.db.read().await?;
    Ok(store::api_key::list(&mut tx, user, after, i64::from(limit)).await?)
}

/// Revokes a key, as an operator: it gives no tokens, and those that it gave are refused within the bound. Answers whether it was
/// good.
///
/// # Errors
/// When the database cannot be written.
pub async fn revoke(app: &App, id: &ApiKeyId) -> Result<bool> {
    retry::turns(|| try_to_revoke(app, id)).await
}

async fn try_to_revoke(app: &App, id: &ApiKeyId) -> Result<bool> {
    let (mut tx, now) = user::begin(app).await?;
    let Some(found) = store::api_key::find(&mut tx, id).await? else { return Ok(false) };
    revoke_in(app, tx, &By::operator(now), &found.key).await
}

/// The same in a transaction that has begun, by whoever asked for it.
pub(crate) async fn revoke_in(app: &App, mut tx: Tx, by: &By<'_>, key: &ApiKey) -> Result<bool> {
    let now = by.at();
    let Some(session) = store::api_key::revoke(&mut tx, &key.id, now).await? else { return Ok(false) };
    audit::record(&mut tx, by, &about(EventKind::ApiKeyRevoked, key))?;
    let mut ended = None;
    if let Some(id) = session
        && store::session::revoke(&mut tx, id, now).await?
    {
        ended = Some(change::append(&mut tx, now, What::SessionEnded(id)).await?);
    }
    tx.commit().await?;
    if let Some(change) = ended {
        app.feed.apply(&change, now);
    }
    Ok(true)
}

/// Something that became of a key.
fn about(kind: EventKind, key: &ApiKey) -> Event {
    Event::new(kind).user(key.user).detail("key", key.id.as_str())
}
