use super::*;
use proptest::prelude::*;

fn one(text: &str) -> Result<Document<'_, 1>> {
    read(text, ["a"], Others::Ignored)
}

fn text<'a>(text: &'a str) -> Value<'a> {
    Value::Text(Text { text: text.into(), surrogate: None })
}

fn fault(body: &str) -> String {
    one(body).expect_err(body).0
}

#[test]
fn takes_the_members_that_were_asked_for() {
    let body = r#" {"b": [1, {"c": null}], "a" : "x", "\u0063": 7} "#;
    assert_eq!(
        read(body, ["a", "c", "d"], Others::Ignored),
        Ok(Document::Object([text("x"), Value::Number("7".into()), Value::Missing]))
    );
    assert_eq!(one(r#"{"a":null}"#), Ok(Document::Object([Value::Null])));
    assert_eq!(one(r#"{"a":-1e3}"#), Ok(Document::Object([Value::Number("-1000.0".into())])));
    for body in [r#"{"a":true}"#, r#"{"a":[]}"#, r#"{"a":{"a":1}}"#] {
        assert_eq!(one(body), Ok(Document::Object([Value::NotText])), "{body}");
    }
}

#[test]
fn other_documents_are_named_as_python_names_them() {
    for (body, name) in [
        ("[]", "list"),
        ("\"x\"", "str"),
        ("1", "int"),
        ("1.5", "float"),
        ("true", "bool"),
        ("false", "bool"),
    ] {
        assert_eq!(one(body), Ok(Document::Other(name)), "{body}");
    }
    assert_eq!(one(" null\n"), Ok(Document::Null));
}

#[test]
fn faults_are_worded_as_in_python() {
    for (body, words) in [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("{\"a\":}", "Expecting value: line 1 column 6 (char 5)"),
        ("{\"a\":1,}", "Expecting property name enclosed in double quotes: line 1 column 8 (char 7)"),
        ("{} {}", "Extra data: line 1 column 4 (char 3)"),
        ("  \n ", "Expecting value: line 2 column 2 (char 4)"),
        ("{\"a\":\"b\nc\"}", "Invalid control character at: line 1 column 8 (char 7)"),
        ("{\"a\":\"\\x\"}", "Invalid \\escape: line 1 column 7 (char 6)"),
        ("{\"a\":\"b", "Unterminated string starting at: line 1 column 6 (char 5)"),
        ("{\"a\":1.}", "Expecting ',' delimiter: line 1 column 7 (char 6)"),
        (
            "{\n  \"é\": 1,\n  b\n}",
            "Expecting property name enclosed in double quotes: line 3 column 3 (char 14)",
        ),
        ("\u{feff}{}", "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)"),
        ("{\"a\":NaN}", "Out of range float values are not JSON compliant: 'NaN'"),
        ("[-Infinity]", "Out of range float values are not JSON compliant: '-Infinity'"),
        ("[1,]", "Expecting value: line 1 column 4 (char 3)"),
        ("{\"a\" 1}", "Expecting ':' delimiter: line 1 column 6 (char 5)"),
        ("[\"\\u12g4\"]", "Invalid \\uXXXX escape: line 1 column 3 (char 2)"),
    ] {
        assert_eq!(fault(body), words, "{body}");
    }
}

// IN-03
#[test]
fn members_that_occur_twice_are_refused_at_every_level() {
    for body in
        [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"b":{"x":1,"x":1}}"#, r#"[[{"x":1,"x":1}]]"#]
    {
        assert!(fault(body).starts_with("Member occurs twice"), "{body}");
    }
    let many: Vec<String> = (0..200).map(|n| format!("\"k{n}\":{n}")).collect();
    assert!(one(&format!("{{{}}}", many.join(","))).is_ok());
    assert!(one(&format!("{{{},\"k150\":1}}", many.join(","))).is_err());
}

// IN-03
#[test]
fn nesting_ends_at_32() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(one(&nested(MAX_DEPTH)), Ok(Document::Other("list")));
    assert!(fault(&nested(MAX_DEPTH + 1)).starts_with("Nested too deeply"));
    assert!(fault(&"[".repeat(100_000)).starts_with("Nested too deeply"));
    assert!(fault(&"{\"a\":".repeat(100_000)).starts_with("Nested too deeply"));
}

#[test]
fn surrogates_are_paired_or_remembered() {
    let value = |body: &str| match one(body) {
        Ok(Document::Object([Value::Text(Text { text, surrogate })])) => (text.into_owned(), surrogate),
        other => panic!("{other:?}"),
    };
    assert_eq!(value(r#"{"a":"x\ud83d\ude00\n"}"#), ("x😀\n".to_owned(), None));
    assert_eq!(value(r#"{"a":"\ude00\ud83d"}"#), ("\u{fffd}\u{fffd}".to_owned(), Some(0xde00)));
    assert_eq!(value(r#"{"a":"\ud800\u0041b"}"#), ("\u{fffd}Ab".to_owned(), Some(0xd800)));
    assert_eq!(value(r#"{"a":"\ud800\ud83d\ude00"}"#), ("\u{fffd}😀".to_owned(), Some(0xd800)));
    assert!(matches!(one(r#"{"\ud800":1}"#), Ok(Document::Object([Value::Missing]))));
}

proptest! {
    /// Whatever serde_json writes is read back; and it agrees on what is not JSON.
    #[test]
    fn agrees_with_serde_json(name in ".{0,8}", content in any::<String>(), number in any::<f64>()) {
        let body = serde_json::json!({ "a": content, "list": [name, number, { "x": null }] }).to_string();
        prop_assert_eq!(one(&body), Ok(Document::Object([text(&content)])));
    }

    /// No input panics, and what we take is JSON to others too, but for numbers and lone surrogates.
    #[test]
    fn never_takes_what_serde_json_refuses(body in r#"[\[\]{},:"\\a1.e\-ntu ]{0,24}"#) {
        let theirs = serde_json::from_str::<serde_json::Value>(&body);
        if one(&body).is_ok() && !body.contains("\\u")
            && let Err(fault) = theirs
        {
            prop_assert!(fault.to_string().contains("out of range"), "{} {}", body, fault);
        }
    }

    #[test]
    fn never_panics(body in any::<String>()) {
        let _ = one(&body);
    }
}
