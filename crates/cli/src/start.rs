//! From a configuration to a database and a service, the same way for every command.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use crypto::breached::BreachedPasswords;
use crypto::hasher::{Hasher, HasherConfig};
use crypto::jws::KeyRing;
use crypto::keyed::IndexKey;
use crypto::password::Params;
use crypto::seal::SealingKey;
use crypto::secret::Secret;
use domain::password::{PasswordPolicy, PolicyChecks};
use domain::signing_key::Rotation;
use domain::time::Timestamp;
use service::clock::Clock;
use service::settings::{
    AdminSettings, ApiKeySettings, AuditSettings, KeySettings, Settings, SharedUntil, StatusSettings,
    TokenProfile, TokenSettings,
};
use service::{App, Parts};
use store::copy::{self, Standing};
use store::{Db, PostgresOptions, SqliteOptions, meta, migrate};

use crate::args::Serve;
use crate::config::{Config, Database, Deadline, Mode, Problem, Problems, secret};

/// Databases that a start takes only when it is told to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Adopt {
    /// One of the development mode.
    pub(crate) dev: bool,
    /// One that has moved elsewhere.
    pub(crate) moved: bool,
}

impl From<Serve> for Adopt {
    fn from(args: Serve) -> Self {
        Self { dev: args.adopt_dev_database, moved: args.take_back_moved_database }
    }
}

/// Opens the database and brings its schema up to date, or refuses where that is switched off. One that has moved to
/// another place is refused unless it is to be taken back: what is written to it would be lost.
///
/// # Errors
/// Those of the database, with its path.
pub(crate) async fn database(config: &Config, clock: &Clock, take_back: bool) -> anyhow::Result<Db> {
    let name = &config.database;
    let db = connect(config).await?;
    // From here on all replicas go by one clock.
    clock.follow(&db).await.with_context(|| format!("the database {name} does not tell the time"))?;
    let mode = if config.migrate { migrate::Mode::Auto } else { migrate::Mode::Never };
    let migrated = migrate::migrate(&db, mode, clock.now()).await;
    migrated.with_context(|| format!("the database {name} cannot be used"))?;
    require_here(&db, name, take_back).await?;
    Ok(db)
}

async fn require_here(db: &Db, name: &Database, take_back: bool) -> anyhow::Result<()> {
    let problem = match copy::standing(&mut db.read().await?).await? {
        Standing::Here => return Ok(()),
        Standing::MovedTo(_) if take_back => {
            let mut tx = db.begin().await?;
            copy::take_back(&mut tx).await?;
            return Ok(tx.commit().await?);
        }
        Standing::MovedTo(place) => Problem::new(
            format!("the installation has moved: {name} was copied to {place} and is out of date."),
            "set DATABASE_URL to where it is now, or serve this one after all, without what happened there, with \
             --take-back-moved-database.",
        ),
        Standing::Unfinished => Problem::new(
            format!("{name} holds a copy of an installation that is not complete."),
            "complete it with `bookstore-auth copy --final`, or name another database in DATABASE_URL.",
        ),
    };
    Err(Problems(vec![problem]).into())
}

/// Opens the database as it is.
///
/// # Errors
/// Those of the database, with its name.
pub(crate) async fn connect(config: &Config) -> anyhow::Result<Db> {
    let opened = match &config.database {
        Database::File(path) => {
            Db::open_sqlite(SqliteOptions { commit_batch: config.commit_batch, ..SqliteOptions::new(path) })
                .await
        }
        Database::Postgres(options) => {
            let mut options = PostgresOptions::clone(options);
            options.pool = config.database_pool;
            Db::open_postgres(options).await
        }
    };
    opened.with_context(|| format!("the database {} cannot be opened", config.database))
}

/// Which mode the database was made by; `None` before the first start.
///
/// # Errors
/// When the database cannot be read.
pub(crate) async fn stored_mode(db: &Db) -> anyhow::Result<Option<Mode>> {
    let mut tx = db.read().await?;
    Ok(match meta::get(&mut tx, meta::MODE).await?.as_deref() {
        Some("dev") => Some(Mode::Dev),
        Some(_) => Some(Mode::Serve),
        None => None,
    })
}

