use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::time::Duration;

use arc_swap::ArcSwap;
use crypto::hasher::Hasher;
use crypto::jws::KeyRing;
use crypto::keyed::IndexKey;
use crypto::seal::SealingKey;
use domain::time::Timestamp;
use store::{Db, Tx, meta};

use crate::audit;
use crate::clock::Clock;
use crate::error::Result;
use crate::feed::Feed;
use crate::keyring::Keys;
use crate::names::Names;
use crate::settings::Settings;
use crate::status_list::{self, StatusLists};
use crate::throttle::{AddressLimits, StormWatch, sharing};

/// What a service is made of.
pub struct Parts {
    /// Where everything is kept.
    pub db: Db,
    /// The threads that hash passwords.
    pub hasher: Hasher,
    /// The shared secret; whether it signs and counts is said by the settings.
    pub keys: KeyRing,
    /// Chooses slots and dummies by name, so that nobody outside can foresee them.
    pub index_key: IndexKey,
    /// What the key of the audit trail is sealed under: the first seals, all open. Without any, rows wait.
    pub audit_sealing: Vec<SealingKey>,
    /// What the operator chose.
    pub settings: Settings,
    /// The time.
    pub clock: Clock,
}

/// A running service: shared by every request, cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// The inside of an [`App`].
pub struct Inner {
    /// Where everything is kept.
    pub db: Db,
    /// The threads that hash passwords.
    pub hasher: Hasher,
    /// What the operator chose.
    pub settings: Settings,
    /// The time.
    pub clock: Clock,
    /// What token checks must know of ended sessions and changed users.
    pub feed: Feed,
    /// What happened so far, for metrics.
    pub counters: Counters,
    pub(crate) keys: Keys,
    pub(crate) index_key: IndexKey,
    /// Makes the tokens of links in mails out of random seeds.
    pub(crate) link_key: IndexKey,
    pub(crate) audit_key: audit::key::Sealed,
    pub(crate) addresses: AddressLimits,
    pub(crate) storms: StormWatch,
    /// Which sessions have ended, as it is published.
    pub(crate) status: StatusLists,
    /// Names of users who come through a proxy.
    pub(crate) names: Arc<Names>,
    /// Password schemes that occur among the users; dummies cost what one of them costs.
    pub(crate) schemes: ArcSwap<Vec<String>>,
    /// When the database last took a write for a readiness probe; microseconds.
    pub(crate) ready_at: AtomicI64,
    /// Whether the service has been told to stop.
    pub(crate) leaving: AtomicBool,
    /// Tokens issued before this second are refused.
    pub(crate) tokens_not_before: i64,
    /// Until when tokens of the replaced service are taken.
    pub(crate) legacy_until: Timestamp,
}

