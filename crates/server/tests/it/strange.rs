//! Every operation of the OpenAPI document, asked with values that no client means: what comes back is a refusal in our words and
//! never a fault of the service, whichever database it is on. The document says where values go, so new routes are asked as well.

use serde_json::{Value, json};
use testkit::http::Answer;

use crate::admin::Admins;

/// JSON values for a member: PostgreSQL has no U+0000 in texts, Rust no lone surrogates, and numbers may be of any size.
const VALUES: [&str; 14] = [
    r#""\u0000""#,
    r#""a\u0000b@example.com""#,
    r#""\ud800""#,
    r#""a\udc00""#,
    r#""\u202e\ufeff\u0085""#,
    r#""%00' OR 1=1 --""#,
    "1000000000000000000000000000000",
    "-0",
    "1e400",
    "true",
    "null",
    "[]",
    "{}",
    "\"\"",
];

/// Percent-encoded values for a part of a path or query.
const ENCODED: [&str; 14] = [
    "%00",
    "a%00b",
    "%ff",
    "%ed%a0%80",
    "%2f",
    "%2e%2e",
    "..%2f..%2fetc",
    "%",
    "%zz",
    "-0",
    "-1",
    "1e30",
    "99999999999999999999999999",
    "%F0%9F%92%A9%E2%80%AE",
];

/// Bodies that are no JSON of ours, whatever the operation.
fn bodies() -> Vec<Vec<u8>> {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(2_000), "]".repeat(2_000));
    let long = format!("{{\"a\":\"{}\"}}", "a".repeat(16 * 1024));
    let texts = [
        "{\"token\":\"a\",\"token\":\"b\"}",
        "{\"token\":NaN}",
        "{\"a\":1} 1",
        "\u{feff}{}",
        "\0",
        "[",
        "null",
        "7",
        &deep,
        &long,
    ];
    let mut bodies: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    bodies.push(b"{\"token\":\"\xff\"}".to_vec());
    bodies.push(b"{\"\xed\xa0\x80\":1}".to_vec());
    bodies
}

/// One operation of the document.
struct Operation {
    method: String,
    path: String,
    about: Value,
}

fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(|(method, about)| Operation {
            method: method.to_uppercase(),
            path: path.clone(),
            about: about.clone(),
        })
    });
    all.collect()
}

