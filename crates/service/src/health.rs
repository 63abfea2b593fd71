//! Whether this replica can do its work.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use domain::time::Timestamp;

use crate::App;
use crate::error::{Error, Result};

/// A good answer is given again for so long: the probe waits for the disk, and anybody may ask.
const REMEMBERED: Duration = Duration::from_secs(1);

/// Ready means: the database takes writes, and the feed of changes is fresh enough to judge access tokens.
///
/// # Errors
/// [`crate::Kind::Unavailable`] with what is missing.
pub async fn ready(app: &App) -> Result<()> {
    if app.leaving.load(Relaxed) {
        return Err(Error::unavailable(Duration::from_secs(5), "The service is stopping."));
    }
    let now = app.clock.now();
    if now.since(Timestamp::from_micros(app.ready_at.load(Relaxed))) >= REMEMBERED {
        app.db.check_writable().await?;
        app.ready_at.store(now.micros(), Relaxed);
    }
    if app.feed.age(now) > app.settings.feed_max_staleness {
        return Err(Error::unavailable(Duration::from_secs(5), "The feed of changes is stale."));
    }
    Ok(())
}

/// From now on the service says that it is not ready, and answers everything else.
pub fn leave(app: &App) {
    app.leaving.store(true, Relaxed);
}

/// Whether the service is about to stop.
#[must_use]
pub fn is_leaving(app: &App) -> bool {
    app.leaving.load(Relaxed)
}
