//! Several replicas on one PostgreSQL, and what they answer while it is away. Each test has a cluster of its own.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

use serde_json::json;
use testdb::{Cluster, Place};
use testkit::http::Answer;
use testkit::process::Process;
use testkit::skip::rounds;
use testkit::wait;

use crate::turn;

const PASSWORD: &str = "violet-umbrella-42";

fn service(cluster: &Cluster, settings: &[(&str, &str)]) -> Process {
    let mut service = Process::prepare(settings);
    service.use_place(Place::blocking_on(cluster.url()));
    service.run();
    service
}

pub(crate) fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let seconds: u64 = answer.header("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((1..=60).contains(&seconds), "{answer:?}");
}

// DB-06
#[test]
fn without_its_database_it_answers_503_and_with_it_again_it_works() {
    let _turn = turn::alone();
    let cluster = Cluster::start_with("");
    let service = service(&cluster, &[("FEED_MAX_STALENESS", "4s"), ("LOG_LEVEL", "error")]);
    service.register("reader", PASSWORD);
    for round in 0..2 {
        let pair = service.login("reader", PASSWORD);
        if round == 0 {
            cluster.stop()
        } else {
            cluster.kill()
        }
        assert_eq!(service.verify(&pair.access), 200, "what is known is fresh enough");
        assert_unavailable(&service.try_login("reader", PASSWORD));
        assert_unavailable(&service.try_register(&format!("new{round}"), PASSWORD));
        assert_unavailable(&service.refresh(&pair.refresh));
        assert_unavailable(&service.client().post("/verify/", &json!({"token": pair.refresh})));
        wait::until("it says that it is not ready", Duration::from_secs(5), || !service.is_ready());
        assert_eq!(service.client().get("/healthz").status, 200, "nobody is to restart it");
        wait::until("token checks fail closed", Duration::from_secs(10), || {
            service.verify(&pair.access) != 200
        });
        assert_unavailable(&service.client().post("/verify/", &json!({"token": pair.access})));
        cluster.start();
        let took = wait::until("it is ready again", Duration::from_secs(20), || service.is_ready());
        println!("ready {took:?} after the database");
        wait::until("token checks work", Duration::from_secs(5), || service.verify(&pair.access) == 200);
        assert_eq!(service.refresh(&pair.refresh).status, 200);
        service.login("reader", PASSWORD);
    }
}

// RF-02
#[test]
fn fifty_refreshes_over_three_replicas_give_one_successor() {
    let _turn = turn::alone();
    let cluster = Cluster::start_with("");
    let first = service(&cluster, &[("REFRESH_GRACE", "60s")]);
    let replicas = [first.replica(&[]), first.replica(&[])];
    let all = [&first, &replicas[0], &replicas[1]];
    first.register("reader", PASSWORD);
    for round in 0..rounds(10, 200) {
        let token = all[round % 3].login("reader", PASSWORD).refresh;
        let gate = Barrier::new(50);
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..50)
                .map(|number| {
                    let (gate, mut client) = (&gate, all[number % 3].client());
                    let body = json!({"refresh": token});
                    scope.spawn(move || {
                        client.connect().expect("a connection");
                        gate.wait();
                        client.post("/refresh/", &body)
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().expect("an answer")).collect()
        });
        assert!(answers.iter().all(|answer| answer.status == 200), "round {round}: {answers:?}");
        let given: BTreeSet<String> = answers.iter().map(|answer| answer.member("refresh")).collect();
        assert_eq!(given.len(), 1, "round {round}");
        let successor = given.first().expect("one");
        let next = all[(round + 1) % 3].refresh(successor);
        assert_eq!(next.status, 200, "round {round}: the successor lives: {next:?}");
        assert_eq!(all[(round + 2) % 3].refresh(&token).status, 401, "round {round}: a reuse");
        assert_eq!(first.refresh(&next.member("refresh")).status, 401, "round {round}: nothing lives on");
    }
}

/// Ends sessions on one replica and answers how long the other takes its access tokens, longest last.
fn heard_after(ending: &Process, checking: &Process, times: usize) -> Vec<Duration> {
    let mut took: Vec<Duration> = (0..times)
        .map(|_| {
            let pair = ending.login("reader", PASSWORD);
            let second = ending.refresh(&pair.refresh).member("refresh");
            assert_eq!(ending.refresh(&second).status, 200);
            assert_eq!(checking.verify(&pair.access), 200);
            // The first token is spent, and so is its successor: its return ends the session.
            assert_eq!(ending.refresh(&pair.refresh).status, 401);
            assert_eq!(ending.verify(&pair.access), 400, "at once where it ended");
            wait::until("the other replica refuses it", Duration::from_secs(15), || {
                checking.verify(&pair.access) == 400
            })
        })
        .collect();
    took.sort();
    took
}

// SE-03, SE-09
#[test]
fn a_session_that_ends_on_one_replica_ends_on_the_others() {
    let _turn = turn::alone();
    let cluster = Cluster::start_with("");
    // Looked for once an hour only: what is heard in time was announced.
    let told =
        service(&cluster, &[("REVOCATION_BOUND", "1h"), ("FEED_MAX_STALENESS", "1h"), ("THROTTLE", "off")]);
    told.register("reader", PASSWORD);
    let other = told.replica(&[]);
    // The connection that listens is made after the start; until then the first word might be missed.
    wait::pause(Duration::from_millis(500));
    let took = heard_after(&told, &other, rounds(20, 200));
    println!("announced: median {:?}, longest {:?}", took[took.len() / 2], took[took.len() - 1]);
    drop(other);
    let silent = [("REVOCATION_BOUND", "1s"), ("FEED_NOTIFY", "off"), ("FEED_MAX_STALENESS", "60s")];
    let (one, other) = (told.replica(&silent), told.replica(&silent));
    let took = heard_after(&one, &other, rounds(10, 100));
    println!("looked for: median {:?}, longest {:?}", took[took.len() / 2], took[took.len() - 1]);
}

#[test]
fn commands_work_on_a_server() {
    let cluster = Cluster::start_with("");
    let mut service = service(&cluster, &[]);
    let run = |service: &Process, arguments: &[&str], input: &str| {
        let output = service.run_command(arguments, input);
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    };
    assert!(service.log().contains("postgres://tester@127.0.0.1"), "{}", service.log());
    let id = service.register("reader", PASSWORD);
    let (done, text) = run(&service, &["user", "create", "ann", "--password-stdin"], "amber-telescope-77\n");
    assert!(done, "{text}");
    assert!(run(&service, &["user", "list"], "").1.contains("reader"));
    assert!(run(&service, &["migrate", "--check"], "").1.contains("up to date"));
    for (command, advice) in [("backup", "pg_dump"), ("restore", "after-restore")] {
        let (done, text) = run(&service, &[command, "file"], "");
        assert!(!done && text.contains(advice), "{text}");
    }
    // DB-07: what a server's own tools have put back.
    let pair = service.login("reader", PASSWORD);
    service.kill();
    let (done, text) = run(&service, &["after-restore", "--last-id", "5000"], "");
    assert!(done && text.contains("5000"), "{text}");
    service.run();
    assert_eq!((service.verify(&pair.access), service.refresh(&pair.refresh).status), (400, 401));
    assert!(service.register("new", PASSWORD) > 5000.max(id));
}
