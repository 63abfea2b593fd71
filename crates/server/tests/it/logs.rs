//! What the logs hold: never a secret (LA-02), always one JSON object a line (LA-03).

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use testkit::app::TestApp;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Lines {
    /// Everything that is logged from here on by this thread, at every level.
    fn record() -> (Self, tracing::subscriber::DefaultGuard) {
        let lines = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(lines.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn events(&self) -> Vec<Value> {
        let text = self.text();
        text.lines().map(|line| serde_json::from_str(line).expect("every line is one JSON object")).collect()
    }
}

// LA-02
#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    let service = TestApp::start().await;
    let (lines, _guard) = Lines::record();
    let secret = "CANARY-7f3a";
    service.register("reader", &format!("{secret}-password")).await;
    let pair = service.login("reader", &format!("{secret}-password")).await;
    service.try_login("reader", &format!("{secret}-wrong")).await;
    service.refresh(&pair.refresh).await;
    service.verify(&pair.access).await;
    service.verify(&format!("{secret}.token")).await;
    let headers = [
        ("authorization", "Bearer CANARY-7f3a"),
        ("cookie", "session=CANARY-7f3a"),
        ("user-agent", "CANARY-7f3a"),
        ("x-forwarded-for", "CANARY-7f3a"),
        ("x-request-id", "CANARY-7f3a"),
    ];
    for path in ["/register/?token=CANARY-7f3a", "/CANARY-7f3a", "/verify/CANARY-7f3a"] {
        service.send("POST", path, &headers, b"{\"CANARY-7f3a\"").await;
    }
    service.send("CANARY-7f3a", "/verify/", &[], b"").await;
    let text = lines.text();
    assert!(text.contains("\"http.route\":\"/login/\""), "there is something to look at: {text}");
    assert!(!text.contains("CANARY"), "{text}");
    for token in [&pair.access, &pair.refresh] {
        assert!(!text.contains(token.rsplit('.').next().unwrap()), "{text}");
    }
}

// LA-03
#[tokio::test]
async fn what_a_client_sends_cannot_make_log_lines() {
    let service = TestApp::start().await;
    let (lines, _guard) = Lines::record();
    let nasty = "a\r\n{\"level\":\"ERROR\"}\u{1b}[2J\u{202e}\u{0}".to_owned() + &"x".repeat(10_000);
    for path in ["/register/", "/login/", "/refresh/", "/verify/"] {
        let fields =
            json!({"username": nasty, "email": nasty, "password": nasty, "token": nasty, "refresh": nasty});
        service.post(path, &fields).await;
        service.send(&"M".repeat(1000), path, &[("user-agent", "a\tb\u{e9}")], b"").await;
    }
    let events = lines.events();
    assert!(events.len() >= 8, "{events:?}");
    for event in events {
        assert_ne!(event["level"], "ERROR", "{event}");
        assert!(event.to_string().len() < 2000, "{event}");
    }
}

#[tokio::test]
async fn a_request_is_one_line_with_its_name_and_checks_that_succeed_are_quiet() {
    let service = TestApp::start().await;
    service.register("reader", "violet-umbrella").await;
    let pair = service.login("reader", "violet-umbrella").await;
    let (lines, _guard) = Lines::record();
    assert_eq!(service.verify(&pair.access).await, 200);
    let refused = service.post("/auth/login", &json!({})).await;
    let requests: Vec<Value> =
        lines.events().into_iter().filter(|event| event["fields"]["message"] == "request").collect();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert_eq!((&requests[0]["level"], &requests[1]["level"]), (&json!("DEBUG"), &json!("INFO")));
    let fields = &requests[1]["fields"];
    assert_eq!(fields["request.id"], refused.header("x-request-id").unwrap());
    assert_eq!((&fields["http.route"], &fields["http.status"]), (&json!("/login/"), &json!(400)));
    assert_eq!(fields["client.address"], "127.0.0.1");
}
