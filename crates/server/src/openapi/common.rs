//! What holds for many operations alike, written into the document in one place: answers that do not come from the handlers but
//! from what stands around them (`edge`, `extract`), and headers that go with a status.

use utoipa::Modify;
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Components, Content, Object, OpenApi, Ref, RefOr, Required, Response, Schema, Type};

/// Completes the document.
pub(super) struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut OpenApi) {
        let Some(components) = document.components.clone() else { return };
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                name(method, operation);
                body(&components, operation);
                answers(path, method, operation);
                headers(operation);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [("get", get), ("put", put), ("post", post), ("delete", delete), ("patch", patch)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A handler of many methods is one operation for each, and their names differ (OpenAPI 3.1 section 4.8.10).
fn name(method: &str, operation: &mut Operation) {
    if let Some(id) = operation.operation_id.as_mut().filter(|id| *id == "forwardAuth" && method != "get") {
        let (first, rest) = method.split_at(1);
        id.push_str(&first.to_uppercase());
        id.push_str(rest);
    }
}

/// An empty body has no members; it will do where none is needed.
fn body(components: &Components, operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    let needs_members = |content: &RefOr<Content>| match content {
        RefOr::T(Content { schema: Some(RefOr::Ref(name)), .. }) => {
            let name = name.ref_location.rsplit('/').next().unwrap_or_default();
            match components.schemas.get(name) {
                Some(RefOr::T(Schema::Object(object))) => {
                    !object.required.is_empty() || object.min_properties.is_some()
                }
                _ => true,
            }
        }
        _ => true,
    };
    let required = body.content.values().any(needs_members);
    body.required = Some(if required { Required::True } else { Required::False });
}

fn answers(path: &str, method: &str, operation: &mut Operation) {
    let mut may = |status: &str, words: &str| {
        let detail = Content::new(Some(Ref::from_schema_name("Detail")));
        let mut response = Response::new(words);
        response.content.insert("application/json".to_owned(), detail.into());
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
    };
    may("400", "The request is malformed.");
    may("414", "Path and query have more than 8 KiB.");
    may("431", "The headers have more than 16 KiB or 100 fields.");
    if path != "/healthz" {
        may("503", "The service cannot do it now; see Retry-After.");
    }
    if reads_body(path) {
        may("408", "The body came too slowly.");
        may("413", "The body is too large.");
        let form = ["/introspect/", "/revoke/", "/token/"].contains(&path);
        if method != "get" && !form {
            may("415", "The body is of a type that is not read here.");
        }
    }
    if ["/register/", "/login/", "/refresh/", "/verify/"].contains(&path) {
        may("406", "The client takes no JSON.");
    }
}

/// Public files, probes and the questions of proxies are answered whatever the body is.
fn reads_body(path: &str) -> bool {
    let deaf = ["/forward-auth", "/healthz", "/readyz"].contains(&path);
    !deaf && !path.starts_with("/.well-known/") && !path.starts_with("/status-lists/")
}

fn headers(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let (name, mut header, words) = match status.as_str() {
            "401" => ("WWW-Authenticate", Header::default(), "How to authenticate."),
            "429" | "503" => {
                let seconds = Object::with_type(Type::Integer);
                ("Retry-After", Header::new(seconds), "Try again after so many seconds.")
            }
            _ => continue,
        };
        header.description = Some(words.to_owned());
        response.headers.insert(name.to_owned(), header.into());
    }
}
