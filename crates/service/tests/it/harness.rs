//! A service in a temporary folder, and short names for what the tests do with it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crypto::hasher::{Hasher, HasherConfig};
use crypto::jws::KeyRing;
use crypto::keyed::IndexKey;
use crypto::password::Params;
use domain::time::Timestamp;
use domain::user::User;
use mail::transport::Outbox;
use mail::{Mailer, Template, Templates, Transport};
use service::clock::Clock;
use service::refresh::Refreshed;
use service::settings::{MailSettings, Settings};
use service::verify::Identity;
use service::{App, Caller, Error, Kind, Parts, TokenPair};
use testdb::Place;

pub(crate) const SECRET: &[u8] = b"a secret of the tests, long enough for HS256";
pub(crate) const PASSWORD: &str = "correct horse battery";
/// 2026-01-01T00:00:00.5Z
pub(crate) const START: Timestamp = Timestamp::from_micros(1_767_225_600_500_000);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct Harness {
    pub(crate) app: App,
    pub(crate) clock: Clock,
    pub(crate) place: Place,
    pub(crate) address: IpAddr,
}

pub(crate) fn settings() -> Settings {
    Settings { throttle: false, ..Settings::default() }
}

/// The same with mails that come to `outbox`.
pub(crate) fn with_mail(outbox: &Outbox) -> Settings {
    let templates = Templates::built_in().unwrap();
    let mailer = Mailer::new("Shop <no-reply@shop.example>", templates, Transport::Memory(outbox.clone()));
    let mail = MailSettings {
        mailer: mailer.unwrap(),
        link_url: "https://shop.example/account".into(),
        language: "en".into(),
        timeout: Duration::from_secs(30),
    };
    Settings { mail: Some(mail), ..settings() }
}

impl Harness {
    pub(crate) async fn new() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let place = Place::new().await;
        let clock = Clock::manual(START);
        let app = start(&place, &clock, settings, KeyRing::hs256(SECRET, &[])).await;
        Self { app, clock, place, address: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }

    /// Stops the service and starts another on the same database.
    pub(crate) async fn restart(self, settings: Settings) -> Self {
        self.restart_on(settings, KeyRing::hs256(SECRET, &[])).await
    }

    pub(crate) async fn restart_with_keys(self, keys: KeyRing) -> Self {
        self.restart_on(settings(), keys).await
    }

    async fn restart_on(self, settings: Settings, keys: KeyRing) -> Self {
        self.app.db.close().await;
        let app = start(&self.place, &self.clock, settings, keys).await;
        Self { app, ..self }
    }

    /// Another service on the same database.
    pub(crate) async fn replica(&self, settings: Settings) -> Result<App, Error> {
        try_start(&self.place, &self.clock, settings, KeyRing::hs256(SECRET, &[])).await
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller {
            now: self.clock.now(),
            request_id: "test".into(),
            address: self.address,
            user_agent: "tests".into(),
        }
    }

    pub(crate) async fn register(&self, name: &str) -> User {
        self.try_register(name, PASSWORD).await.unwrap()
    }

    pub(crate) async fn try_register(&self, name: &str, password: &str) -> Result<User, Error> {
        let email = format!("{}@example.com", name.to_lowercase());
        self.try_register_with(name, &email, password).await
    }

    pub(crate) async fn register_with(&self, name: &str, email: &str) -> User {
        self.try_register_with(name, email, PASSWORD).await.unwrap()
    }

    async fn try_register_with(&self, name: &str, email: &str, password: &str) -> Result<User, Error> {
        let input = service::register::Input {
            username: Ok(name.into()),
            email: Ok(email.into()),
            password: Ok(password.into()),
        };
        service::register::register(&self.app, &self.caller(), input).await
    }

    /// Whom an access token speaks for.
    pub(crate) async fn identity(&self, access: &str) -> Identity {
        service::verify::bearer(&self.app, &self.caller(), access).await.unwrap()
    }

    /// A user, by a login.
    pub(crate) async fn who(&self, name: &str, password: &str) -> Identity {
        let pair = self.try_login(name, password).await.unwrap();
        self.identity(&pair.access).await
    }

    pub(crate) async fn login(&self, name: &str) -> TokenPair {
        self.try_login(name, PASSWORD).await.unwrap()
    }

    pub(crate) async fn try_login(&self, name: &str, password: &str) -> Result<TokenPair, Error> {
        let input = service::login::Input { username: name.into(), password: password.into() };
        service::login::login(&self.app, &self.caller(), input).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<Refreshed, Error> {
        service::refresh::refresh(&self.app, &self.caller(), token).await
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<(), Error> {
        service::verify::verify(&self.app, &self.caller(), token).await
    }

    /// Sends the mails that are due, as a running service would.
    pub(crate) async fn post(&self) {
        service::worker::post_due(&self.app).await.unwrap();
    }

    /// Lets time pass, as a running service would: its feed is followed.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        service::feed::poll(&self.app).await.unwrap();
    }
}

/// The token of the link in the latest mail of this kind.
pub(crate) fn link_token(outbox: &Outbox, template: Template) -> String {
    let mail = outbox.sent().into_iter().rfind(|mail| mail.template == template).unwrap();
    let link = mail.text.text.split_whitespace().find(|word| word.contains("#token=")).unwrap().to_owned();
    assert!(link.starts_with("https://shop.example/account/"), "RC-03: {link}");
    link.split_once("#token=").unwrap().1.to_owned()
}

/// How many mails of this kind came.
pub(crate) fn count(outbox: &Outbox, template: Template) -> usize {
    outbox.sent().iter().filter(|mail| mail.template == template).count()
}

async fn start(place: &Place, clock: &Clock, settings: Settings, keys: KeyRing) -> App {
    try_start(place, clock, settings, keys).await.unwrap()
}

async fn try_start(place: &Place, clock: &Clock, settings: Settings, keys: KeyRing) -> Result<App, Error> {
    let db = place.open().await;
    store::migrate::migrate(&db, store::migrate::Mode::Auto, clock.now()).await.unwrap();
    let config =
        HasherConfig { threads: 2, queue: 256, max_wait: Duration::from_secs(30), params: Params::default() };
    let parts = Parts {
        db,
        hasher: Hasher::start(config).unwrap(),
        keys,
        index_key: IndexKey::derive(SECRET, "tests"),
        settings,
        clock: clock.clone(),
    };
    App::start(parts).await
}

/// A token of the replaced service.
pub(crate) fn legacy_token(kind: &str, user: i64, jti: &str, issued_at: i64, lifetime: i64) -> String {
    let claims = format!(
        r#"{{"token_type":"{kind}","exp":{},"iat":{issued_at},"jti":"{jti}","user_id":{user}}}"#,
        issued_at + lifetime
    );
    KeyRing::hs256(SECRET, &[]).sign(claims.as_bytes())
}

pub(crate) trait Refused {
    /// The detail of a refusal because of the token itself.
    fn token_refused(self) -> String;
}

impl<T> Refused for Result<T, Error> {
    fn token_refused(self) -> String {
        match self {
            Err(Error { kind: Kind::TokenInvalid, detail, .. }) => detail.into_owned(),
            Err(other) => panic!("refused otherwise: {other:?}"),
            Ok(_) => panic!("not refused"),
        }
    }
}