/// Notes in a new database which mode made it, and keeps development and production apart (KY-02).
///
/// # Errors
/// A problem that says how to go on, when the database belongs to the other mode.
pub(crate) async fn claim(db: &Db, config: &Config, adopt: bool, now: Timestamp) -> anyhow::Result<()> {
    let path = &config.database;
    let problem = match (stored_mode(db).await?, config.mode) {
        (Some(Mode::Dev), Mode::Serve) if !adopt => Problem::new(
            format!(
                "the database {path} was made by `bookstore-auth dev`; its accounts may have weak passwords."
            ),
            "name another database in DATABASE_URL or DATA_DIR, or take this one over with --adopt-dev-database.",
        ),
        (Some(Mode::Serve), Mode::Dev) => Problem::new(
            format!(
                "the database {path} is one of production; the development mode would let weak accounts into it."
            ),
            "name another database in DATABASE_URL or DATA_DIR, or use `bookstore-auth serve`.",
        ),
        (Some(stored), mode) if stored == mode => return Ok(()),
        (_, mode) => {
            let mut tx = db.begin().await?;
            meta::set(&mut tx, meta::MODE, &mode.to_string()).await?;
            // Commands such as `import` may have opened it weeks before; the time for old tokens begins with the service.
            meta::set(&mut tx, meta::FIRST_STARTED_AT, &now.micros().to_string()).await?;
            tx.commit().await?;
            return Ok(());
        }
    };
    Err(Problems(vec![problem]).into())
}

/// Builds the service. Without a signing key it gets one that nobody knows and that ends with the process: for
/// commands, which neither sign nor check tokens.
///
/// # Errors
/// When the database cannot be read or written, or there are no threads.
pub(crate) async fn app(config: &Config, db: Db, key: Option<&Secret>, clock: Clock) -> anyhow::Result<App> {
    let is_shared = key.is_some();
    // Made only where it is needed: the first random byte of a process takes tens of milliseconds.
    let nobodys = key.is_none().then(|| Secret::new(crypto::random::fill::<32>().to_vec()));
    let key = key.or(nobodys.as_ref()).context("a key was given or made")?.as_bytes();
    let index = config.keys.encryption.as_ref().filter(|_| !is_shared).map_or(key, Secret::as_bytes);
    let fallbacks: Vec<&[u8]> = config.keys.fallbacks.iter().map(Secret::as_bytes).collect();
    let hasher = Hasher::start(HasherConfig {
        threads: config.hash.threads,
        queue: config.hash.queue,
        max_wait: config.hash.max_wait,
        params: Params::default(),
    });
    let parts = Parts {
        db,
        hasher: hasher.context("the threads for hashing passwords cannot be started")?,
        keys: KeyRing::hs256(key, &fallbacks),
        index_key: IndexKey::derive(index, "bookstore-auth index v1"),
        audit_sealing: audit_sealing(config, is_shared),
        settings: settings(config, is_shared)?,
        clock,
    };
    Ok(App::start(parts).await?)
}

/// What the key of the audit trail is sealed under: the key-encryption key where there is one, since many hold the shared
/// secret. All that there are open it, so that it lives on when they are changed or one takes the place of the other.
fn audit_sealing(config: &Config, is_shared: bool) -> Vec<SealingKey> {
    let keys = &config.keys;
    if keys.encryption.is_none() && !is_shared {
        return Vec::new();
    }
    let own = keys.encryption.iter().chain(&keys.encryption_fallbacks);
    let shared = keys.signing.iter().chain(&keys.fallbacks).filter(|_| is_shared);
    own.chain(shared).map(SealingKey::derive).collect()
}

/// Which keys sign. Without a shared secret none of its tokens is taken.
fn keys(config: &Config, is_shared: bool) -> KeySettings {
    let keys = &config.keys;
    KeySettings {
        algorithm: keys.algorithm,
        sealing: keys.encryption.as_ref().map(SealingKey::derive),
        sealing_before: keys.encryption_fallbacks.iter().map(SealingKey::derive).collect(),
        shared_until: match keys.hs256_until {
            Deadline::Auto if is_shared => SharedUntil::Auto,
            Deadline::At(time) if is_shared => SharedUntil::At(time),
            _ => SharedUntil::Never,
        },
        profile: if keys.rfc9068 { TokenProfile::Rfc9068 } else { TokenProfile::SimpleJwt },
        rotation: Rotation {
            interval: Some(keys.rotation_interval).filter(|interval| !interval.is_zero()),
            publish_ahead: keys.publish_ahead,
        },
        require_all: !keys.for_repair,
    }
}

