//! LA-02, KY-01, DB-03: marked secrets go in at every door; none comes out in a log line, in the configuration shown, or
//! in the database.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use testkit::process::{Process, SECRET_KEY};

use crate::turn;

const FALLBACK_KEY: &str = "canary-fallback-key-canary-fallback-key";
const PASSWORD: &str = "canary-Password-17";
const OTHER_PASSWORD: &str = "canary-Other-Word-18";

#[test]
fn secrets_stay_out_of_logs() {
    let _turn = turn::beside_others();
    for format in ["json", "text"] {
        let service = Process::start(&[
            ("LOG_LEVEL", "trace"),
            ("LOG_FORMAT", format),
            ("SECRET_KEY_FALLBACKS", FALLBACK_KEY),
        ]);
        let mut canaries = ordinary_use(&service);
        canaries.extend(misuse(&service));
        canaries.extend(commands(&service));
        let log = service.log();
        assert!(log.lines().count() > 10, "nothing is logged, so nothing is shown: {log}");
        for canary in &canaries {
            assert_absent(canary, &log, "the log");
        }
        assert!(!log.contains("$argon2"), "a password hash is in the log");
    }
}

/// Every form in which a secret could be written.
fn assert_absent(canary: &str, text: &str, place: &str) {
    let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
    // Without the ends of the encoding, which depend on what stands around it.
    let base64 = BASE64_STANDARD.encode(canary).trim_end_matches('=').to_owned();
    for form in [canary.to_owned(), canary.replace(' ', "%20"), hex, base64[..base64.len() - 2].to_owned()] {
        let Some(at) = text.find(&form) else { continue };
        let around: String = text[..at].chars().rev().take(200).collect::<String>().chars().rev().collect();
        panic!("{canary} is in {place}, after: {around}");
    }
}

fn ordinary_use(service: &Process) -> Vec<String> {
    service.register("reader", PASSWORD);
    let pair = service.login("reader", PASSWORD);
    let refreshed = service.refresh(&pair.refresh);
    assert_eq!(refreshed.status, 200);
    assert_eq!(service.refresh(&pair.refresh).status, 200, "a redelivery");
    assert_eq!(service.verify(&pair.access), 200);
    let mut canaries = vec![SECRET_KEY.to_owned(), FALLBACK_KEY.to_owned(), PASSWORD.to_owned()];
    for token in [pair.access, pair.refresh, refreshed.member("access"), refreshed.member("refresh")] {
        // The signature is what makes it a credential; a log that shows claims shows no secret.
        canaries.push(token.rsplit('.').next().expect("a signature").to_owned());
    }
    canaries.push(api_key(service));
    canaries
}

