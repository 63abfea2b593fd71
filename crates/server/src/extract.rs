//! Request bodies, read as Django REST framework reads them.
//!
//! `body` takes the bytes in, bounded in size and time; `json`, `form` and `multipart` find the fields in them; `value`
//! is what a field may be. To take another format, add a file with a `read` like theirs and a line to [`fields`].

use std::borrow::Cow;

use domain::field::{self, FieldErrors};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::error::Error;

pub(crate) mod body;
mod form;
pub(crate) mod header_value;
mod json;
mod multipart;
mod number;
pub(crate) mod percent;
pub(crate) mod value;

use json::Others;
use value::Value;

/// Longer media types are not looked at.
const MAX_MEDIA_TYPE: usize = 256;

/// The fields `names` of a body, in the order of the question. An empty body has no fields, whatever its type.
///
/// # Errors
/// 415 for a type we do not read, 400 for a body that is not of its type.
pub(crate) fn fields<'a, const N: usize>(
    headers: &HeaderMap,
    body: &'a [u8],
    names: [&str; N],
) -> Result<[Value<'a>; N], Error> {
    if body.is_empty() {
        return Ok([const { Value::Missing }; N]);
    }
    let content_type = content_type(headers);
    if content_type.len() > MAX_MEDIA_TYPE {
        return Err(Error::UnsupportedMediaType(content_type.into_owned()));
    }
    let is = |ours| header_value::serves(ours, &content_type);
    if content_type == "application/json" || is("application/json") {
        return Ok(json_fields(body, names, Others::Ignored)?.map(Value::or_number));
    }
    if is("application/x-www-form-urlencoded") {
        return form::read(body, names).map_err(|words| Error::Malformed(words.into()));
    }
    if is("multipart/form-data") {
        return multipart::read(body, &content_type, names)
            .map_err(|words| Error::Malformed(format!("Multipart form parse error - {words}").into()));
    }
    Err(Error::UnsupportedMediaType(content_type.into_owned()))
}

/// The members `names` of a JSON body that has no others, for the routes that the replaced service did not have: they take
/// neither forms nor unknown members nor numbers for texts (HB-02, IN-03). An empty body has no members, whatever its type.
///
/// # Errors
/// 415 for another type, 400 for a body that is not of its type.
pub(crate) fn json_only<'a, const N: usize>(
    headers: &HeaderMap,
    body: &'a [u8],
    names: [&str; N],
) -> Result<[Value<'a>; N], Error> {
    if body.is_empty() {
        return Ok([const { Value::Missing }; N]);
    }
    let content_type = content_type(headers);
    if content_type.len() > MAX_MEDIA_TYPE || !header_value::serves("application/json", &content_type) {
        return Err(Error::UnsupportedMediaType(content_type.into_owned()));
    }
    json_fields(body, names, Others::Refused)
}

/// The parameters `names` of a form body, each at most once, for the routes of OAuth.
///
/// # Errors
/// 400 `invalid_request` for another type, too many parameters, or one that is repeated.
pub(crate) fn parameters<'a, const N: usize>(
    headers: &HeaderMap,
    body: &'a [u8],
    names: [&str; N],
) -> Result<[Value<'a>; N], Error> {
    if !header_value::serves("application/x-www-form-urlencoded", &content_type(headers)) {
        return Err(Error::InvalidParameters("Send application/x-www-form-urlencoded.".into()));
    }
    form::read_once(body, names).map_err(|words| Error::InvalidParameters(words.into()))
}

/// The parameters `names` of a query, each at most once, in the order of the question; others are ignored.
///
/// # Errors
/// 400 for too many parameters, one that is repeated (two readers could take either), or one with U+0000, which PostgreSQL has in no
/// text.
pub(crate) fn query<const N: usize>(
    query: &str,
    names: [&'static str; N],
) -> Result<[Option<String>; N], Error> {
    let values = form::read_once(query.as_bytes(), names).map_err(|words| Error::Malformed(words.into()))?;
    let mut errors = FieldErrors::default();
    for (name, value) in names.iter().zip(&values) {
        if matches!(value, Value::Text(text) if text.text.contains('\0')) {
            errors.push(name, vec![field::NULL_CHARACTERS.into()]);
        }
    }
    errors.into_result()?;
    Ok(values.map(|value| match value {
        Value::Text(text) => Some(text.text.into_owned()),
        _ => None,
    }))
}

fn json_fields<'a, const N: usize>(
    body: &'a [u8],
    names: [&str; N],
    others: Others,
) -> Result<[Value<'a>; N], Error> {
    let document = match std::str::from_utf8(body) {
        Ok(text) => json::read(text, names, others),
        Err(fault) => Err(json::Fault(format!("not UTF-8 at byte {}", fault.valid_up_to()))),
    };
    match document {
        Ok(json::Document::Object(values)) => Ok(values),
        Ok(json::Document::Null) => Err(Error::NonField("No data provided".into())),
        Ok(json::Document::Other(name)) => {
            Err(Error::NonField(format!("Invalid data. Expected a dictionary, but got {name}.").into()))
        }
        Err(json::Fault(words)) => Err(Error::Malformed(format!("JSON parse error - {words}").into())),
    }
}

/// The Content-Type header as text. Other bytes than ASCII count as Latin-1, as in WSGI.
fn content_type(headers: &HeaderMap) -> Cow<'_, str> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return "".into() };
    match value.to_str() {
        Ok(text) => text.into(),
        Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect::<String>().into(),
    }
}