fn settings(config: &Config, is_shared: bool) -> anyhow::Result<Settings> {
    let tokens = &config.tokens;
    let checks = if config.passwords.full { PolicyChecks::Full } else { PolicyChecks::LengthOnly };
    Ok(Settings {
        tokens: TokenSettings {
            access_lifetime: tokens.access_lifetime,
            refresh_lifetime: tokens.refresh_lifetime,
            session_lifetime: tokens.session_lifetime,
            refresh_grace: tokens.refresh_grace,
            rotation: tokens.rotation,
            issuer: tokens.issuer.clone(),
            audience: tokens.audience.clone(),
            roles: tokens.roles,
            legacy_until: match config.keys.legacy_until {
                Deadline::Auto => None,
                Deadline::Off => Some(Timestamp::from_micros(i64::MIN)),
                Deadline::At(time) => Some(time),
            },
        },
        keys: keys(config, is_shared),
        password_policy: PasswordPolicy { min_length: config.passwords.min_length, checks },
        breached_passwords: breached(config)?,
        throttle: config.throttle,
        hard_stop: config.hard_stop,
        status: config
            .services
            .public_url
            .clone()
            .map(|public_url| StatusSettings { public_url, ttl: config.services.status_list_ttl }),
        accounts: config.accounts.clone(),
        mail: config.mail.clone(),
        services: config.services.credentials.clone(),
        revocation_bound: config.revocation_bound,
        feed_notify: config.feed_notify,
        feed_max_staleness: config.feed_max_staleness,
        audit: AuditSettings {
            checkpoint_interval: config.audit_checkpoint_interval,
            retention: config.audit_retention,
        },
        admin: AdminSettings { fresh_login: config.admin.fresh_login },
        api_keys: ApiKeySettings { max_lifetime: config.admin.api_key_lifetime },
    })
}

/// The list of breached passwords, if one is set.
fn breached(config: &Config) -> anyhow::Result<Option<Arc<BreachedPasswords>>> {
    let Some(path) = &config.passwords.breached else { return Ok(None) };
    let list = BreachedPasswords::open(path).map_err(|error| {
        let what = format!("BREACHED_PASSWORDS: {}: {:#}.", path.display(), anyhow::Error::new(error));
        Problems(vec![Problem::new(what, "make one with `bookstore-auth breached build`, or leave it out.")])
    })?;
    Ok(Some(Arc::new(list)))
}

/// The file of the development mode's SECRET_KEY.
pub(crate) const DEV_SECRET: &str = "dev-secret";
/// The file of its KEY_ENCRYPTION_KEY.
pub(crate) const DEV_ENCRYPTION: &str = "dev-key-encryption-key";

/// Gives the development mode the keys that are not set.
///
/// # Errors
/// As [`dev_secret`].
pub(crate) fn fill_in_dev_keys(config: &mut Config) -> anyhow::Result<()> {
    if config.keys.algorithm.is_public() && config.keys.encryption.is_none() {
        config.keys.encryption = Some(dev_secret(&config.data_dir, DEV_ENCRYPTION)?);
    }
    Ok(())
}

/// A key of the development mode: made at its first start, kept in the data folder for its owner alone, and marked
/// so that production refuses it.
///
/// # Errors
/// When the folder or the file cannot be made or read.
pub(crate) fn dev_secret(data_dir: &Path, name: &str) -> anyhow::Result<Secret> {
    let path = data_dir.join(name);
    if !path.exists() {
        make_dev_secret(data_dir, &path).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let stored = secret::from_file("the file", &path).map_err(|problem| Problems(vec![problem]))?;
    if !stored.as_bytes().starts_with(secret::DEV_PREFIX.as_bytes()) || stored.len() < secret::MIN_BYTES {
        let what = format!("{} is not a key that the development mode has made.", path.display());
        let mend = "remove the file (tokens signed with it become invalid), or set SECRET_KEY.";
        return Err(Problems(vec![Problem::new(what, mend)]).into());
    }
    Ok(stored)
}

/// Written whole beside its place and linked there: two first starts at once agree on one key, and a crash leaves none
/// half written.
fn make_dev_secret(data_dir: &Path, path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let temporary = data_dir.join(format!("dev-key.{}", hex(&crypto::random::fill::<8>())));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = writeln!(file, "{}{}", secret::DEV_PREFIX, hex(&crypto::random::fill::<32>()))
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    fs::remove_file(&temporary)?;
    written
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    // KY-01, KY-02: made once, for the owner alone, refused by production.
    #[test]
    fn the_development_key_is_kept_and_marked() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let key = dev_secret(&data_dir, DEV_SECRET).unwrap();
        assert_eq!(dev_secret(&data_dir, DEV_SECRET).unwrap(), key);
        assert!(secret::fault("SECRET_KEY", &key, true).is_some());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&data_dir), mode(&data_dir.join("dev-secret"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 1, "nothing else is left behind");
        let encryption = dev_secret(&data_dir, DEV_ENCRYPTION).unwrap();
        assert!(!encryption.is_related_to(&key));
        assert!(secret::encryption_fault(&encryption, [].into_iter(), Mode::Serve).is_some());
        assert!(secret::encryption_fault(&encryption, [].into_iter(), Mode::Dev).is_none());
    }

    #[test]
    fn a_damaged_development_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("dev-secret"), "dev-only-").unwrap();
        assert!(dev_secret(folder.path(), DEV_SECRET).unwrap_err().is::<Problems>());
    }
}
