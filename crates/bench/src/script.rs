//! What a virtual user asks for, one request after the other.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::http::post_json;

/// The password of every account the bench makes. It passes Django's four validators.
pub(crate) const PASSWORD: &str = "velvet-otter 4711 lighthouse";

/// The two tokens of a login or refresh.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TokenPair {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// A server under test and how its clients use it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    /// Ask for a new connection per request.
    pub(crate) close: bool,
}

/// A source of requests that learns from the answers.
#[derive(Debug)]
pub(crate) enum Script {
    /// The same ready-made requests in turn.
    Verify { requests: Arc<[Vec<u8>]>, next: usize },
    /// Logins of accounts drawn at random from `reader0000001..=population`.
    Login { population: u64, draw: Draw, pairs: Option<Vec<TokenPair>> },
    /// New accounts `prefix-1`, `prefix-2`, ...
    Register { prefix: String, made: u64 },
    /// One new account of this name.
    Named { name: String },
    /// Sessions refreshed in turn, each with the refresh token its last answer gave.
    Refresh { tokens: Vec<String>, next: usize },
}

impl Script {
    /// Checks of these tokens in turn, beginning with the one at `start`.
    pub(crate) fn verify(requests: &Arc<[Vec<u8>]>, start: usize) -> Self {
        Self::Verify { requests: Arc::clone(requests), next: start }
    }

    /// Logins into a population of seeded accounts; `number` makes different users draw differently.
    pub(crate) fn login(population: u64, number: usize) -> Self {
        Self::Login { population, draw: Draw::seeded(number as u64), pairs: None }
    }

    /// Writes the next request into `out`.
    pub(crate) fn write(&mut self, close: bool, out: &mut Vec<u8>) {
        out.clear();
        match self {
            Self::Verify { requests, next } => {
                out.extend_from_slice(&requests[*next % requests.len()]);
                *next += 1;
            }
            Self::Login { population, draw, .. } => {
                let name = account_name(1 + draw.next() % *population);
                let body = format!(r#"{{"username":"{name}","password":"{PASSWORD}"}}"#);
                out.extend_from_slice(&post_json("/login/", &body, close));
            }
            Self::Register { prefix, made } => {
                *made += 1;
                out.extend_from_slice(&post_json(
                    "/register/",
                    &registration(&format!("{prefix}-{made}")),
                    close,
                ));
            }
            Self::Named { name } => {
                out.extend_from_slice(&post_json("/register/", &registration(name), close))
            }
            Self::Refresh { tokens, next } => {
                let body = format!(r#"{{"refresh":"{}"}}"#, tokens[*next]);
                out.extend_from_slice(&post_json("/refresh/", &body, close));
            }
        }
    }

    /// Judges the answer to the last request and keeps what the next one needs from it.
    pub(crate) fn read(&mut self, status: u16, body: &[u8]) -> Result<()> {
        let expected = if matches!(self, Self::Register { .. } | Self::Named { .. }) { 201 } else { 200 };
        if status != expected {
            let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
            bail!("expected {expected}, got {status}: {text}");
        }
        match self {
            Self::Verify { .. } if body != b"{}" => bail!("expected {{}} from /verify/"),
            Self::Login { pairs: Some(pairs), .. } => pairs.push(serde_json::from_slice(body)?),
            Self::Refresh { tokens, next } => {
                tokens[*next] = serde_json::from_slice::<TokenPair>(body)?.refresh;
                *next = (*next + 1) % tokens.len();
            }
            _ => {}
        }
        Ok(())
    }
}

/// The name of seeded account `number`.
pub(crate) fn account_name(number: u64) -> String {
    format!("reader{number:07}")
}

/// The body of a registration.
pub(crate) fn registration(name: &str) -> String {
    format!(r#"{{"username":"{name}","email":"{name}@example.com","password":"{PASSWORD}"}}"#)
}

/// Ready-made requests that check these tokens.
pub(crate) fn verify_requests<'a>(tokens: impl Iterator<Item = &'a str>, close: bool) -> Arc<[Vec<u8>]> {
    tokens.map(|token| post_json("/verify/", &format!(r#"{{"token":"{token}"}}"#), close)).collect()
}

/// Numbers that spread well and are the same in every run (SplitMix64); not random in any other sense.
#[derive(Debug, Clone)]
pub(crate) struct Draw(u64);

impl Draw {
    /// A sequence of its own for every `seed`.
    pub(crate) fn seeded(seed: u64) -> Self {
        let mut draw = Self(seed.wrapping_mul(0xA076_1D64_78BD_642F));
        draw.next();
        draw
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(script: &mut Script) -> String {
        let mut out = Vec::new();
        script.write(false, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn refresh_goes_on_with_the_token_it_was_given() {
        let mut script = Script::Refresh { tokens: vec!["a1".into(), "b1".into()], next: 0 };
        assert!(text(&mut script).ends_with(r#"{"refresh":"a1"}"#));
        script.read(200, br#"{"access":"x","refresh":"a2"}"#).unwrap();
        assert!(text(&mut script).ends_with(r#"{"refresh":"b1"}"#));
        script.read(200, br#"{"access":"x","refresh":"b2"}"#).unwrap();
        assert!(text(&mut script).ends_with(r#"{"refresh":"a2"}"#));
        assert!(script.read(200, br#"{"access":"x"}"#).is_err());
    }

    #[test]
    fn unexpected_answers_are_errors() {
        let mut register = Script::Register { prefix: "n".into(), made: 0 };
        assert!(text(&mut register).contains(r#""username":"n-1""#));
        assert!(register.read(200, b"{}").is_err());
        assert!(register.read(201, b"{}").is_ok());
        let mut verify = Script::verify(&verify_requests(["t"].into_iter(), false), 0);
        assert!(verify.read(200, b"{\"detail\":1}").is_err());
        assert!(verify.read(400, b"{}").is_err());
        assert!(verify.read(200, b"{}").is_ok());
    }

    #[test]
    fn draws_stay_in_the_population_and_differ() {
        let mut first = Script::login(9, 0);
        let mut second = Script::login(9, 1);
        let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
        for _ in 0..50 {
            firsts.push(text(&mut first));
            seconds.push(text(&mut second));
        }
        assert_ne!(firsts, seconds);
        assert!(firsts.iter().all(|request| request.contains("reader000000")));
        assert!((1..=9).all(|number| firsts.iter().any(|request| request.contains(&account_name(number)))));
    }
}
