//! CR-06, DB-06: replicas on one PostgreSQL, each by way of a link that is slow, half open, cut, or loses the answers to
//! COMMIT.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::json;
use testdb::{Cluster, FaultProxy, Place, Towards};
use testkit::http::Answer;
use testkit::process::Process;
use testkit::skip::rounds;
use testkit::wait::{self, Deadline};

use crate::postgres::assert_unavailable;
use crate::turn;

const PASSWORD: &str = "violet-umbrella-42";
/// Making a connection may take 5 s and an answer 7 s; a loaded machine gets some more.
const BOUND: Duration = Duration::from_secs(20);

/// Replicas with a link each. The processes go first.
struct Linked {
    replicas: Vec<Process>,
    links: Vec<FaultProxy>,
    _cluster: Cluster,
}

impl Linked {
    fn start(count: usize, settings: &[(&str, &str)]) -> Self {
        let cluster = Cluster::start_with("");
        let place = Place::blocking_on(cluster.url());
        let links: Vec<FaultProxy> = (0..count).map(|_| FaultProxy::to(&place.url())).collect();
        let urls: Vec<String> = links.iter().map(|link| link.through(&place.url())).collect();
        let mut first = Process::prepare(settings);
        first.use_place(place);
        first.set("DATABASE_URL", &urls[0]);
        first.run();
        let mut replicas = vec![first];
        for url in &urls[1..] {
            replicas.push(replicas[0].replica(&[("DATABASE_URL", url)]));
        }
        replicas[0].register("reader", PASSWORD);
        Self { replicas, links, _cluster: cluster }
    }

    fn heal(&self) {
        for link in &self.links {
            link.heal();
        }
    }

