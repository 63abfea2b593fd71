//! RF-02: many uses of one refresh token at the same moment.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

use serde_json::json;
use testkit::http::{Answer, Client};
use testkit::process::Process;
use testkit::skip::rounds;
use testkit::wait;

use crate::turn;

const PASSWORD: &str = "violet-umbrella-42";
const RACERS: usize = 50;

/// Presents `tokens[i % tokens.len()]` with the i-th client, all at the same moment.
fn race(clients: &mut [Client], tokens: &[&str]) -> Vec<(usize, Answer)> {
    let gate = Barrier::new(clients.len());
    std::thread::scope(|scope| {
        let racers: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(number, client)| {
                let (gate, which) = (&gate, number % tokens.len());
                let body = json!({"refresh": tokens[which]});
                scope.spawn(move || {
                    client.connect().expect("a connection");
                    gate.wait();
                    (which, client.post("/refresh/", &body))
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().expect("an answer")).collect()
    })
}

/// The different refresh tokens among the answers to one token, all of which must be 200 or 401.
fn successors(answers: &[(usize, Answer)], which: usize) -> BTreeSet<String> {
    let mine = answers.iter().filter(|(of, _)| *of == which).map(|(_, answer)| answer);
    mine.inspect(|answer| assert!(matches!(answer.status, 200 | 401), "{answer:?}"))
        .filter(|answer| answer.status == 200)
        .map(|answer| answer.member("refresh"))
        .collect()
}

fn racers(service: &Process) -> Vec<Client> {
    (0..RACERS).map(|_| service.client()).collect()
}

// RF-02, RF-03: with a grace window everybody gets the same successor, which is the only live token.
#[test]
fn fifty_refreshes_at_once_give_one_successor() {
    let _turn = turn::alone();
    let service = Process::start(&[("REFRESH_GRACE", "60s")]);
    service.register("reader", PASSWORD);
    let mut clients = racers(&service);
    for round in 0..rounds(20, 200) {
        let token = service.login("reader", PASSWORD).refresh;
        let answers = race(&mut clients, &[&token]);
        assert!(answers.iter().all(|(_, answer)| answer.status == 200), "round {round}: {answers:?}");
        let given = successors(&answers, 0);
        assert_eq!(given.len(), 1, "round {round}: {given:?}");

        let successor = given.first().expect("one");
        let next = service.refresh(successor);
        assert_eq!(next.status, 200, "round {round}: the successor lives: {next:?}");
        // The raced token is now spent twice over: its return ends the session (RF-01).
        assert_eq!(service.refresh(&token).status, 401, "round {round}");
        assert_eq!(service.refresh(&next.member("refresh")).status, 401, "round {round}: nothing lives on");
    }
}

// RF-02: without a grace window one of them wins, and the reuse by the others ends the session: no branch lives.
#[test]
fn without_grace_one_refresh_wins_and_the_session_ends() {
    let _turn = turn::alone();
    let service = Process::start(&[("REFRESH_GRACE", "0")]);
    service.register("reader", PASSWORD);
    let mut clients = racers(&service);
    for round in 0..rounds(20, 200) {
        let token = service.login("reader", PASSWORD).refresh;
        let answers = race(&mut clients, &[&token]);
        let winners: Vec<&Answer> =
            answers.iter().map(|(_, a)| a).filter(|answer| answer.status == 200).collect();
        let [winner] = winners.as_slice() else { panic!("round {round}: {} winners", winners.len()) };
        assert_eq!(successors(&answers, 0).len(), 1, "round {round}: the others were refused with 401");
        assert_eq!(
            service.refresh(&winner.member("refresh")).status,
            401,
            "round {round}: reuse ended the session"
        );
        // SE-03: and with it its access tokens.
        let access = winner.member("access");
        wait::until("the access token is refused", Duration::from_secs(10), || {
            service.verify(&access) == 400
        });
    }
}

// RF-02, RF-03: a token and its successor raced against each other: whatever the order, at most one new branch.
#[test]
fn a_token_racing_its_successor_makes_no_second_branch() {
    let _turn = turn::alone();
    let service = Process::start(&[("REFRESH_GRACE", "60s")]);
    service.register("reader", PASSWORD);
    let mut clients = racers(&service);
    for round in 0..rounds(20, 200) {
        let token = service.login("reader", PASSWORD).refresh;
        let successor = service.refresh(&token).member("refresh");
        let answers = race(&mut clients, &[&token, &successor]);
        let redelivered = successors(&answers, 0);
        assert!(
            redelivered.iter().all(|given| *given == successor),
            "round {round}: only ever the same successor"
        );
        let leaves = successors(&answers, 1);
        assert!(leaves.len() <= 1, "round {round}: two live branches: {leaves:?}");
        let Some(leaf) = leaves.first() else {
            panic!("round {round}: the successor was live and nobody got on")
        };
        // Did a presentation of the old token come after the successor was used? Then the session has ended.
        let reused = answers.iter().any(|(which, answer)| *which == 0 && answer.status == 401);
        let expected = if reused { 401 } else { 200 };
        assert_eq!(service.refresh(leaf).status, expected, "round {round}: reuse seen: {reused}");
    }
}
