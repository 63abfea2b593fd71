//! The service in this process: a temporary database, a clock to move, the real routes without a socket.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use axum::body::Body;
use crypto::hasher::{Hasher, HasherConfig};
use crypto::jws::KeyRing;
use crypto::keyed::IndexKey;
use crypto::password::Params;
use crypto::seal::SealingKey;
use crypto::secret::Secret;
use domain::time::Timestamp;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use server::{Edge, ServerSettings};
use service::clock::Clock;
use service::settings::Settings;
use service::{App, Parts};
use store::migrate;
use testdb::Place;

use crate::http::Answer;
use crate::process::{Pair, SECRET_KEY, registration};

/// When the clock of a [`TestApp`] begins: 2026-01-01T00:00:00.5Z.
pub const START: Timestamp = Timestamp::from_micros(1_767_225_600_500_000);

/// A running service with a clock that stands still until it is moved.
pub struct TestApp {
    /// The use cases, for what has no route.
    pub app: App,
    /// Its clock.
    pub clock: Clock,
    /// Who asks, as far as throttling and logs are concerned.
    pub peer: IpAddr,
    edge: Edge,
    place: Place,
}

impl TestApp {
    /// With the defaults of the development mode, without throttling.
    pub async fn start() -> Self {
        Self::with(Settings { throttle: false, ..Settings::default() }, ServerSettings::default()).await
    }

    /// With these settings.
    pub async fn with(settings: Settings, server: ServerSettings) -> Self {
        Self::open(Place::new().await, Clock::manual(START), settings, server).await
    }

    /// Closes the database and starts a new service on it, at the same time of day.
    pub async fn restart(self, settings: Settings, server: ServerSettings) -> Self {
        self.app.db.close().await;
        Self::open(self.place, self.clock, settings, server).await
    }

    async fn open(place: Place, clock: Clock, settings: Settings, server: ServerSettings) -> Self {
        let db = place.open().await;
        migrate::migrate(&db, migrate::Mode::Auto, clock.now()).await.expect("a schema");
        // The least that is allowed: tests wait for every hash.
        let config = HasherConfig {
            threads: 2,
            queue: 256,
            max_wait: Duration::from_secs(30),
            params: Params::default(),
        };
        let parts = Parts {
            db,
            hasher: Hasher::start(config).expect("threads"),
            keys: KeyRing::hs256(SECRET_KEY.as_bytes(), &[]),
            index_key: IndexKey::derive(SECRET_KEY.as_bytes(), "tests"),
            audit_sealing: vec![SealingKey::derive(&Secret::new(SECRET_KEY.as_bytes().to_vec()))],
            settings,
            clock: clock.clone(),
        };
        let app = App::start(parts).await.expect("a service");
        let edge = server::router(app.clone(), server);
        Self { app, clock, peer: IpAddr::V4(Ipv4Addr::LOCALHOST), edge, place }
    }

    /// Lets time pass, and the service see what others changed meanwhile.
    pub async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        service::feed::poll(&self.app).await.expect("the feed is read");
    }

    /// One request through all of the service but its sockets.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header("host", "localhost");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_vec())).expect("a well-formed request");
        let (head, body) = self.edge.handle(request, self.peer).await.into_parts();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers =
            head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let body = body.collect().await.expect("a body").to_bytes().to_vec();
        Answer { status: head.status.as_u16(), headers, body }
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes()).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    /// POST /register/ that must succeed; the new user's id.
    pub async fn register(&self, username: &str, password: &str) -> i64 {
        let answer = self.post("/register/", &registration(username, password)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_i64().expect("an id")
    }

    /// POST /login/.
    pub async fn try_login(&self, username: &str, password: &str) -> Answer {
        self.post("/login/", &json!({"username": username, "password": password})).await
    }

    /// POST /login/ that must succeed.
    pub async fn login(&self, username: &str, password: &str) -> Pair {
        let answer = self.try_login(username, password).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Pair { access: answer.member("access"), refresh: answer.member("refresh") }
    }

    /// POST /refresh/.
    pub async fn refresh(&self, token: &str) -> Answer {
        self.post("/refresh/", &json!({"refresh": token})).await
    }

    /// POST /verify/; its status.
    pub async fn verify(&self, token: &str) -> u16 {
        self.post("/verify/", &json!({"token": token})).await.status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_passes_when_told() {
        let service = TestApp::start().await;
        let id = service.register("reader", "violet-umbrella-42").await;
        let pair = service.login("reader", "violet-umbrella-42").await;
        assert_eq!((id, service.verify(&pair.access).await), (1, 200));
        service.pass(Duration::from_secs(15 * 60)).await;
        assert_eq!(service.verify(&pair.access).await, 400, "access tokens live fifteen minutes");
        let refreshed = service.refresh(&pair.refresh).await;
        assert_eq!(service.verify(&refreshed.member("access")).await, 200);
        let service = service.restart(Settings::default(), ServerSettings::default()).await;
        assert_eq!(service.verify(&refreshed.member("access")).await, 200);
        assert_eq!(service.get("/readyz").await.status, 200);
    }
}