/// The secret part of an API key that was made and exchanged.
fn api_key(service: &Process) -> String {
    let made = service.run_command(&["api-key", "create", "reader", "--name", "tests", "--json"], "");
    assert!(made.status.success(), "{made:?}");
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let (id, key) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a key"));
    let body = format!("grant_type=client_credentials&client_id={id}&client_secret={key}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let given = service.client().send("POST", "/token/", &form, body.as_bytes()).expect("an answer");
    assert_eq!(given.status, 200, "{given:?}");
    key.rsplit('_').next().expect("a secret").to_owned()
}

/// Mistakes of clients and attackers, each with a secret in a place where an error message could quote it.
fn misuse(service: &Process) -> Vec<String> {
    let mut client = service.client();
    let mut canaries = Vec::new();
    let mut canary = |name: &str| {
        let text = format!("canary-{name}-{}", canaries.len());
        canaries.push(text.clone());
        text
    };
    let posts = [
        (
            "/login/",
            "application/json",
            format!("{{\"username\":\"reader\",\"password\":\"{}\"}}", canary("wrong")),
        ),
        (
            "/login/",
            "application/json",
            format!("{{\"username\":\"reader\",\"password\":\"{}", canary("cut-json")),
        ),
        (
            "/login/",
            "application/json",
            format!("{{\"username\":\"reader\",\"password\":[\"{}\"]}}", canary("list")),
        ),
        ("/login/", "application/json", format!("[\"{}\"]", canary("no-object"))),
        ("/login/", "text/plain", format!("password={}", canary("media-type"))),
        (
            "/login/",
            "application/x-www-form-urlencoded",
            format!("username=reader&password={}", canary("form")),
        ),
        (
            "/login/",
            "application/x-www-form-urlencoded",
            format!("username=%FF&password={}%zz", canary("bad-form")),
        ),
        ("/login/", "multipart/form-data; boundary=x", multipart(&canary("multipart"))),
        ("/login/", "multipart/form-data", multipart(&canary("no-boundary"))),
        (
            "/register/",
            "application/json",
            format!("{{\"username\":\"\",\"password\":\"{}\"}}", canary("unnamed")),
        ),
        (
            "/register/",
            "application/json",
            format!(
                "{{\"username\":\"reader\",\"email\":\"a@example.com\",\"password\":\"{}\"}}",
                canary("taken")
            ),
        ),
        ("/refresh/", "application/json", format!("{{\"refresh\":\"{}\"}}", canary("refresh"))),
        ("/verify/", "application/json", format!("{{\"token\":\"{}.e30.e30\"}}", canary("verify"))),
        (
            "/token/",
            "application/x-www-form-urlencoded",
            format!("grant_type=client_credentials&client_id=x&client_secret=bsa_x_{}", canary("api-key")),
        ),
        (
            "/admin/api/bootstrap/",
            "application/json",
            format!(
                "{{\"token\":\"{}\",\"username\":\"x\",\"email\":\"\",\"password\":\"{}\"}}",
                canary("bootstrap"),
                canary("first")
            ),
        ),
        ("/nowhere/", "application/json", format!("{{\"password\":\"{}\"}}", canary("nowhere"))),
        (&format!("/verify/?token={}", canary("query")), "application/json", "{}".to_owned()),
    ];
    for (path, media_type, body) in &posts {
        let answer =
            client.send("POST", path, &[("content-type", media_type)], body.as_bytes()).expect("an answer");
        assert!((400..500).contains(&answer.status), "{path} {body}: {answer:?}");
    }
    let [bearer, basic, cookie, custom] = ["bearer", "basic", "cookie", "header"].map(&mut canary);
    let headers = [
        ("authorization", format!("Bearer {bearer}")),
        ("authorization", format!("Basic {}", BASE64_STANDARD.encode(&basic))),
        ("cookie", format!("session={cookie}")),
        ("x-auth-token", custom),
    ];
    for (name, value) in &headers {
        client.send("POST", "/register/", &[(name, value)], b"{}").expect("an answer");
    }
    canaries
}

fn multipart(secret: &str) -> String {
    format!("--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n{secret}\r\n--x-")
}

/// What commands print is what an operator pastes into a ticket.
fn commands(service: &Process) -> Vec<String> {
    let created =
        service.run_command(&["user", "create", "clerk", "--password-stdin"], &format!("{OTHER_PASSWORD}\n"));
    let shown = service.run_command(&["config"], "");
    for output in [created, shown] {
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        for secret in [SECRET_KEY, FALLBACK_KEY, PASSWORD, OTHER_PASSWORD] {
            assert_absent(secret, &text, "a command's output");
        }
    }
    assert_eq!(service.try_login("clerk", OTHER_PASSWORD).status, 200);
    vec![OTHER_PASSWORD.to_owned()]
}

// DB-03, RF-05: a stolen database has no usable credential.
#[test]
fn secrets_stay_out_of_the_database() {
    let _turn = turn::beside_others();
    let mut service = Process::start(&[("SECRET_KEY_FALLBACKS", FALLBACK_KEY)]);
    let canaries = ordinary_use(&service);
    let data = service.data().to_owned();
    let look = |when: &str| {
        for entry in std::fs::read_dir(&data).expect("the data folder") {
            let path = entry.expect("an entry").path();
            let text = String::from_utf8_lossy(&std::fs::read(&path).expect("readable")).into_owned();
            for canary in &canaries {
                assert_absent(canary, &text, &format!("{} {when}", path.display()));
            }
        }
    };
    look("while it runs");
    assert_private(&data);
    service.ask_to_end();
    service.await_end(std::time::Duration::from_secs(60));
    look("after the end");
}

/// DB-04: nobody else on the machine reads these files.
fn assert_private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(folder).expect("the data folder") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("its mode").permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", entry.path().display());
    }
}
