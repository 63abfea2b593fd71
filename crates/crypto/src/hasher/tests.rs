//! Real threads, real concurrency, no measured time: what must wait is held by a gate, and tokio's clock is moved.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

use tokio::task::{JoinHandle, yield_now};

use super::*;

/// PBKDF2 with one iteration: as good as free. Of "password".
const CHEAP: &str = "pbkdf2_sha256$1$s$lGLTCndLTA4cK3kxNvcclG1qFNlw/8mPMHA2nv/Wc4E=";
const HOUR: Duration = Duration::from_secs(3600);

fn start(threads: usize, queue: usize) -> Hasher {
    start_with(threads, queue, HOUR)
}

fn start_with(threads: usize, queue: usize, max_wait: Duration) -> Hasher {
    Hasher::start(HasherConfig { threads, queue, max_wait, params: Params::default() }).unwrap()
}

fn password(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.into())
}

/// A job that keeps a thread until it is opened.
struct Gate {
    opener: mpsc::Sender<()>,
    task: JoinHandle<Result<(), Busy>>,
}

impl Gate {
    /// Returns when the job runs. Blocks the runtime's thread meanwhile, so that a paused clock does not run on.
    async fn close(hasher: &Hasher, oversized: bool) -> Self {
        let (opener, opened) = mpsc::channel::<()>();
        let (running, runs) = mpsc::channel();
        let hasher = hasher.clone();
        let task = tokio::spawn(async move {
            let job = move |_: &mut Arena| {
                running.send(()).unwrap();
                let _ = opened.recv();
                Ok(())
            };
            hasher.submit(Lane::Login, u64::MAX, oversized, job).await
        });
        while let Err(mpsc::TryRecvError::Empty) = runs.try_recv() {
            yield_now().await;
        }
        Self { opener, task }
    }

    async fn open(self) {
        drop(self.opener);
        assert_eq!(self.task.await.unwrap(), Ok(()));
    }
}

async fn until(hasher: &Hasher, reached: impl Fn(HasherStats) -> bool) {
    while !reached(hasher.stats()) {
        yield_now().await;
    }
}

fn cause<T>(answer: Result<T, Busy>) -> Option<Cause> {
    answer.err().map(|busy| busy.cause)
}

// PW-06
#[tokio::test]
async fn a_new_hash_is_salted_argon2id_and_checks() {
    let hasher = start(2, 8);
    let first = hasher.hash(Lane::Registration, 1, password("pässwörd")).await.unwrap();
    let second = hasher.hash(Lane::Registration, 1, password("pässwörd")).await.unwrap();
    assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
    assert_ne!(first, second);
    let right = hasher.verify(1, password("pässwörd"), first.clone(), true).await.unwrap();
    assert!(right.valid && right.upgraded.is_none() && !right.broken);
    let wrong = hasher.verify(1, password("pässworD"), first, true).await.unwrap();
    assert!(!wrong.valid && wrong.upgraded.is_none() && !wrong.broken);
    assert_eq!(hasher.stats().computed, 4);
}

// PW-07
#[tokio::test]
async fn a_foreign_hash_is_upgraded_on_success_and_never_on_failure() {
    let hasher = start(1, 8);
    let wrong = hasher.verify(1, password("Password"), CHEAP.into(), true).await.unwrap();
    assert!(!wrong.valid && wrong.upgraded.is_none());
    assert_eq!(hasher.stats().computed, 1);
    let right = hasher.verify(1, password("password"), CHEAP.into(), true).await.unwrap();
    assert!(right.valid);
    assert_eq!(hasher.stats().computed, 3);
    let again = hasher.verify(1, password("password"), right.upgraded.unwrap(), true).await.unwrap();
    assert!(again.valid && again.upgraded.is_none());
}

// LG-02, PW-09
#[tokio::test]
async fn what_cannot_be_checked_costs_one_computation_like_a_wrong_password() {
    let hasher = start(1, 8);
    let own = hasher.hash(Lane::Login, 1, password("x")).await.unwrap();
    let mut computed = hasher.stats().computed;
    for (stored, broken) in
        [(own.as_str(), false), ("!unusable", false), ("", false), ("md5$s$00", true), ("$", true)]
    {
        let verdict = hasher.verify(1, password("y"), stored.into(), true).await.unwrap();
        assert!(!verdict.valid && verdict.upgraded.is_none());
        assert_eq!(verdict.broken, broken, "{stored}");
        computed += 1;
        assert_eq!(hasher.stats().computed, computed, "{stored}");
        hasher.dummy(1, password("y"), &password::scheme_of(stored)).await.unwrap();
        computed += 1;
        assert_eq!(hasher.stats().computed, computed, "{stored}");
    }
    hasher.dummy(1, password("y"), "no such scheme").await.unwrap();
    assert_eq!(hasher.stats().computed, computed + 1);
}