    /// One token presented fifty times at once, over all replicas; the answer of each with the number of its replica.
    fn race(&self, token: &str) -> Vec<(usize, Answer)> {
        let gate = Barrier::new(50);
        std::thread::scope(|scope| {
            let racers: Vec<_> = (0..50)
                .map(|number| {
                    let at = number % self.replicas.len();
                    let (gate, mut client) = (&gate, self.replicas[at].client());
                    let body = json!({"refresh": token});
                    scope.spawn(move || {
                        client.connect().expect("a connection");
                        gate.wait();
                        (at, client.post("/refresh/", &body))
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().expect("an answer")).collect()
        })
    }
}

/// Repeats a request that a fault may still hit for a moment, until it is not answered 503 any more.
fn after_healing(mut ask: impl FnMut() -> Answer) -> Answer {
    let deadline = Deadline::after(BOUND);
    loop {
        let answer = ask();
        if answer.status != 503 {
            return answer;
        }
        assert!(!deadline.passed(), "{answer:?}");
        wait::pause(Duration::from_millis(20));
    }
}

// CR-06, RF-02, RF-03
#[test]
fn fifty_refreshes_over_slow_and_cut_links_leave_one_branch() {
    let _turn = turn::alone();
    let linked = Linked::start(3, &[("REFRESH_GRACE", "120s"), ("LOG_LEVEL", "error")]);
    let (replicas, links) = (&linked.replicas, &linked.links);
    let (mut failed, count) = (0, rounds(6, 100));
    for round in 0..count {
        let token = after_healing(|| replicas[round % 3].try_login("reader", PASSWORD)).member("refresh");
        links[round % 3].delay(Duration::from_millis(10));
        links[(round + 1) % 3].cut_after(Towards::Client, 50 + round * 97 % 900);
        links[(round + 2) % 3].lose_commits();
        let answers = linked.race(&token);
        linked.heal();
        let mut given = BTreeSet::new();
        for (at, mut answer) in answers {
            if answer.status == 503 {
                failed += 1;
                assert_unavailable(&answer);
                // Whoever was not answered asks again with the same token.
                answer = after_healing(|| replicas[at].refresh(&token));
            }
            assert_eq!(answer.status, 200, "round {round}, replica {at}: {answer:?}");
            given.insert(answer.member("refresh"));
        }
        assert_eq!(given.len(), 1, "round {round}: more than one branch");
        let successor = given.first().expect("one");
        let next = after_healing(|| replicas[(round + 1) % 3].refresh(successor));
        assert_eq!(next.status, 200, "round {round}: the successor lives: {next:?}");
        assert_eq!(after_healing(|| replicas[(round + 2) % 3].refresh(&token)).status, 401, "a reuse");
        let dead = after_healing(|| replicas[round % 3].refresh(&next.member("refresh")));
        assert_eq!(dead.status, 401, "round {round}: nothing lives on");
    }
    let sum =
        |of: fn(&testdb::Happened) -> usize| links.iter().map(|link| of(link.happened())).sum::<usize>();
    let (cut, lost) = (sum(|it| it.cut.load(Relaxed)), sum(|it| it.commits_lost.load(Relaxed)));
    println!("{count} rounds, {cut} connections cut, {lost} of them at COMMIT, {failed} answers of 503");
    assert!(cut > lost && lost >= count && failed >= count, "the faults were not there");
}

// CR-05, CR-06: done, and nobody was told.
#[test]
fn what_was_committed_without_an_answer_is_503_and_found_when_asked_again() {
    let _turn = turn::beside_others();
    let linked = Linked::start(2, &[("LOG_LEVEL", "error")]);
    let (link, [one, other]) = (&linked.links[0], [&linked.replicas[0], &linked.replicas[1]]);
    let lost = || link.happened().commits_lost.load(Relaxed);
    let pair = one.login("reader", PASSWORD);
    for round in 0..rounds(3, 30) {
        let name = format!("ann{round}");
        let kept = one.login("reader", PASSWORD);
        let before = lost();
        link.lose_commits();
        assert_unavailable(&one.try_register(&name, PASSWORD));
        assert_unavailable(&one.try_login("reader", PASSWORD));
        assert_unavailable(&one.client().post("/logout/", &json!({"refresh": kept.refresh})));
        link.heal();
        assert!(lost() >= before + 3, "the answers were not lost");
        let again = after_healing(|| one.try_register(&name, PASSWORD));
        assert_eq!(again.status, 400, "it is there: {again:?}");
        assert!(again.json()["username"].is_array(), "the name is taken: {again:?}");
        for replica in [one, other] {
            assert_eq!(after_healing(|| replica.try_login(&name, PASSWORD)).status, 200);
            assert_eq!(after_healing(|| replica.refresh(&kept.refresh)).status, 401, "it has ended");
            wait::until("its access token is refused", BOUND, || replica.verify(&kept.access) == 400);
        }
        let again = after_healing(|| one.client().post("/logout/", &json!({"refresh": kept.refresh})));
        assert_eq!(again.status, 200, "a logout may be repeated: {again:?}");
    }
    let ids =
        [one, other].map(|replica| replica.register(&format!("last{}", replica.address().port()), PASSWORD));
    assert!(ids[0] < ids[1]);
    assert_eq!(one.refresh(&pair.refresh).status, 200, "other sessions are not touched");
}

// CR-06, SE-09: a replica that cannot hear of a logout stops answering, and has heard of it when it answers again.
#[test]
fn a_logout_that_another_replica_cannot_hear_of_makes_it_fail_closed() {
    let _turn = turn::beside_others();
    let linked = Linked::start(2, &[("FEED_MAX_STALENESS", "3s"), ("LOG_LEVEL", "error")]);
    let (link, [one, deaf]) = (&linked.links[1], [&linked.replicas[0], &linked.replicas[1]]);
    for half_open in [true, false] {
        let [ended, kept] = [one.login("reader", PASSWORD), one.login("reader", PASSWORD)];
        assert_eq!((deaf.verify(&ended.access), deaf.verify(&kept.access)), (200, 200));
        if half_open {
            link.go_half_open()
        } else {
            link.refuse()
        }
        assert_eq!(one.client().post("/logout/", &json!({"refresh": ended.refresh})).status, 200);
        assert_eq!(one.verify(&ended.access), 400, "at once where it ended");
        let took = wait::until("the other one fails closed", BOUND, || deaf.verify(&ended.access) != 200);
        println!("half open: {half_open}: closed after {took:?}");
        for token in [&ended.access, &kept.access] {
            assert_unavailable(&deaf.client().post("/verify/", &json!({"token": token})));
        }
        assert!(!deaf.is_ready());
        link.heal();
        let mut seen = 503;
        let took = wait::until("it checks tokens again", BOUND, || {
            seen = deaf.verify(&ended.access);
            seen != 503
        });
        println!("half open: {half_open}: back after {took:?}");
        assert_eq!(seen, 400, "the ended session's token is good again");
        assert_eq!((deaf.verify(&kept.access), deaf.refresh(&ended.refresh).status), (200, 401));
    }
    assert!(link.happened().swallowed.load(Relaxed) > 0 && link.happened().refused.load(Relaxed) > 0);
}

/// Each of these must be answered 503 within the bound, all at once.
fn assert_all_unavailable(replica: &Process, refresh: &str) {
    std::thread::scope(|scope| {
        for number in 0..12 {
            scope.spawn(move || {
                let deadline = Deadline::after(BOUND);
                assert_unavailable(&match number % 3 {
                    0 => replica.try_login("reader", PASSWORD),
                    1 => replica.try_register(&format!("new{number}"), PASSWORD),
                    _ => replica.refresh(refresh),
                });
                assert!(!deadline.passed(), "{:?}", deadline.elapsed());
            });
        }
    });
}

// DB-06: the database is not gone but silent: nothing answers and nothing is closed.
#[test]
fn a_silent_database_is_503_in_bounded_time_and_used_again_without_a_restart() {
    let _turn = turn::beside_others();
    let pool = 6;
    let settings = [("FEED_MAX_STALENESS", "60s"), ("DATABASE_POOL", "6"), ("LOG_LEVEL", "error")];
    let linked = Linked::start(1, &settings);
    let (link, replica) = (&linked.links[0], &linked.replicas[0]);
    for round in 0..rounds(2, 10) {
        let pair = replica.login("reader", PASSWORD);
        link.go_half_open();
        assert_eq!(replica.verify(&pair.access), 200, "what is known is fresh enough");
        assert_all_unavailable(replica, &pair.refresh);
        wait::until("it says that it is not ready", BOUND, || !replica.is_ready());
        assert_eq!(replica.client().get("/healthz").status, 200, "nobody is to restart it");
        link.heal();
        let took = wait::until("it is ready again", BOUND, || replica.is_ready());
        println!("round {round}: ready {took:?} after the link");
        assert_eq!(replica.refresh(&pair.refresh).status, 200);
        replica.login("reader", PASSWORD);
        // The pool, the reserved connection and the one that listens.
        let open = link.happened().open.load(Relaxed);
        assert!(open <= pool + 2, "round {round}: {open} connections are open");
    }
    assert!(link.happened().swallowed.load(Relaxed) > 0, "the link was not half open");
}
