//! Whether a database is the installation, or was, or is to become it.

use crate::{Result, Tx, meta};

/// What a database is to those who want to use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The installation.
    Here,
    /// It was copied to another database, whose address this is, without its password.
    MovedTo(String),
    /// A copy that is not complete.
    Unfinished,
}

/// What this database is.
///
/// # Errors
/// Those of reading.
pub async fn standing(tx: &mut Tx) -> Result<Standing> {
    if let Some(place) = meta::get(tx, meta::MOVED_TO).await? {
        return Ok(Standing::MovedTo(place));
    }
    Ok(match meta::get(tx, meta::COPYING_FROM).await? {
        Some(_) => Standing::Unfinished,
        None => Standing::Here,
    })
}

/// Makes a database that has moved the installation again. A copy that begins later is another one.
///
/// # Errors
/// Those of writing.
pub async fn take_back(tx: &mut Tx) -> Result<()> {
    for key in [meta::MOVED_TO, meta::COPY_ID] {
        meta::remove(tx, key).await?;
    }
    Ok(())
}