/// Queues a check of a wrong password and returns when it waits.
async fn queue_check(hasher: &Hasher, source: u64) -> JoinHandle<Result<Verdict, Busy>> {
    let before = hasher.stats().waiting_login;
    let task = tokio::spawn({
        let hasher = hasher.clone();
        async move { hasher.verify(source, password("wrong"), CHEAP.into(), true).await }
    });
    until(hasher, |stats| stats.waiting_login > before).await;
    task
}

// DS-01
#[tokio::test]
async fn a_full_lane_and_a_used_up_share_are_answered_at_once() {
    let hasher = start(1, 8);
    let gate = Gate::close(&hasher, false).await;
    let check = |source| hasher.verify(source, password("wrong"), CHEAP.into(), true);
    let mut waiting = vec![queue_check(&hasher, 1).await, queue_check(&hasher, 1).await];
    assert_eq!(cause(check(1).await), Some(Cause::Share));
    waiting.push(queue_check(&hasher, 2).await);
    waiting.push(queue_check(&hasher, 3).await);
    let refused = check(4).await.err().unwrap();
    assert_eq!(refused, Busy { retry_after: HOUR, cause: Cause::Full });

    let registration = tokio::spawn({
        let hasher = hasher.clone();
        async move { hasher.hash(Lane::Registration, 1, password("new")).await }
    });
    until(&hasher, |stats| stats.waiting_registration == 1).await;
    assert_eq!(hasher.stats().rejected, 2);
    gate.open().await;
    for task in waiting {
        assert!(!task.await.unwrap().unwrap().valid);
    }
    assert!(registration.await.unwrap().is_ok());
    assert_eq!(hasher.stats().computed, 5);
}

// DS-01
#[tokio::test(start_paused = true)]
async fn a_job_that_waits_too_long_is_answered_without_hashing() {
    let hasher = start_with(1, 8, Duration::from_millis(1500));
    let gate = Gate::close(&hasher, false).await;
    let late = hasher.verify(1, password("password"), CHEAP.into(), true).await.err().unwrap();
    assert_eq!(late, Busy { retry_after: Duration::from_secs(2), cause: Cause::Waited });
    assert_eq!((hasher.stats().waiting_login, hasher.stats().expired), (0, 1));
    // The gate's own job is older than that, but it runs: it is answered.
    gate.open().await;
    assert_eq!((hasher.stats().computed, hasher.stats().skipped), (0, 0));
}

// IN-02, DS-01
#[tokio::test]
async fn a_caller_who_leaves_frees_the_place_and_is_not_hashed_for() {
    let hasher = start(1, 4);
    let gate = Gate::close(&hasher, false).await;
    for round in 1..=20 {
        let task = queue_check(&hasher, 1).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!((hasher.stats().waiting_login, hasher.stats().skipped), (0, round));
    }
    gate.open().await;
    assert_eq!(hasher.stats().computed, 0);
}

#[tokio::test]
async fn a_caller_who_leaves_a_running_job_harms_nobody() {
    let hasher = start(1, 4);
    let gate = Gate::close(&hasher, false).await;
    gate.task.abort();
    assert!(gate.task.await.unwrap_err().is_cancelled());
    drop(gate.opener);
    assert!(hasher.verify(1, password("wrong"), CHEAP.into(), true).await.is_ok());
    assert_eq!(hasher.stats().skipped, 0);
}

#[tokio::test]
async fn a_panic_answers_its_caller_and_the_thread_lives_on() {
    let hasher = start(1, 4);
    for _ in 0..3 {
        let answer: Result<(), Busy> =
            hasher.submit(Lane::Login, 1, false, |_| panic!("a test's panic")).await;
        assert_eq!(cause(answer), Some(Cause::Failed));
    }
    let oversized: Result<(), Busy> = hasher.submit(Lane::Login, 1, true, |_| panic!("a test's panic")).await;
    assert_eq!(cause(oversized), Some(Cause::Failed));
    assert!(hasher.submit(Lane::Login, 1, true, |_| Ok(())).await.is_ok());
    assert!(hasher.hash(Lane::Registration, 1, password("x")).await.is_ok());
    assert_eq!(hasher.stats().failed, 4);
}

