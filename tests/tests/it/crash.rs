//! CR-01, CR-02, RF-08, LG-12: kill -9 at random moments under load.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use testdb::{Cluster, Place};
use testkit::process::Process;
use testkit::skip::rounds;
use testkit::wait;

use crate::history::{Account, Chain, History, log_in_and_out, refresh_on, register_and_log_in};
use crate::{foreign, turn};

const REGISTRARS: usize = 3;
const REFRESHERS: usize = 3;

#[test]
fn kill_9_under_load_loses_nothing_acknowledged() {
    let _turn = turn::alone();
    let environment = foreign::environment("kill_9_under_load (the outside integrity check of it)");
    // A grace that is long against a restart, so that a rotation whose answer was lost can be asked for again.
    let mut service = Process::start(&[("REFRESH_GRACE", "120s"), ("LOG_LEVEL", "warn")]);
    service.register("reader", "violet-umbrella-42");
    let mut seen = Seen::default();
    let mut acknowledged = 0;
    for round in 0..rounds(10, 100) {
        let history = load_and_strike(&mut service, round, Process::kill);
        acknowledged += history.acknowledged;
        service.run();
        seen.check_ended(&service);
        seen.check_logged_out(&service, &history.logged_out);
        seen.check_chains(&service, history.chains);
        seen.check_accounts(&service, &history.accounts);
        check_audit(&service, &seen.ids);
        if let Some(environment) = environment.as_ref().filter(|_| !service.is_on_postgres()) {
            check_integrity(environment, &service.database());
        }
    }
    seen.sum_up(acknowledged);
    assert!(!seen.ended.is_empty(), "no session was ended by a reuse");
}

#[test]
fn kill_9_of_the_database_server_loses_nothing_acknowledged() {
    let _turn = turn::alone();
    let cluster = Cluster::start_with("");
    let mut service = Process::prepare(&[("REFRESH_GRACE", "120s"), ("LOG_LEVEL", "error")]);
    service.use_place(Place::blocking_on(cluster.url()));
    service.run();
    service.register("reader", "violet-umbrella-42");
    let mut seen = Seen::default();
    let mut acknowledged = 0;
    for round in 0..rounds(3, 50) {
        let history = load_and_strike(&mut service, round, |_| cluster.kill());
        acknowledged += history.acknowledged;
        cluster.start();
        wait::until("the service works again", Duration::from_secs(30), || service.is_ready());
        seen.check_ended(&service);
        seen.check_logged_out(&service, &history.logged_out);
        seen.check_chains(&service, history.chains);
        seen.check_accounts(&service, &history.accounts);
        check_audit(&service, &seen.ids);
    }
    seen.sum_up(acknowledged);
}

/// Loads the service from several clients and has something die at a random moment; what the clients know.
fn load_and_strike(service: &mut Process, round: usize, strike: impl FnOnce(&mut Process)) -> History {
    let chains: Vec<Chain> = (0..REFRESHERS)
        .map(|_| Chain { tokens: vec![service.login("reader", "violet-umbrella-42").refresh] })
        .collect();
    let leaving = service.login("reader", "violet-umbrella-42").refresh;
    let stop = AtomicBool::new(false);
    let mut history = History::default();
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        let (client, stopped) = (service.client(), &stop);
        workers.push(scope.spawn(move || log_in_and_out(client, leaving, stopped)));
        for number in 0..REGISTRARS {
            let (client, stop) = (service.client(), &stop);
            workers
                .push(scope.spawn(move || register_and_log_in(client, &format!("u{round}-{number}"), stop)));
        }
        for chain in chains {
            let (client, stop) = (service.client(), &stop);
            workers.push(scope.spawn(move || refresh_on(client, chain, stop)));
        }
        wait::pause(Duration::from_millis(random_below(400)));
        strike(service);
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            history.extend(worker.join().expect("the worker's own checks held"));
        }
    });
    history
}

/// What was found so far, over all rounds.
#[derive(Default)]
struct Seen {
    ids: BTreeSet<i64>,
    /// A token of each session that a reuse has ended.
    ended: Vec<String>,
    /// How many acknowledged logouts were looked at.
    logouts: usize,
}

impl Seen {
    fn sum_up(&self, acknowledged: usize) {
        println!(
            "{acknowledged} requests acknowledged, {} accounts, {} logouts, {} sessions ended by a reuse",
            self.ids.len(),
            self.logouts,
            self.ended.len()
        );
        assert!(acknowledged > 0 && !self.ids.is_empty() && self.logouts > 0, "the load did nothing");
    }

