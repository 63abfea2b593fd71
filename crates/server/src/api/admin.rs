//! The routes of administrators, below /admin/api/. Who asks is an [`crate::call::AdminCall`]; what they may do is asked for by
//! each use case of `service::admin`. Bodies are JSON without unknown members, also where there is nothing to say.

pub(crate) mod api_key;
pub(crate) mod bootstrap;
pub(crate) mod event;
pub(crate) mod group;
pub(crate) mod key;
pub(crate) mod member;
pub(crate) mod role;
pub(crate) mod session;
pub(crate) mod user;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use domain::field::FieldErrors;
use domain::group::GroupId;
use domain::user::UserId;
use service::cursor::Wanted;
use utoipa::IntoResponses;

use super::{Detail, Faulty};
use crate::call::Call;
use crate::error::Error;

/// What every route of administrators may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers that are made elsewhere")]
pub(crate) enum Refused {
    /// The request is faulty.
    #[response(status = 400)]
    Faulty(Faulty),
    /// There is no good access token.
    #[response(status = 401)]
    NoToken(Detail),
    /// The account may not do that. `permission_denied`: it is no administrator, or lacks the permission;
    /// `beyond_own_rights`: it would touch or give rights that it does not have; `login_not_fresh`: its login is too long ago.
    #[response(status = 403)]
    Forbidden(Detail),
    /// There is no such thing.
    #[response(status = 404)]
    NotFound(Detail),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(Detail),
    /// The service cannot do it now; see Retry-After.
    #[response(status = 503)]
    Unavailable(Detail),
}

/// The one segment of a path that is not fixed.
type Segment = Result<Path<String>, PathRejection>;
/// Two of them.
type Segments = Result<Path<(String, String)>, PathRejection>;

fn segment(path: Segment) -> Result<String, Error> {
    path.map(|Path(text)| text).map_err(|_| Error::NotFound)
}

fn segments(path: Segments) -> Result<(String, String), Error> {
    path.map(|Path(texts)| texts).map_err(|_| Error::NotFound)
}

/// An id as we write it: digits alone.
fn number(text: &str) -> Result<i64, Error> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(Error::NotFound)
}

fn user_id(text: &str) -> Result<UserId, Error> {
    number(text).map(UserId::new)
}

fn group_id(text: &str) -> Result<GroupId, Error> {
    number(text).map(GroupId::new)
}

/// A body that says nothing.
fn nothing(call: &Call) -> Result<(), Error> {
    let [] = call.members([])?;
    Ok(())
}

/// Items on a page when nobody says how many.
const USUAL_LIMIT: u32 = 50;
/// Items on a page at most (AD-05).
const MAX_LIMIT: u32 = 100;

fn wanted(limit: Option<String>, cursor: Option<String>) -> Result<Wanted, Error> {
    let limit = match limit {
        None => USUAL_LIMIT,
        Some(text) => {
            let number = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
            let words = format!("A number from 1 to {MAX_LIMIT}.");
            number.ok_or_else(|| FieldErrors::of("limit", vec![words.into()]))?
        }
    };
    Ok(Wanted { cursor, limit })
}
