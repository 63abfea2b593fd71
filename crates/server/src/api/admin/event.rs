use axum::extract::State;
use domain::field::FieldErrors;
use domain::time::Timestamp;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use service::audit::{EventRow, Filter};
use utoipa::ToSchema;

use super::{Refused, user_id, wanted};
use crate::answer::Answer;
use crate::api::time::{read_rfc3339, rfc3339};
use crate::call::AdminCall;
use crate::endpoint::Api;
use crate::error::Error;

/// Something that happened.
#[derive(Serialize, ToSchema)]
struct Event {
    /// Its place in the chain.
    position: i64,
    #[schema(format = DateTime)]
    at: String,
    /// What happened.
    #[schema(example = "login.succeeded")]
    kind: String,
    /// `done` or `refused`.
    result: String,
    /// What sort of actor: `anonymous`, `user`, `service`, `operator` or `system`.
    actor: String,
    /// Which one, where that is not the user.
    actor_id: Option<String>,
    /// Whose account it is about.
    user_id: Option<i64>,
    session_id: Option<String>,
    /// From where.
    address: Option<String>,
    /// With what.
    user_agent: Option<String>,
    /// Names the request in logs.
    request_id: Option<String>,
    /// More about it.
    #[schema(value_type = Option<Object>)]
    detail: Option<Value>,
    /// Whether its personal data were erased with its user.
    erased: bool,
}

/// Some of what happened.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventList {
    /// The latest first.
    events: Vec<Event>,
    /// For `cursor`, to get the next ones with the same filter; null at the end.
    next: Option<String>,
}

/// The audit trail, the latest first. What happened within the last second or two may not be in it yet. Takes
/// `auth.view_auditevent`.
#[utoipa::path(
    get,
    path = "/admin/api/audit/",
    tag = "admin",
    operation_id = "adminListEvents",
    params(
        ("user" = Option<i64>, Query, minimum = 0, description = "About this account."),
        ("kind" = Option<String>, Query, description = "Of this kind."),
        ("from" = Option<String>, Query, format = DateTime, description = "From this time on (RFC 3339)."),
        ("until" = Option<String>, Query, format = DateTime, description = "Before this time (RFC 3339)."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most so many, 1 to 100; 50 by default."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "It is.", body = EventList), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    AdminCall { admin, call }: AdminCall,
) -> Result<Answer, Error> {
    let [user, kind, from, until, limit, cursor] =
        call.query(["user", "kind", "from", "until", "limit", "cursor"])?;
    let not_an_id = || FieldErrors::of("user", vec!["Not an id.".into()]);
    let user = user.map(|text| user_id(&text).map_err(|_| not_an_id())).transpose()?;
    let mut filter = Filter { user, kind, ..Filter::default() };
    filter.from = time("from", from)?.unwrap_or(filter.from);
    filter.until = time("until", until)?.unwrap_or(filter.until);
    let page = service::admin::event::search(&api.app, &admin, &filter, &wanted(limit, cursor)?).await?;
    let events = page.items.into_iter().map(shape).collect();
    Ok(Answer::json(StatusCode::OK, &EventList { events, next: page.next }))
}

fn time(name: &'static str, text: Option<String>) -> Result<Option<Timestamp>, FieldErrors> {
    let not_a_time = || FieldErrors::of(name, vec!["Not a time, such as 2026-01-01T00:00:00Z.".into()]);
    text.map(|text| read_rfc3339(&text).ok_or_else(not_a_time)).transpose()
}

fn shape(row: EventRow) -> Event {
    Event {
        position: row.position,
        at: rfc3339(row.at),
        kind: row.kind,
        result: row.result,
        actor: row.actor,
        actor_id: row.actor_id,
        user_id: row.user.map(domain::user::UserId::get),
        session_id: row.session.map(|id| id.to_string()),
        address: row.address,
        user_agent: row.user_agent,
        request_id: row.request_id,
        detail: row.detail.and_then(|text| serde_json::from_str(&text).ok()),
        erased: row.erased,
    }
}
