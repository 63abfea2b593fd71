//! What a client knows of what it did: the model that a service is compared with after a crash.
//!
//! An acknowledged request must have happened whole; one whose answer never came may have happened whole or not at all.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use testkit::http::{Answer, Client};
use testkit::process::registration;

/// A registration that was sent.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) username: String,
    pub(crate) password: String,
    /// The id, when the registration was acknowledged; `None` when its answer never came.
    pub(crate) id: Option<i64>,
}

/// A session: its refresh tokens in the order they were acknowledged. The last one may have been presented when the
/// crash came.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) tokens: Vec<String>,
}

impl Chain {
    /// The youngest acknowledged token.
    pub(crate) fn current(&self) -> &str {
        self.tokens.last().expect("a chain begins with a login")
    }

    /// A token that was spent and whose successor was spent too: no grace covers it.
    pub(crate) fn long_spent(&self) -> Option<&str> {
        self.tokens.len().checked_sub(3).map(|index| self.tokens[index].as_str())
    }
}

/// What one worker did.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) accounts: Vec<Account>,
    pub(crate) chains: Vec<Chain>,
    /// Refresh tokens of sessions whose logout was acknowledged.
    pub(crate) logged_out: Vec<String>,
    /// Requests that were acknowledged with success.
    pub(crate) acknowledged: usize,
}

impl History {
    /// Takes over what another worker did.
    pub(crate) fn extend(&mut self, other: Self) {
        self.accounts.extend(other.accounts);
        self.chains.extend(other.chains);
        self.logged_out.extend(other.logged_out);
        self.acknowledged += other.acknowledged;
    }
}

/// Ends a worker when it is told to or the service is gone. Answers that shed load (503) are tried again; every other
/// unexpected answer is a failure of the test.
fn proceed(sent: io::Result<Answer>, expected: u16, stop: &AtomicBool) -> Option<Answer> {
    let answer = sent.ok()?;
    assert!(answer.status == expected || answer.status == 503, "{answer:?}");
    (!stop.load(Ordering::Relaxed) || answer.status == expected).then_some(answer)
}

/// Registers accounts, logs some of them in and refreshes once, until the service is gone.
pub(crate) fn register_and_log_in(mut client: Client, prefix: &str, stop: &AtomicBool) -> History {
    let mut history = History::default();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (username, password) = (format!("{prefix}-{number}"), format!("Violet-umbrella-{number}"));
        let sent = client.try_post("/register/", &registration(&username, &password));
        let id = match &sent {
            Ok(answer) if answer.status == 201 => answer.json()["id"].as_i64(),
            // Shed, or the database went away before it said whether it had happened: not followed up.
            Ok(answer) if answer.status == 503 => continue,
            _ => None,
        };
        history.acknowledged += usize::from(id.is_some());
        history.accounts.push(Account { username: username.clone(), password: password.clone(), id });
        if proceed(sent, 201, stop).is_none() {
            break;
        }
        if number % 3 != 0 {
            continue;
        }
        let sent = client.try_post("/login/", &json!({"username": username, "password": password}));
        let Some(answer) = proceed(sent, 200, stop) else { break };
        if answer.status == 200 {
            history.acknowledged += 1;
            history.chains.push(Chain { tokens: vec![answer.member("refresh")] });
        }
    }
    history
}

/// Refreshes one session again and again until the service is gone.
pub(crate) fn refresh_on(mut client: Client, chain: Chain, stop: &AtomicBool) -> History {
    let mut history = History { chains: vec![chain], ..History::default() };
    while !stop.load(Ordering::Relaxed) {
        let chain = history.chains.last_mut().expect("the one");
        let Some(answer) =
            proceed(client.try_post("/refresh/", &json!({"refresh": chain.current()})), 200, stop)
        else {
            break;
        };
        if answer.status == 200 {
            history.acknowledged += 1;
            chain.tokens.push(answer.member("refresh"));
        }
    }
    history
}

/// Logs out of one session after another, beginning with this one, until the service is gone. What was not answered may
/// have happened or not, and is not followed up.
pub(crate) fn log_in_and_out(mut client: Client, first: String, stop: &AtomicBool) -> History {
    let mut history = History::default();
    let mut token = Some(first);
    while !stop.load(Ordering::Relaxed) {
        let Some(session) = token.take() else {
            let login = json!({"username": "reader", "password": "violet-umbrella-42"});
            let Some(answer) = proceed(client.try_post("/login/", &login), 200, stop) else { break };
            token = (answer.status == 200).then(|| answer.member("refresh"));
            continue;
        };
        let Some(answer) = proceed(client.try_post("/logout/", &json!({"refresh": session})), 200, stop)
        else {
            break;
        };
        if answer.status == 200 {
            history.acknowledged += 1;
            history.logged_out.push(session);
        }
    }
    history
}