#[tokio::test]
async fn a_fault_is_an_error_and_not_a_no() {
    let hasher = start(1, 4);
    let answer: Result<(), Busy> = hasher.submit(Lane::Login, 1, false, |_| Err(HashFault::Parameters)).await;
    assert_eq!(cause(answer), Some(Cause::Failed));
    assert_eq!((hasher.stats().failed, hasher.stats().computed), (1, 0));
}

#[tokio::test]
async fn shutdown_answers_those_who_wait_and_lets_those_finish_who_run() {
    let hasher = start(1, 8);
    let gate = Gate::close(&hasher, false).await;
    let waiting = queue_check(&hasher, 1).await;
    hasher.shutdown();
    assert_eq!(cause(waiting.await.unwrap()), Some(Cause::Stopped));
    assert_eq!(cause(hasher.hash(Lane::Login, 1, password("x")).await), Some(Cause::Stopped));
    gate.open().await;
}

#[tokio::test]
async fn the_threads_end_with_the_last_handle() {
    let hasher = start(3, 8);
    let shared = Arc::clone(&hasher.handle.0);
    let other = hasher.clone();
    drop(hasher);
    assert!(other.verify(1, password("wrong"), CHEAP.into(), true).await.is_ok());
    drop(other);
    while Arc::strong_count(&shared) > 1 {
        yield_now().await;
    }
}

// DS-01: one slot beyond the arenas, and it blocks nobody else
#[tokio::test]
async fn oversized_jobs_share_one_slot() {
    let hasher = start(2, 16);
    let gate = Gate::close(&hasher, true).await;
    let scrypt = "scrypt$16,8,1";
    let second = tokio::spawn({
        let hasher = hasher.clone();
        async move { hasher.dummy(1, password("x"), scrypt).await }
    });
    until(&hasher, |stats| stats.waiting_login == 1).await;
    // The other thread is free, and passes the oversized job.
    for _ in 0..10 {
        assert!(hasher.verify(2, password("wrong"), CHEAP.into(), true).await.is_ok());
    }
    assert_eq!((hasher.stats().waiting_login, hasher.stats().computed), (1, 10));
    gate.open().await;
    assert_eq!(second.await.unwrap(), Ok(()));
}

// DS-01
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_storm_every_caller_is_answered_and_no_more_run_than_there_are_threads() {
    let hasher = start(3, 40);
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let storm: Vec<_> = (0..400_u64)
        .map(|number| {
            let (hasher, running, most) = (hasher.clone(), Arc::clone(&running), Arc::clone(&most));
            tokio::spawn(async move {
                let job = move |arena: &mut Arena| {
                    most.fetch_max(running.fetch_add(1, Relaxed) + 1, Relaxed);
                    password::dummy(b"x", "pbkdf2_sha256$1", Params::default(), arena)?;
                    running.fetch_sub(1, Relaxed);
                    Ok(number)
                };
                let lane = if number % 2 == 0 { Lane::Login } else { Lane::Registration };
                hasher.submit(lane, number % 7, number % 5 == 0, job).await.map(|answer| answer == number)
            })
        })
        .collect();
    let (mut done, mut refused) = (0, 0);
    for task in storm {
        match task.await.unwrap() {
            Ok(own_answer) => {
                assert!(own_answer);
                done += 1;
            }
            Err(busy) => {
                assert!(matches!(busy.cause, Cause::Full | Cause::Share));
                refused += 1;
            }
        }
    }
    let stats = hasher.stats();
    assert_eq!((stats.computed, stats.rejected), (done, refused));
    assert_eq!((stats.waiting_login, stats.waiting_registration), (0, 0));
    assert!(most.load(Relaxed) <= 3);
    until(&hasher, |stats| stats.running == 0).await;
}

// DS-01
#[cfg(target_os = "linux")]
#[tokio::test]
async fn hashing_gives_way_to_the_rest_of_the_process() {
    let own = rustix::process::getpriority_process(None).unwrap();
    let hasher = start(1, 4);
    let priority = |_: &mut Arena| Ok(rustix::process::getpriority_process(None).unwrap());
    let theirs = hasher.submit(Lane::Login, 1, false, priority).await.unwrap();
    assert_eq!(theirs, (own + worker::NICER).min(19));
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
}
