//! Whether this replica can do its work.

use std::time::Duration;

use crate::App;
use crate::error::{Error, Result};

/// Ready means: the database takes writes, and the feed of changes is fresh enough to judge access tokens.
///
/// # Errors
/// [`crate::Kind::Unavailable`] with what is missing.
pub async fn ready(app: &App) -> Result<()> {
    app.db.check_writable().await?;
    if app.feed.age(app.clock.now()) > app.settings.feed_max_staleness {
        return Err(Error::unavailable(Duration::from_secs(5), "The feed of changes is stale."));
    }
    Ok(())
}