/// Events since the start; every counter only grows, but for the last.
#[derive(Debug, Default)]
pub struct Counters {
    /// Logins that gave tokens.
    pub logins: AtomicU64,
    /// Logins with bad credentials.
    pub failed_logins: AtomicU64,
    /// Logins and registrations that were throttled.
    pub throttled: AtomicU64,
    /// Storms of failed logins whose beginning this replica was the first to see.
    pub login_storms: AtomicU64,
    /// Accounts registered.
    pub registrations: AtomicU64,
    /// Refreshes that rotated a session.
    pub refreshes: AtomicU64,
    /// Refreshes within the grace window that gave the same successor again.
    pub redeliveries: AtomicU64,
    /// Sessions ended because a spent refresh token came back.
    pub reuses: AtomicU64,
    /// Tokens of the replaced service that were taken.
    pub legacy_tokens: AtomicU64,
    /// Tokens of the shared secret that were taken while public keys sign.
    pub shared_key_tokens: AtomicU64,
    /// Mails that a server took.
    pub mails_sent: AtomicU64,
    /// Attempts to send a mail that failed and are repeated.
    pub mails_deferred: AtomicU64,
    /// Mails that were given up.
    pub mails_failed: AtomicU64,
    /// Mails that were not written, because their mailbox had many lately.
    pub mails_withheld: AtomicU64,
    /// Mails that wait to be sent, counted once a minute; this one grows and shrinks.
    pub mails_waiting: AtomicU64,
    /// Rows of the audit trail that wait for their places, counted once a minute; this one grows and shrinks.
    pub audit_waiting: AtomicU64,
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// Tokens of the replaced service lived seven days; after that from the first start there are none.
const LEGACY_PERIOD: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Inner {
    /// Whether a storm of failed logins rages.
    #[must_use]
    pub fn in_login_storm(&self) -> bool {
        self.storms.is_raging()
    }
}

impl App {
    /// Reads what the installation remembers and the feed of changes, and is ready to answer.
    ///
    /// # Errors
    /// When the database cannot be read or written, or a stored signing key cannot be opened.
    pub async fn start(parts: Parts) -> Result<Self> {
        let Parts { db, hasher, keys, index_key, audit_sealing, settings, clock } = parts;
        let now = clock.now();
        let memory = Memory::read_and_update(&db, &settings, now).await?;
        let schemes = load_schemes(&db).await?;
        let keys = crate::signing_key::prepare(&db, keys, &settings, memory.first_started_at, now).await?;
        let names = Arc::<Names>::default();
        let feed = Feed::load(&db, now, memory.longest_access_lifetime, Arc::clone(&names)).await?;
        let legacy_until = settings.tokens.legacy_until.unwrap_or(memory.first_started_at + LEGACY_PERIOD);
        let app = Self(Arc::new(Inner {
            db,
            hasher,
            settings,
            clock,
            feed,
            counters: Counters::default(),
            keys,
            addresses: AddressLimits::default(),
            storms: StormWatch::default(),
            names,
            status: StatusLists::default(),
            schemes: ArcSwap::from_pointee(schemes),
            link_key: index_key.child("links of mails"),
            index_key,
            audit_key: audit::key::Sealed::new(audit_sealing),
            leaving: AtomicBool::new(false),
            ready_at: AtomicI64::new(i64::MIN),
            tokens_not_before: memory.tokens_not_before,
            legacy_until,
        }));
        status_list::start(&app).await?;
        sharing::hear(&app, now).await?;
        Ok(app)
    }
}

/// What the installation remembers of itself.
struct Memory {
    first_started_at: Timestamp,
    tokens_not_before: i64,
    longest_access_lifetime: Duration,
}

impl Memory {
    async fn read_and_update(db: &Db, settings: &Settings, now: Timestamp) -> Result<Self> {
        let mut tx = db.begin().await?;
        let first = meta::set_once(&mut tx, meta::FIRST_STARTED_AT, &now.micros().to_string()).await?;
        let not_before = meta::get(&mut tx, meta::TOKENS_NOT_BEFORE).await?;
        let tokens = &settings.tokens;
        let longest = longest(&mut tx, meta::LONGEST_ACCESS_LIFETIME, tokens.access_lifetime).await?;
        self::longest(&mut tx, meta::LONGEST_REFRESH_LIFETIME, tokens.refresh_lifetime).await?;
        tx.commit().await?;
        Ok(Self {
            first_started_at: Timestamp::from_micros(number(meta::FIRST_STARTED_AT, Some(&first))?),
            tokens_not_before: number(meta::TOKENS_NOT_BEFORE, not_before.as_deref())?,
            longest_access_lifetime: longest,
        })
    }
}

/// Raises a remembered lifetime to the one that is set now, and answers it. Other replicas read their keys again then: they
/// keep them for as long as tokens live.
async fn longest(tx: &mut Tx, key: &'static str, set: Duration) -> Result<Duration> {
    let stored = Duration::from_micros(number(key, meta::get(tx, key).await?.as_deref())?);
    if set <= stored {
        return Ok(stored);
    }
    // Several replicas may start at once, with different lifetimes.
    let longest = meta::raise(tx, key, i64::try_from(set.as_micros()).unwrap_or(i64::MAX)).await?;
    crate::signing_key::change(tx).await?;
    Ok(Duration::from_micros(longest.unsigned_abs()))
}

/// A number that we wrote ourselves; anything else means that the database is not what we think it is.
fn number<T: std::str::FromStr + Default>(key: &str, value: Option<&str>) -> Result<T> {
    let Some(value) = value else { return Ok(T::default()) };
    value.parse().map_err(|_| crate::Error::internal(format!("meta value {key} is not a number: {value:?}")))
}

/// More schemes than this do not occur in honest installations; dummies need no more variety.
const MOST_SCHEMES: usize = 32;

pub(crate) async fn load_schemes(db: &Db) -> Result<Vec<String>> {
    let mut tx = db.read().await?;
    Ok(store::user::schemes(&mut tx, MOST_SCHEMES).await?)
}

/// The longest lifetime that any replica has given to an access token.
pub(crate) async fn longest_access_lifetime(db: &Db) -> Result<Duration> {
    let mut tx = db.read().await?;
    let longest = meta::get(&mut tx, meta::LONGEST_ACCESS_LIFETIME).await?;
    Ok(Duration::from_micros(number(meta::LONGEST_ACCESS_LIFETIME, longest.as_deref())?))
}