    /// RF-08: nor does a session whose logout was acknowledged.
    fn check_logged_out(&mut self, service: &Process, tokens: &[String]) {
        self.logouts += tokens.len();
        for token in tokens {
            assert_eq!(service.refresh(token).status, 401, "a session that was logged out of lives again");
        }
    }

    /// RF-08: what ended before a crash stays ended after it.
    fn check_ended(&self, service: &Process) {
        for token in self.ended.iter().rev().take(10) {
            assert_eq!(service.refresh(token).status, 401, "a session that had ended lives again");
        }
    }

    /// CR-02: every acknowledged refresh token is good, and so is what it leads to; a spent one ends its session.
    fn check_chains(&mut self, service: &Process, chains: Vec<Chain>) {
        for (number, chain) in chains.into_iter().enumerate() {
            let next = service.refresh(chain.current());
            assert_eq!(
                next.status,
                200,
                "an acknowledged token ({} in its chain): {next:?}",
                chain.tokens.len()
            );
            let after = service.refresh(&next.member("refresh"));
            assert_eq!(after.status, 200, "{after:?}");
            let Some(spent) = chain.long_spent().filter(|_| number % 2 == 0) else { continue };
            assert_eq!(
                service.refresh(spent).status,
                401,
                "RF-08: a token spent before the crash is good again"
            );
            assert_eq!(
                service.refresh(&after.member("refresh")).status,
                401,
                "RF-01: the reuse did not end the session"
            );
            self.ended.push(after.member("refresh"));
        }
    }

    /// CR-01: an acknowledged account logs in under the id it was given; any other is whole or absent.
    fn check_accounts(&mut self, service: &Process, accounts: &[Account]) {
        for account in accounts {
            let id = match account.id {
                Some(id) => id,
                None => whole_or_absent(service, account),
            };
            let pair = service.login(&account.username, &account.password);
            assert_eq!(user_id(&pair.access), id, "{account:?}");
            assert!(self.ids.insert(id), "LG-12: id {id} was issued twice");
        }
    }
}

/// LA-04: every account that there is has its row in the audit trail, once; none has one that is not there; and the chain holds.
fn check_audit(service: &Process, ids: &BTreeSet<i64>) {
    // First: it gives rows their places, for which `export` has no key.
    let report = command(service, &["audit", "verify", "--json"]);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["sound"], true, "{report}");
    let exported = command(service, &["audit", "export"]);
    let mut registered = BTreeSet::new();
    for line in exported.lines() {
        let row: Value = serde_json::from_str(line).expect("a line of JSON");
        if row["kind"] == "user.registered" {
            let id = row["user_id"].as_i64().expect("an id");
            assert!(registered.insert(id), "registered twice: {row}");
        }
    }
    let (mut there, mut after) = (BTreeSet::new(), None::<i64>);
    loop {
        let after_text = after.unwrap_or(0).to_string();
        let page = command(service, &["user", "list", "--json", "--limit", "1000", "--after", &after_text]);
        let page: Value = serde_json::from_str(&page).expect("JSON");
        there.extend(page["users"].as_array().expect("users").iter().filter_map(|user| user["id"].as_i64()));
        after = page["next"].as_i64();
        if after.is_none() {
            break;
        }
    }
    assert_eq!(registered, there, "rows and accounts are not the same");
    assert!(registered.is_superset(ids));
}

fn command(service: &Process, arguments: &[&str]) -> String {
    let output = service.run_command(arguments, "");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// An account whose registration was not answered: there already, or to be registered now. Its id either way.
fn whole_or_absent(service: &Process, account: &Account) -> i64 {
    let answer = service.try_register(&account.username, &account.password);
    match answer.status {
        201 => answer.json()["id"].as_i64().expect("an id"),
        400 => user_id(&service.login(&account.username, &account.password).access),
        _ => panic!("half-made: {account:?}: {answer:?}"),
    }
}

/// The user that a token of ours names.
fn user_id(token: &str) -> i64 {
    let claims = token.split('.').nth(1).expect("claims");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    claims["user_id"].as_i64().expect("a number")
}

/// SQLite's own check, by another SQLite.
pub(crate) fn check_integrity(environment: &Path, database: &Path) {
    let mut command = foreign::python(environment);
    let output =
        command.arg(foreign::scripts().join("sqlite_check.py")).arg(database).output().expect("Python runs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.trim(), "ok");
}

/// Randomness for the moment of the crash; nothing depends on its quality.
fn random_below(limit: u64) -> u64 {
    RandomState::new().hash_one(()) % limit
}
