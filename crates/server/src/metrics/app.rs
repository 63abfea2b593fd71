//! What the application itself counts, read when somebody asks.

use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use service::App;

/// Reads the application's counters.
pub(super) struct AppCollector(App);

impl AppCollector {
    pub(super) fn new(app: App) -> Self {
        Self(app)
    }
}

impl std::fmt::Debug for AppCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppCollector")
    }
}

impl Collector for AppCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, value) in self.counters() {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        for (name, help, value) in self.gauges() {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}

type Series<T> = (&'static str, &'static str, T);

impl AppCollector {
    fn counters(&self) -> Vec<Series<u64>> {
        let counted = &self.0.counters;
        let hasher = self.0.hasher.stats();
        let db = self.0.db.stats();
        vec![
            ("logins", "Logins that gave tokens", counted.logins.load(Relaxed)),
            ("failed_logins", "Logins with bad credentials", counted.failed_logins.load(Relaxed)),
            ("throttled", "Logins and registrations that were throttled", counted.throttled.load(Relaxed)),
            (
                "login_storms",
                "Storms of failed logins whose beginning this replica was the first to see",
                counted.login_storms.load(Relaxed),
            ),
            ("registrations", "Accounts registered", counted.registrations.load(Relaxed)),
            ("refreshes", "Refreshes that rotated a session", counted.refreshes.load(Relaxed)),
            (
                "redeliveries",
                "Refreshes answered again within the grace window",
                counted.redeliveries.load(Relaxed),
            ),
            (
                "reuses",
                "Sessions ended because a spent refresh token came back",
                counted.reuses.load(Relaxed),
            ),
            (
                "legacy_tokens",
                "Tokens of the replaced service that were taken",
                counted.legacy_tokens.load(Relaxed),
            ),
            (
                "shared_key_tokens",
                "Tokens of the shared secret (HS256) that were taken while public keys sign",
                counted.shared_key_tokens.load(Relaxed),
            ),
            ("mails_sent", "Mails that a server took", counted.mails_sent.load(Relaxed)),
            (
                "mails_deferred",
                "Attempts to send a mail that failed and are repeated",
                counted.mails_deferred.load(Relaxed),
            ),
            ("mails_failed", "Mails that were given up", counted.mails_failed.load(Relaxed)),
            (
                "mails_withheld",
                "Mails that were not written because their mailbox had many lately",
                counted.mails_withheld.load(Relaxed),
            ),
            ("password_hashes", "Password computations done", hasher.computed),
            ("password_jobs_rejected", "Password jobs refused because the queue was full", hasher.rejected),
            ("password_jobs_expired", "Password jobs that waited too long", hasher.expired),
            ("password_jobs_skipped", "Password jobs whose client had left", hasher.skipped),
            ("password_jobs_failed", "Password jobs that failed", hasher.failed),
            ("db_commits", "Write transactions acknowledged", db.commits),
            ("db_rollbacks", "Write transactions taken back", db.rollbacks),
            (
                "db_groups",
                "Groups of write transactions committed together; on PostgreSQL as many as commits",
                db.groups,
            ),
            ("db_failed_groups", "Groups of write transactions whose commit failed", db.failed_groups),
        ]
    }

    fn gauges(&self) -> Vec<Series<f64>> {
        let hasher = self.0.hasher.stats();
        let age = self.0.feed.age(self.0.clock.now());
        vec![
            (
                "password_jobs_waiting_login",
                "Logins that wait for a hashing thread",
                hasher.waiting_login as f64,
            ),
            (
                "password_jobs_waiting_registration",
                "Registrations that wait for a hashing thread",
                hasher.waiting_registration as f64,
            ),
            ("password_jobs_running", "Password jobs that run", hasher.running as f64),
            (
                "db_waiting",
                "Transactions that wait for their turn, or for a connection",
                self.0.db.stats().waiting as f64,
            ),
            (
                "login_storm",
                "1 while logins fail in a storm and strange networks get little, else 0",
                f64::from(u8::from(self.0.in_login_storm())),
            ),
            (
                "mails_waiting",
                "Mails that wait to be sent, counted once a minute up to 10000",
                self.0.counters.mails_waiting.load(Relaxed) as f64,
            ),
            (
                "audit_waiting",
                "Rows of the audit trail that have no place in the chain yet, counted once a minute",
                self.0.counters.audit_waiting.load(Relaxed) as f64,
            ),
            ("feed_age_seconds", "Age of what is known of ended sessions", age.as_secs_f64()),
        ]
    }
}