impl Operation {
    /// The names of its parameters in the path or the query.
    fn parameters(&self, place: &str) -> Vec<String> {
        let all = self.about["parameters"].as_array().into_iter().flatten();
        let here = all.filter(|parameter| parameter["in"] == place);
        here.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The names of the members of its body, if it takes one of this type.
    fn members(&self, document: &Value, kind: &str) -> Option<Vec<String>> {
        let schema = self.about["requestBody"]["content"].get(kind)?;
        let name = schema["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        let members = document["components"]["schemas"][name]["properties"].as_object().unwrap();
        Some(members.keys().cloned().collect())
    }

    /// Its path with plausible parameters, but for one.
    fn path_with(&self, odd: &str, value: &str) -> String {
        self.parameters("path").iter().fold(self.path.clone(), |path, name| {
            let value = if name == odd { value } else { "1" };
            path.replace(&format!("{{{name}}}"), value)
        })
    }
}

/// A value that means something where such a member is.
fn plausible(member: &str) -> Value {
    match member {
        "user_id" => json!(1),
        "email" => json!("new@example.com"),
        "expires_at" => json!("2026-02-01T00:00:00Z"),
        "scope" => json!(""),
        _ => json!("violet-umbrella-43"),
    }
}

fn check(answer: &Answer, what: &str) {
    assert!(answer.status < 500, "{what}: {answer:?}");
    if answer.status < 400 {
        return;
    }
    let body = answer.json();
    let members = body.as_object().unwrap_or_else(|| panic!("{what}: {answer:?}"));
    let texts = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    let ours = body["detail"].is_string() || body["error"].is_string() || members.values().all(texts);
    assert!(ours && !members.is_empty(), "{what}: {answer:?}");
}

async fn ask(admins: &Admins, operation: &Operation, path: &str, kind: &str, body: &[u8]) -> Answer {
    let bearer = format!("Bearer {}", admins.root);
    let mut headers = vec![("content-type", kind)];
    if operation.about["security"].to_string().contains("bearer") {
        headers.push(("authorization", bearer.as_str()));
    }
    admins.service.send(&operation.method, path, &headers, body).await
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

// IN-05
#[tokio::test]
async fn no_value_of_a_member_is_a_fault_of_the_service() {
    let (admins, document) = (Admins::start().await, serde_json::to_value(server::openapi()).unwrap());
    for operation in operations(&document) {
        let Some(members) = operation.members(&document, JSON) else { continue };
        let path = operation.path_with("", "");
        for odd in &members {
            for value in VALUES {
                let others = members.iter().filter(|name| *name != odd);
                let mut body: Vec<String> =
                    others.map(|name| format!("{name:?}:{}", plausible(name))).collect();
                body.push(format!("{odd:?}:{value}"));
                let alone = format!("{{{odd:?}:{value}}}");
                for body in [format!("{{{}}}", body.join(",")), alone] {
                    let answer = ask(&admins, &operation, &path, JSON, body.as_bytes()).await;
                    check(&answer, &format!("{} {path} {body}", operation.method));
                }
            }
        }
    }
    assert_eq!(
        admins.send("GET", "/me/", &admins.root, "").await.status,
        200,
        "the questions were asked with a session"
    );
}

// IN-03, IN-05
#[tokio::test]
async fn no_body_is_a_fault_of_the_service() {
    let (admins, document) = (Admins::start().await, serde_json::to_value(server::openapi()).unwrap());
    for operation in operations(&document) {
        // Those that read something only do not look at it.
        let reads = operation.about["responses"].get("415").is_some();
        let path = operation.path_with("", "");
        for body in bodies() {
            let answer = ask(&admins, &operation, &path, JSON, &body).await;
            let what = format!(
                "{} {path} {}",
                operation.method,
                String::from_utf8_lossy(&body[..body.len().min(40)])
            );
            check(&answer, &what);
            assert!(!reads || (400..500).contains(&answer.status), "{what}: {answer:?}");
        }
    }
}

// IN-05
#[tokio::test]
async fn no_form_is_a_fault_of_the_service() {
    let (admins, document) = (Admins::start().await, serde_json::to_value(server::openapi()).unwrap());
    for operation in operations(&document) {
        let Some(members) = operation.members(&document, FORM) else { continue };
        for odd in &members {
            for value in ENCODED {
                let others = members
                    .iter()
                    .filter(|name| *name != odd)
                    .map(|name| format!("&{name}=violet-umbrella-43"));
                let body = format!("{odd}={value}{}", others.collect::<String>());
                for body in [&body, &format!("{body}&{odd}=again")] {
                    let answer = ask(&admins, &operation, &operation.path, FORM, body.as_bytes()).await;
                    check(&answer, &format!("{} {} {body}", operation.method, operation.path));
                }
            }
        }
        let many = "a=1&".repeat(1_001);
        let answer = ask(&admins, &operation, &operation.path, FORM, many.as_bytes()).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
}

// IN-05, IN-07
#[tokio::test]
async fn no_path_and_no_query_is_a_fault_of_the_service() {
    let (admins, document) = (Admins::start().await, serde_json::to_value(server::openapi()).unwrap());
    let long = "a".repeat(5_000);
    for operation in operations(&document) {
        let mut paths = Vec::new();
        for value in ENCODED.into_iter().chain([long.as_str(), ".."]) {
            paths.extend(operation.parameters("path").iter().map(|name| operation.path_with(name, value)));
            let plain = operation.path_with("", "");
            for name in operation.parameters("query") {
                paths.push(format!("{plain}?{name}={value}"));
                paths.push(format!("{plain}?{name}={value}&{name}=1"));
            }
        }
        for path in paths {
            // Some of these are no request target at all.
            let Ok(path) = path.parse::<http::Uri>() else { continue };
            let answer = ask(&admins, &operation, &path.to_string(), JSON, b"").await;
            check(&answer, &format!("{} {path}", operation.method));
        }
        let endless = format!("{}?a={}", operation.path_with("", ""), "a".repeat(8 * 1024));
        let answer = ask(&admins, &operation, &endless, JSON, b"").await;
        assert_eq!(answer.status, 414, "{answer:?}");
    }
}
