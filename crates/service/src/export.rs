//! All accounts with their hashes and groups, page by page: for an operator who moves out.

use std::collections::HashMap;

use domain::user::{User, UserId};

use crate::App;
use crate::error::Result;

/// An account as an export has it. There is no Debug: it holds a password hash.
pub struct ExportedUser {
    /// The account.
    pub user: User,
    /// The stored hash.
    pub password_hash: String,
    /// Whether the password is checked as Django trimmed it.
    pub password_trims: bool,
    /// The names of its groups.
    pub groups: Vec<String>,
    /// The permissions that it has of its own.
    pub permissions: Vec<String>,
}

/// At most `limit` accounts with ids above `after`, by id, as they are at one moment.
///
/// # Errors
/// When the database cannot be read.
pub async fn page(app: &App, after: Option<UserId>, limit: u32) -> Result<Vec<ExportedUser>> {
    let mut tx = app.db.read().await?;
    let after = after.unwrap_or(UserId::new(i64::MIN));
    let page = store::user::list_credentials(&mut tx, after, i64::from(limit)).await?;
    let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(Vec::new()) };
    let (first, last) = (first.user.id, last.user.id);
    let mut groups: HashMap<UserId, Vec<String>> = HashMap::new();
    for (user, group) in store::group::groups_of(&mut tx, first, last).await? {
        groups.entry(user).or_default().push(group.name.as_str().to_owned());
    }
    let mut permissions: HashMap<UserId, Vec<String>> = HashMap::new();
    for (user, _, name) in store::group::permissions_of(&mut tx, first, last).await? {
        permissions.entry(user).or_default().push(name);
    }
    let exported = page.into_iter().map(|found| {
        let mut exported = ExportedUser {
            groups: groups.remove(&found.user.id).unwrap_or_default(),
            permissions: permissions.remove(&found.user.id).unwrap_or_default(),
            password_hash: found.password_hash,
            password_trims: found.password_trims,
            user: found.user,
        };
        // By name, not by id: two installations number them otherwise.
        exported.groups.sort_unstable();
        exported.permissions.sort_unstable();
        exported
    });
    Ok(exported.collect())
}
