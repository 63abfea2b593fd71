//! A service that publishes keys and status lists, does as it is told, and counts who asks.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing::any};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use verifier::{Builder, Claims, Refusal, Verifier};

use crate::signer::{Signer, encode, key_set};

/// When the tests begin, in seconds since 1970.
pub(crate) const T0: u64 = 1_900_000_000;
/// The session of the tests' tokens.
pub(crate) const SESSION: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const JWKS: &str = "/.well-known/jwks.json";
pub(crate) const LIST: &str = "/status-lists/1";

#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Answer {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), headers: Vec::new() }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, body: b"no".to_vec(), headers: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Default)]
struct Told {
    answers: std::sync::Mutex<HashMap<String, Answer>>,
    asked: std::sync::Mutex<HashMap<String, usize>>,
    /// Requests wait here while the gate is shut.
    gate: std::sync::Mutex<Option<Arc<Semaphore>>>,
}

/// The service and the clock of those who use it.
pub(crate) struct Service {
    pub(crate) origin: String,
    told: Arc<Told>,
    now: Arc<AtomicU64>,
    errors: Arc<AtomicUsize>,
}

impl Service {
    /// Starts it with a key set of these keys.
    pub(crate) async fn start(signers: &[&Signer]) -> Self {
        let told = Arc::new(Told::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(any(answer)).with_state(Arc::clone(&told));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let service = Self {
            origin,
            told,
            now: Arc::new(AtomicU64::new(T0 * 1_000)),
            errors: Arc::new(AtomicUsize::new(0)),
        };
        service.publish(signers, 300);
        service
    }

    /// A verifier set up for it.
    pub(crate) fn builder(&self) -> Builder {
        let (now, errors) = (Arc::clone(&self.now), Arc::clone(&self.errors));
        Verifier::builder(format!("{}{JWKS}", self.origin))
            .clock(move || Duration::from_millis(now.load(Ordering::SeqCst)))
            .on_fetch_error(move |_, _| {
                errors.fetch_add(1, Ordering::SeqCst);
            })
    }

    pub(crate) fn verifier(&self) -> Verifier {
        self.builder().build().expect("a sound configuration")
    }

    /// Publishes these keys, fresh for so many seconds.
    pub(crate) fn publish(&self, signers: &[&Signer], max_age: u64) {
        self.tell(
            JWKS,
            Answer::ok(key_set(signers)).with("cache-control", format!("public, max-age={max_age}")),
        );
    }

    /// Answers so from now on.
    pub(crate) fn tell(&self, path: &str, answer: Answer) {
        self.told.answers.lock().expect("no panic").insert(path.to_owned(), answer);
    }

    /// How often this was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.told.asked.lock().expect("no panic").get(path).copied().unwrap_or(0)
    }

    /// How often anything was asked for.
    pub(crate) fn asked_anything(&self) -> usize {
        self.told.asked.lock().expect("no panic").values().sum()
    }

    /// How many fetches failed, as the verifier told.
    pub(crate) fn errors(&self) -> usize {
        self.errors.load(Ordering::SeqCst)
    }

    /// Lets requests wait until [`Self::open`].
    pub(crate) fn shut(&self) {
        *self.told.gate.lock().expect("no panic") = Some(Arc::new(Semaphore::new(0)));
    }

    pub(crate) fn open(&self) {
        if let Some(gate) = self.told.gate.lock().expect("no panic").take() {
            gate.close();
        }
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("a short time");
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn set_seconds(&self, seconds: u64) {
        self.now.store(seconds * 1_000, Ordering::SeqCst);
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.now.load(Ordering::SeqCst) / 1_000
    }

    pub(crate) fn list_uri(&self) -> String {
        format!("{}{LIST}", self.origin)
    }

    /// Publishes a list of one-bit entries, all valid but these.
    pub(crate) fn publish_list(&self, signer: &Signer, revoked: &[usize], ttl: u64) {
        let payload = self.list_payload(revoked, ttl);
        self.tell(LIST, Answer::ok(signer.token("statuslist+jwt", &payload)));
    }

    pub(crate) fn list_payload(&self, revoked: &[usize], ttl: u64) -> Value {
        let mut bytes = [0_u8; 128];
        for index in revoked {
            bytes[index / 8] |= 1 << (index % 8);
        }
        json!({
            "sub": self.list_uri(), "iat": self.seconds(), "exp": self.seconds() + 1_200, "ttl": ttl,
            "status_list": {"bits": 1, "lst": encode(compressed(&bytes))},
        })
    }

    /// Good claims whose status is this entry.
    pub(crate) fn claims_with_status(&self, index: u64) -> Value {
        let mut claims = claims();
        claims["status"] = json!({"status_list": {"idx": index, "uri": self.list_uri()}});
        claims
    }
}

async fn answer(State(told): State<Arc<Told>>, uri: Uri) -> Response {
    let path = uri.path().to_owned();
    *told.asked.lock().expect("no panic").entry(path.clone()).or_default() += 1;
    let gate = told.gate.lock().expect("no panic").clone();
    if let Some(gate) = gate {
        // Closed when the gate is opened.
        drop(gate.acquire().await);
    }
    let answer = told.answers.lock().expect("no panic").get(&path).cloned();
    let Some(answer) = answer else { return StatusCode::NOT_FOUND.into_response() };
    let status = StatusCode::from_u16(answer.status).expect("a status");
    let mut response = (status, answer.body).into_response();
    for (name, value) in answer.headers {
        let name = header::HeaderName::from_static(name);
        response.headers_mut().insert(name, value.parse().expect("a header"));
    }
    response
}

pub(crate) fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// Good claims in SimpleJWT's profile.
pub(crate) fn claims() -> Value {
    json!({
        "token_type": "access", "exp": T0 + 86_400, "iat": T0, "jti": "00112233445566778899aabbccddeeff",
        "user_id": 42, "sid": SESSION,
    })
}

/// Good claims, changed: `null` takes a claim away.
pub(crate) fn claims_but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().expect("an object").remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

/// The refusal of a token, and nothing else.
pub(crate) fn refused(result: Result<Claims, Refusal>) -> Refusal {
    result.expect_err("a refusal")
}

/// Waits until something is so; it must become so soon.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never so: {what}");
}
