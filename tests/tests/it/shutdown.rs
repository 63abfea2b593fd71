//! DS-05: SIGTERM under load, and what a restart keeps.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use testkit::http::{Answer, Client};
use testkit::process::Process;
use testkit::skip::rounds;
use testkit::wait;

use crate::history::{Chain, History, refresh_on, register_and_log_in};
use crate::turn;

const PASSWORD: &str = "violet-umbrella-42";
const LOGINS: usize = 48;

// Requests that are being answered when SIGTERM comes are answered.
#[test]
fn requests_in_work_are_finished() {
    let _turn = turn::alone();
    for round in 0..rounds(3, 20) {
        let mut service = Process::start(&[("HASH_MAX_WAIT", "30s")]);
        service.register("reader", PASSWORD);
        let answered = AtomicUsize::new(0);
        let answers: Vec<io::Result<Answer>> = std::thread::scope(|scope| {
            let service = &service;
            let answered = &answered;
            let logins: Vec<_> = (0..LOGINS)
                .map(|_| {
                    let mut client = service.client();
                    // The connection is known to be accepted before the request that counts.
                    assert_eq!(client.get("/healthz").status, 200);
                    scope.spawn(move || log_in(&mut client, answered))
                })
                .collect();
            wait::until("the first login is answered", Duration::from_secs(60), || {
                answered.load(Ordering::Relaxed) > 0
            });
            // By now all are read: the others wait for a hashing thread.
            wait::pause(Duration::from_millis(100));
            service.ask_to_end();
            logins.into_iter().map(|login| login.join().expect("no panic")).collect()
        });
        let status = service.await_end(Duration::from_secs(60));
        assert!(status.success(), "{status}");
        for answer in answers {
            let answer = answer.unwrap_or_else(|fault| panic!("round {round}: a request was lost: {fault}"));
            assert_eq!(answer.status, 200, "round {round}: {answer:?}");
        }
        assert_closed_cleanly(&service);
    }
}

fn log_in(client: &mut Client, answered: &AtomicUsize) -> io::Result<Answer> {
    let answer = client.try_post("/login/", &json!({"username": "reader", "password": PASSWORD}));
    answered.fetch_add(1, Ordering::Relaxed);
    answer
}

/// The write-ahead log is folded into the database and gone, or empty.
fn assert_closed_cleanly(service: &Process) {
    let log = service.data().join("auth.db-wal");
    let left = std::fs::metadata(&log).map_or(0, |file| file.len());
    assert_eq!(left, 0, "the database was not closed: {left} bytes in its log");
}

// CR-01, CR-02: under a mixed load; what was acknowledged up to the end is there afterwards.
#[test]
fn sigterm_under_load_keeps_what_was_acknowledged() {
    let _turn = turn::alone();
    let mut service = Process::start(&[("REFRESH_GRACE", "120s")]);
    service.register("reader", PASSWORD);
    for round in 0..rounds(3, 20) {
        let stop = AtomicBool::new(false);
        let chain = Chain { tokens: vec![service.login("reader", PASSWORD).refresh] };
        let mut history = History::default();
        std::thread::scope(|scope| {
            let (refresher, registrar, stop) = (service.client(), service.client(), &stop);
            let refreshing = scope.spawn(move || refresh_on(refresher, chain, stop));
            let registering = scope.spawn(move || register_and_log_in(registrar, &format!("t{round}"), stop));
            wait::pause(Duration::from_millis(250));
            service.ask_to_end();
            let status = service.await_end(Duration::from_secs(60));
            assert!(status.success(), "{status}");
            stop.store(true, Ordering::Relaxed);
            history.extend(refreshing.join().expect("its checks held"));
            history.extend(registering.join().expect("its checks held"));
        });
        assert!(history.acknowledged > 0, "the load did nothing");
        assert_closed_cleanly(&service);
        service.run();
        for account in history.accounts.iter().filter(|account| account.id.is_some()) {
            service.login(&account.username, &account.password);
        }
        for chain in &history.chains {
            assert_eq!(
                service.refresh(chain.current()).status,
                200,
                "round {round}: {} tokens",
                chain.tokens.len()
            );
        }
    }
}

// RF-08, SE-02: sessions and what is spent outlive a restart; nobody has to log in again.
#[test]
fn a_restart_keeps_sessions() {
    let _turn = turn::beside_others();
    let mut service = Process::start(&[("REFRESH_GRACE", "0")]);
    service.register("reader", PASSWORD);
    let [kept, spent] = [service.login("reader", PASSWORD), service.login("reader", PASSWORD)];
    let successor = service.refresh(&spent.refresh).member("refresh");
    service.restart();
    assert_eq!(service.verify(&kept.access), 200);
    assert_eq!(service.refresh(&kept.refresh).status, 200);
    assert_eq!(service.refresh(&spent.refresh).status, 401, "spent before the restart");
    assert_eq!(service.refresh(&successor).status, 401, "and its reuse has ended the session");
}

// A proxy that asks /readyz has time to turn elsewhere.
#[test]
fn a_service_that_stops_says_so_first_and_answers_on() {
    let _turn = turn::beside_others();
    let mut service = Process::start(&[("SHUTDOWN_DELAY", "3s")]);
    service.register("reader", PASSWORD);
    let pair = service.login("reader", PASSWORD);
    service.ask_to_end();
    let mut ready = service.client();
    wait::until("it is not ready any more", Duration::from_secs(30), || ready.get("/readyz").status == 503);
    let mut client = service.client();
    let answer = client.get("/healthz");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"), "no connection is kept that would break later");
    assert_eq!(service.verify(&pair.access), 200, "new connections are still taken");
    assert!(service.await_end(Duration::from_secs(60)).success());
}
