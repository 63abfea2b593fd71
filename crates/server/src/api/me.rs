use axum::extract::State;
use domain::field::{self, Field, FieldErrors};
use domain::user::{EmailAddress, User};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use service::audit::EventRow;
use service::me::Trace;
use utoipa::ToSchema;

use super::session::Item as SessionItem;
use super::{password_field, time, token_field};
use crate::answer::Answer;
use crate::call::{Call, UserCall};
use crate::endpoint::Api;
use crate::error::Error;
use crate::extract::value::Value;

/// An account, as its owner sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    #[schema(example = 1)]
    id: i64,
    #[schema(example = "username")]
    username: String,
    /// May be blank.
    #[schema(example = "user@example.com")]
    email: String,
    /// Whether the address is proved.
    email_verified: bool,
    /// The address that the account is to have once it is proved.
    pending_email: Option<String>,
    first_name: String,
    last_name: String,
    is_staff: bool,
    is_superuser: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_login_at: Option<String>,
}

fn shown(user: &User) -> Me {
    Me {
        id: user.id.get(),
        username: user.username.as_str().to_owned(),
        email: user.email.as_str().to_owned(),
        email_verified: user.email_verified_at.is_some(),
        pending_email: user.pending_email.as_ref().map(|email: &EmailAddress| email.as_str().to_owned()),
        first_name: user.first_name.clone(),
        last_name: user.last_name.clone(),
        is_staff: user.is_staff,
        is_superuser: user.is_superuser,
        created_at: time::rfc3339(user.created_at),
        last_login_at: user.last_login_at.map(time::rfc3339),
    }
}

/// The user's account.
#[utoipa::path(
    get,
    path = "/me/",
    tag = "accounts",
    operation_id = "me",
    responses(
        (status = 200, description = "It is.", body = Me),
        (status = 401, description = "There is no good access token.", body = super::Detail),
        (status = 403, description = "The token is of an API key.", body = super::Detail),
        (status = 404, description = "The account is gone.", body = super::Detail),
        (status = 503, description = "The service cannot tell now; see Retry-After.", body = super::Detail),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(State(api): State<Api>, UserCall { who, .. }: UserCall) -> Result<Answer, Error> {
    let user = service::me::show(&api.app, who).await?;
    Ok(Answer::json(StatusCode::OK, &shown(&user)))
}

/// What is to be changed; what is not given stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct RenameRequest {
    #[schema(max_length = 150, nullable = false)]
    first_name: Option<String>,
    #[schema(max_length = 150, nullable = false)]
    last_name: Option<String>,
}

/// Changes the names of the person. The address has a way of its own (/email/change/), the name of the account none.
#[utoipa::path(
    patch,
    path = "/me/",
    tag = "accounts",
    operation_id = "changeMe",
    request_body(content = RenameRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "The account as it is now.", body = Me),
        (status = 400, description = "The request is faulty.", body = super::Faulty),
        (status = 401, description = "There is no good access token.", body = super::Detail),
        (status = 403, description = "The token is of an API key.", body = super::Detail),
        (status = 404, description = "The account is gone.", body = super::Detail),
        (status = 415, description = "The body is not JSON.", body = super::Detail),
        (status = 503, description = "The database is not available; see Retry-After.", body = super::Detail),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn rename(
    State(api): State<Api>,
    UserCall { who, call }: UserCall,
) -> Result<Answer, Error> {
    let [first, last] = call.members(["first_name", "last_name"])?;
    let mut errors = FieldErrors::default();
    let mut take = |name, value| match value {
        Value::Missing => None,
        value => errors.take(name, name_field(value)),
    };
    let (first, last) = (take("first_name", first), take("last_name", last));
    errors.into_result()?;
    let user = service::me::rename(&api.app, &call.caller, who, (first.as_deref(), last.as_deref())).await?;
    Ok(Answer::json(StatusCode::OK, &shown(&user)))
}

/// The longest given or family name, in characters, as Django has it.
const MAX_NAME: usize = 150;

/// A name of a person: one line, and it may be blank.
fn name_field(value: Value<'_>) -> Field {
    let text = value.text_or(field::NOT_A_STRING, field::text_with_surrogate)?;
    let text = domain::user::trim(&text);
    if text.chars().count() > MAX_NAME {
        return Err(vec![field::too_long(MAX_NAME)]);
    }
    match text.chars().any(char::is_control) {
        true => Err(vec!["Control characters are not allowed.".into()]),
        false => Ok(text.to_owned()),
    }
}

/// All that is kept on a person.
#[derive(Serialize, ToSchema)]
pub(crate) struct Export {
    account: Me,
    /// The sessions that are good; the latest 1,000.
    sessions: Vec<SessionItem>,
    /// Mails to and about the person, without what stood in them; the latest 1,000.
    mails: Vec<ExportedMail>,
    /// What happened with the account; the latest 1,000. What happened within the last second or so may be missing.
    events: Vec<ExportedEvent>,
}

/// A mail.
#[derive(Serialize, ToSchema)]
struct ExportedMail {
    kind: String,
    to: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    sent_at: Option<String>,
    #[schema(format = DateTime)]
    failed_at: Option<String>,
}

