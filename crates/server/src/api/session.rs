use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use domain::field::FieldErrors;
use domain::session::{Session, SessionId};
use domain::time::Timestamp;
use http::StatusCode;
use serde::Serialize;
use service::session::{Page, Place};
use utoipa::ToSchema;

use super::time;
use crate::answer::Answer;
use crate::call::UserCall;
use crate::endpoint::Api;
use crate::error::Error;

/// A login that is still good.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct Item {
    /// Its name, also in its tokens (`sid`).
    #[schema(example = "5e0fd64d52f3a48f6dc72cbb00000000")]
    id: String,
    /// The login.
    #[schema(format = DateTime)]
    created_at: String,
    /// The last refresh, or the login.
    #[schema(format = DateTime)]
    last_used_at: String,
    /// When it ends unless it is refreshed before.
    #[schema(format = DateTime)]
    expires_at: String,
    /// The client's address at login.
    address: String,
    /// The client's description of itself at login: its User-Agent.
    user_agent: String,
    /// Whether it is the session of this request.
    current: bool,
}

/// Some of the user's sessions.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionList {
    /// The latest login first; at most 100.
    sessions: Vec<Item>,
    /// For `after`, to get the next ones; null at the end.
    next: Option<String>,
}

/// The sessions of the user that are good now.
#[utoipa::path(
    get,
    path = "/sessions/",
    tag = "sessions",
    operation_id = "listSessions",
    params(("after" = Option<String>, Query, description = "`next` of the page before.")),
    responses(
        (status = 200, description = "They are.", body = SessionList),
        (status = 400, description = "`after` is not from a page.", body = super::Faulty),
        (status = 401, description = "There is no good access token.", body = super::Detail),
        (status = 403, description = "It is one of an API key.", body = super::Detail),
        (status = 503, description = "The service cannot tell now; see Retry-After.", body = super::Detail),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn list(State(api): State<Api>, UserCall { who, call }: UserCall) -> Result<Answer, Error> {
    let [after] = call.query(["after"])?;
    let after = after.map(|text| read_place(&text)).transpose()?;
    let page = service::session::list(&api.app, &call.caller, who, after).await?;
    Ok(Answer::json(StatusCode::OK, &shape_page(&page, who.session)))
}

/// Ends a session of the user: its refresh token at once, its access tokens at once here, and elsewhere within the revocation
/// bound (a second by default).
#[utoipa::path(
    delete,
    path = "/sessions/{id}/",
    tag = "sessions",
    operation_id = "endSession",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$", description = "The session.")),
    responses(
        (status = 204, description = "It has ended."),
        (status = 401, description = "There is no good access token.", body = super::Detail),
        (status = 403, description = "It is one of an API key.", body = super::Detail),
        (status = 404, description = "The user has no such session.", body = super::Detail),
        (status = 503, description = "The database is not available; see Retry-After.", body = super::Detail),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn end(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    UserCall { who, call }: UserCall,
) -> Result<StatusCode, Error> {
    let id = id.ok().and_then(|Path(id)| SessionId::parse(&id)).ok_or(Error::NotFound)?;
    service::session::end(&api.app, &call.caller, who, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A page, as one of its sessions sees it.
pub(super) fn shape_page(page: &Page, current: Option<SessionId>) -> SessionList {
    let sessions = page.sessions.iter().map(|session| item(session, current)).collect();
    SessionList { sessions, next: page.next.map(write_place) }
}

pub(super) fn item(session: &Session, current: Option<SessionId>) -> Item {
    Item {
        id: session.id.to_string(),
        created_at: time::rfc3339(session.created_at),
        last_used_at: time::rfc3339(session.last_used_at),
        expires_at: time::rfc3339(session.idle_expires_at.min(session.expires_at)),
        address: session.address.clone(),
        user_agent: session.user_agent.clone(),
        current: current == Some(session.id),
    }
}

fn write_place(place: Place) -> String {
    format!("{}-{}", place.created_at.micros(), place.id)
}

pub(super) fn read_place(text: &str) -> Result<Place, Error> {
    let place = text.split_once('-').and_then(|(micros, id)| {
        let created_at = Timestamp::from_micros(micros.parse().ok()?);
        Some(Place { created_at, id: SessionId::parse(id)? })
    });
    place.ok_or_else(|| FieldErrors::of("after", vec!["Not a place in the list.".into()]).into())
}
