//! Refresh tokens that were refused where they were minted.

use domain::time::Timestamp;

use crate::error::Result;
use crate::refresh::legacy_jti;
use crate::{App, retry};

/// A token that must not be taken any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedToken {
    /// Its `jti`, as it stands in it.
    pub jti: String,
    /// Its end.
    pub expires_at: Timestamp,
}

/// Remembers refused tokens in one transaction; answers for each whether it was new. A dry run answers the same.
///
/// # Errors
/// When the database cannot be written; nothing is remembered then.
pub async fn refuse_tokens(app: &App, tokens: &[RefusedToken], dry_run: bool) -> Result<Vec<bool>> {
    let mut turn = 0;
    loop {
        let done = try_to_refuse(app, tokens, dry_run).await;
        if !retry::again(&done, &mut turn).await {
            return done;
        }
    }
}

async fn try_to_refuse(app: &App, tokens: &[RefusedToken], dry_run: bool) -> Result<Vec<bool>> {
    let mut tx = app.db.begin().await?;
    let mut new = Vec::with_capacity(tokens.len());
    for token in tokens {
        new.push(store::refused_token::insert(&mut tx, legacy_jti(&token.jti), token.expires_at).await?);
    }
    if !dry_run {
        tx.commit().await?;
    }
    Ok(new)
}