/// An event.
#[derive(Serialize, ToSchema)]
struct ExportedEvent {
    #[schema(format = DateTime)]
    at: String,
    kind: String,
    result: String,
    actor: String,
    session: Option<String>,
    address: Option<String>,
    user_agent: Option<String>,
}

/// All that is kept on the user. It takes a token whose session began with a login within the last ten minutes.
#[utoipa::path(
    get,
    path = "/me/export/",
    tag = "accounts",
    operation_id = "exportMe",
    responses(
        (status = 200, description = "It is.", body = Export),
        (status = 401, description = "There is no good access token.", body = super::Detail),
        (status = 403, description = "The login is too long ago (`login_not_fresh`): log in again; or the token is of an API key.", body = super::Detail),
        (status = 404, description = "The account is gone.", body = super::Detail),
        (status = 503, description = "The service cannot do it now; see Retry-After.", body = super::Detail),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn export(
    State(api): State<Api>,
    UserCall { who, call }: UserCall,
) -> Result<Answer, Error> {
    let all = service::me::export(&api.app, &call.caller, who).await?;
    let export = Export {
        account: shown(&all.user),
        sessions: all.sessions.iter().map(|session| super::session::item(session, who.session)).collect(),
        mails: all.mails.into_iter().map(mail).collect(),
        events: all.events.into_iter().map(event).collect(),
    };
    Ok(Answer::json(StatusCode::OK, &export))
}

fn mail(trace: Trace) -> ExportedMail {
    ExportedMail {
        kind: trace.template,
        to: trace.recipient,
        created_at: time::rfc3339(trace.created_at),
        sent_at: trace.sent_at.map(time::rfc3339),
        failed_at: trace.failed_at.map(time::rfc3339),
    }
}

/// Where an event came from is told of the user's own doings: others' addresses are theirs.
fn event(row: EventRow) -> ExportedEvent {
    let is_own = (row.actor == "user" && row.actor_id.is_none()) || row.actor == "anonymous";
    ExportedEvent {
        at: time::rfc3339(row.at),
        kind: row.kind,
        result: row.result,
        actor: row.actor,
        session: row.session.map(|id| id.to_string()),
        address: row.address.filter(|_| is_own),
        user_agent: row.user_agent.filter(|_| is_own),
    }
}

/// The password again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct CloseRequest {
    #[schema(format = Password)]
    current_password: String,
}

/// When a closed account is deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct Closed {
    #[schema(format = DateTime)]
    delete_at: String,
}

/// Closes the account: all sessions end, nobody logs in, and it is deleted with all that is kept on the user when the grace
/// (ACCOUNT_DELETION_GRACE) is over. Until then a link that is sent to its address opens it again.
#[utoipa::path(
    delete,
    path = "/me/",
    tag = "accounts",
    operation_id = "closeMe",
    request_body(content = CloseRequest, content_type = "application/json"),
    responses(
        (status = 202, description = "It is closed.", body = Closed),
        (status = 400, description = "The request is faulty.", body = super::Faulty),
        (status = 401, description = "There is no good access token.", body = super::Detail),
        (status = 403, description = "The password is not right.", body = super::Detail),
        (status = 409, description = "The account was changed meanwhile, or is a superuser's.", body = super::Detail),
        (status = 415, description = "The body is not JSON.", body = super::Detail),
        (status = 429, description = "Too many attempts; see Retry-After.", body = super::Detail),
        (status = 503, description = "The service cannot do it now; see Retry-After.", body = super::Detail),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn close(State(api): State<Api>, UserCall { who, call }: UserCall) -> Result<Answer, Error> {
    let [current] = call.members(["current_password"])?;
    let current =
        password_field(current).map_err(|messages| FieldErrors::of("current_password", messages))?;
    let delete_at = service::me::close(&api.app, &call.caller, who, &current).await?;
    Ok(Answer::json(StatusCode::ACCEPTED, &Closed { delete_at: time::rfc3339(delete_at) }))
}

/// The token of a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the body; fields are read one by one, to report all faults at once")]
pub(crate) struct KeepRequest {
    /// What stands behind `#token=` in the link.
    #[schema(min_length = 1, max_length = 128)]
    token: String,
}

/// Opens a closed account again, with the token of the link that was sent when it was closed. Its sessions stay ended.
#[utoipa::path(
    post,
    path = "/me/keep/",
    tag = "accounts",
    operation_id = "keepMe",
    request_body(content = KeepRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "It is open again.", body = Object, example = json!({})),
        (status = 400, description = "The token is not valid any more, or the request is faulty.", body = super::Faulty),
        (status = 415, description = "The body is not JSON.", body = super::Detail),
        (status = 429, description = "Too many attempts; see Retry-After.", body = super::Detail),
        (status = 503, description = "The database is not available; see Retry-After.", body = super::Detail),
    )
)]
pub(crate) async fn keep(State(api): State<Api>, call: Call) -> Result<Answer, Error> {
    let [token] = call.members(["token"])?;
    let token = token_field(token).map_err(|messages| FieldErrors::of("token", messages))?;
    service::me::keep(&api.app, &call.caller, &token).await?;
    Ok(Answer::empty_object())
}
