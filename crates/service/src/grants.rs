//! What access tokens say of roles and permissions, where the operator wants it (`TOKEN_ROLES`).

use domain::admin::roles;
use domain::group::Permissions;
use domain::token::Standard;
use domain::user::UserId;

use crate::App;
use crate::error::Result;
use crate::settings::TokenRoles;

/// A claim has at most so many names, and so many bytes, so that tokens stay within a header; beyond it is left out.
const MOST: usize = 50;
const MOST_BYTES: usize = 2048;

/// The claims about what a user is and may at this moment; none where they are off. Two reads by key where they are on.
pub(crate) async fn claims(app: &App, id: UserId) -> Result<Standard> {
    let mut claims = Standard::default();
    if app.settings.tokens.roles == TokenRoles::Off {
        return Ok(claims);
    }
    let mut tx = app.db.read().await?;
    let Some(user) = store::user::find(&mut tx, id).await? else { return Ok(claims) };
    match app.settings.tokens.roles {
        TokenRoles::Off => {}
        TokenRoles::Roles => {
            let groups = store::group::groups_of(&mut tx, id, id).await?;
            let groups = groups.iter().map(|(_, group)| group.name.as_str());
            claims.roles = bounded(id, roles(&user, groups));
        }
        TokenRoles::Scope => {
            let granted = store::group::granted(&mut tx, id).await?;
            let permissions = Permissions::of(&user, granted);
            let names = bounded(id, permissions.names().map(str::to_owned).collect());
            claims.scope = Some(names.join(" "));
        }
    }
    Ok(claims)
}

/// All of the names or, with a warning, none: half of them would say something else.
fn bounded(id: UserId, names: Vec<String>) -> Vec<String> {
    if names.len() <= MOST && names.iter().map(|name| name.len() + 3).sum::<usize>() <= MOST_BYTES {
        return names;
    }
    tracing::warn!(
        event = "token_roles_left_out",
        user.id = %id,
        count = names.len(),
        "an account has more roles or permissions than fit into a token; its tokens name none"
    );
    Vec::new()
}
