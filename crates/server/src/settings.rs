//! What an operator may choose about HTTP, as values. Names, defaults and parsing are the command line's.

use std::time::Duration;

use ipnet::IpNet;

/// How requests are answered.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The status of POST /verify/ for a token that is not good: 400 as the API document has it, or 401 as the replaced
    /// service had it.
    pub verify_invalid_status: u16,
    /// Which pages of other origins may read our answers.
    pub cors: Cors,
    /// Peers whose `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Request-Id` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The cookie in which GET /forward-auth takes an access token, if in any.
    pub forward_auth_cookie: Option<String>,
    /// Whether /docs and /openapi.json are there (KY-06).
    pub docs: bool,
    /// Whether the routes of administrators are there (AD-02).
    pub admin: bool,
    /// Whether only names of this machine are answered to, against DNS rebinding (for the development mode).
    pub loopback_hosts_only: bool,
    /// Requests at the same time, also those whose body is still coming; more are answered with 503. By default as many as
    /// [`Limits::connections`], so that a few addresses with slow bodies cannot use it up.
    pub max_in_flight: usize,
    /// The time for a request body to come in.
    pub body_timeout: Duration,
    /// The time for a whole request; use cases have tighter bounds of their own.
    pub request_timeout: Duration,
}

impl Default for ServerSettings {
    /// Closed: no other origin, no proxy, no pages, no administration.
    fn default() -> Self {
        Self {
            verify_invalid_status: 400,
            cors: Cors::List(Vec::new()),
            trusted_proxies: Vec::new(),
            forward_auth_cookie: None,
            docs: false,
            admin: false,
            loopback_hosts_only: false,
            max_in_flight: 8192,
            body_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
        }
    }
}

/// Which origins' pages may read our answers. Credentials (cookies) are never allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// Any.
    AnyOrigin,
    /// These, as `https://shop.example`.
    List(Vec<String>),
}

/// What connections are allowed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: usize,
    /// Of them, from one address (IPv6: one /64). Trusted proxies are exempt.
    pub connections_per_address: usize,
    /// The time for the headers of a request, from its first byte.
    pub header_timeout: Duration,
    /// How long a connection may be without a request.
    pub idle_timeout: Duration,
    /// How long a client may leave an answer unread.
    pub write_timeout: Duration,
    /// How long requests in work may take to finish at the end.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            connections_per_address: 640,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(20),
        }
    }
}
