//! Bodies of requests, through the whole service.

use domain::field;
use proptest::prelude::*;
use testkit::app::TestApp;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

async fn post(service: &TestApp, path: &str, kind: &str, body: &[u8]) -> (u16, String) {
    let answer = service.send("POST", path, &[("content-type", kind)], body).await;
    (answer.status, answer.text())
}

// HB-02: the routes of the API document take forms too; they use no cookies, so there is nothing to forge.
#[tokio::test]
async fn the_same_fields_come_in_three_formats() {
    let service = TestApp::start().await;
    service.register("reader", "violet umbrella+").await;
    let multipart = "--B\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nreader\r\n\
                     --B\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nviolet umbrella+\r\n--B--\r\n";
    for (kind, body) in [
        (JSON, r#"{"username":"reader","password":"violet umbrella+"}"#),
        (FORM, "username=reader&password=violet+umbrella%2B"),
        ("multipart/form-data; boundary=B", multipart),
    ] {
        assert_eq!(post(&service, "/login/", kind, body.as_bytes()).await.0, 200, "{kind}");
    }
    for kind in ["text/plain", "application/xml", "application/json-seq", ""] {
        assert_eq!(post(&service, "/login/", kind, b"username=reader").await.0, 415, "{kind}");
    }
}

#[tokio::test]
async fn all_faulty_fields_are_reported_at_once() {
    let service = TestApp::start().await;
    let faults = |body: &'static [u8]| post(&service, "/register/", JSON, body);
    let required = r#"{"username":["This field is required."],"email":["This field is required."],"password":["This field is required."]}"#;
    assert_eq!(faults(b"{}").await, (400, required.to_owned()));
    assert_eq!(faults(b"").await, (400, required.to_owned()));
    assert_eq!(
        faults(br#"{"username":true,"email":[],"password":null}"#).await.1,
        r#"{"username":["Not a valid string."],"email":["Enter a valid email address."],"password":["This field may not be null."]}"#
    );
    assert_eq!(
        faults(b"[]").await.1,
        r#"{"non_field_errors":["Invalid data. Expected a dictionary, but got list."]}"#
    );
    let (status, text) =
        faults(br#"{"username":"\ud800","email":"a\ud800","password":"\u0000\udc00"}"#).await;
    assert_eq!(status, 400);
    assert!(text.contains(&field::surrogate(0xd800).into_owned()), "{text}");
    assert!(text.contains(&field::surrogate(0xdc00).into_owned()), "{text}");
}

// IN-03
#[tokio::test]
async fn ambiguous_and_excessive_json_is_refused() {
    let service = TestApp::start().await;
    let deep = format!("{{\"token\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    for body in [
        r#"{"token":"a","token":"b"}"#,
        r#"{"email":{"x":1,"x":2},"token":"a"}"#,
        &deep,
        "{\"token\":\"a\"} {}",
        "\u{feff}{\"token\":\"a\"}",
        r#"{"token":NaN}"#,
        r#"{"token":'a'}"#,
        "{\"token\":\"a\nb\"}",
    ] {
        for path in ["/verify/", "/refresh/", "/login/", "/register/"] {
            let (status, text) = post(&service, path, JSON, body.as_bytes()).await;
            let refused = status == 400 && text.starts_with(r#"{"detail":"JSON parse error - "#);
            assert!(refused || status == 413, "{path} {}: {text}", &body[..body.len().min(40)]);
        }
    }
    let (status, text) = post(&service, "/verify/", JSON, b"{\"token\":\"\xff\"}").await;
    assert_eq!((status, &text[..30]), (400, r#"{"detail":"JSON parse error - "#));
    // Unknown members are ignored, as the replaced service did; numbers are texts, however large.
    let number = format!(r#"{{"token":{},"x":1e999}}"#, "9".repeat(400));
    assert_eq!(post(&service, "/verify/", JSON, number.as_bytes()).await.0, 400);
}

// IN-01
#[tokio::test]
async fn bodies_beyond_the_limit_are_refused_and_tokens_beyond_it_are_no_tokens() {
    let service = TestApp::start().await;
    let of_size = |size: usize| format!("{{\"token\":\"{}\"}}", "a".repeat(size - 12)).into_bytes();
    for path in ["/login/", "/register/"] {
        assert_eq!(post(&service, path, JSON, &of_size(16 * 1024)).await.0, 400, "{path}");
        let (status, text) = post(&service, path, JSON, &of_size(16 * 1024 + 1)).await;
        assert_eq!((status, text.as_str()), (413, r#"{"detail":"The request body is too large."}"#));
    }
    let invalid = r#"{"detail":"Token is invalid","code":"token_not_valid"}"#.to_owned();
    assert_eq!(post(&service, "/verify/", JSON, &of_size(16 * 1024 + 1)).await, (400, invalid.clone()));
    let refresh = service.send("POST", "/refresh/", &[("content-type", JSON)], &of_size(200_000)).await;
    assert_eq!((refresh.status, refresh.text()), (401, invalid));
    assert_eq!(post(&service, "/verify/", JSON, &of_size(256 * 1024 + 1)).await.0, 413);
}

fn a_body() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\"username\"",
        "\"password\"",
        "\"email\"",
        "\"token\"",
        "\"refresh\"",
        "1e999",
        "\\ud800",
        "\\u0000",
        "null",
        "-0",
        "--B",
        "--B--",
        "\r\n",
        "Content-Disposition: form-data; name=\"token\"",
        "&",
        "token=",
        "username=",
        "%",
        "%ff",
        "+",
        "é",
        "\0",
        "eyJhbGciOiJIUzI1NiJ9.e30.",
        "a@b.c",
    ]);
    let words = prop::collection::vec(word, 0..12).prop_map(|words| words.concat().into_bytes());
    prop_oneof![words, prop::collection::vec(any::<u8>(), 0..64)]
}

// IN-05: whatever comes in, the answer is one of ours and never 5xx.
#[test]
fn no_input_is_a_fault_of_ours() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let service = runtime.block_on(TestApp::start());
    let kind = prop::sample::select(vec![
        JSON,
        FORM,
        "multipart/form-data; boundary=B",
        "multipart/form-data",
        "a/b",
        "",
    ]);
    let path = prop::sample::select(vec!["/register/", "/login/", "/refresh/", "/verify/", "/healthz", "/%"]);
    let method = prop::sample::select(vec!["POST", "POST", "POST", "GET", "OPTIONS", "DELETE"]);
    let accept = prop::sample::select(vec!["*/*", "application/json", ",;/", "text/html;q=\"", ""]);
    let request = (method, path, kind, accept, "[ -~]{0,12}", a_body());
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 512, ..ProptestConfig::default() });
    runner
        .run(&request, |(method, path, kind, accept, odd, body)| {
            let headers = [
                ("content-type", kind),
                ("accept", accept),
                ("authorization", odd.as_str()),
                ("origin", odd.as_str()),
                ("x-forwarded-for", odd.as_str()),
            ];
            let answer = runtime.block_on(service.send(method, path, &headers, &body));
            prop_assert!(answer.status < 500, "{:?}", answer);
            let known = [200, 201, 400, 401, 404, 405, 406, 415];
            prop_assert!(known.contains(&answer.status), "{:?}", answer);
            Ok(())
        })
        .unwrap();
}
