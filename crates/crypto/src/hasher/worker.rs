//! The threads, and what they share with those who wait for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::queue::{Job, Queue, Work};
use super::{Cause, HasherConfig, HasherStats, Lane};
use crate::password::Arena;
use crate::random;

/// How much nicer than the rest of the process the threads are.
#[cfg(target_os = "linux")]
pub(super) const NICER: i32 = 10;

/// What threads and callers share.
pub(super) struct Shared {
    pub(super) config: HasherConfig,
    pub(super) computed: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) skipped: AtomicU64,
    failed: AtomicU64,
    state: Mutex<State>,
    /// A job came, the slot became free, or it is over.
    changed: Condvar,
}

struct State {
    queue: Queue,
    running: usize,
    stopped: bool,
}

impl Shared {
    pub(super) fn new(config: HasherConfig) -> Self {
        let state = State { queue: Queue::new(config.queue), running: 0, stopped: false };
        Self {
            config,
            computed: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Queues a job and wakes a thread.
    pub(super) fn push(&self, lane: Lane, source: u64, oversized: bool, work: Work) -> Result<u64, Cause> {
        let job = Job { source, oversized, work };
        let mut state = self.state.lock();
        let pushed = if state.stopped { Err(Cause::Stopped) } else { state.queue.push(lane, job) };
        drop(state);
        match pushed {
            Ok(_) => drop(self.changed.notify_one()),
            Err(_) => drop(self.rejected.fetch_add(1, Relaxed)),
        }
        pushed
    }

    /// Takes a job out of the queue; `false` when it was started before.
    pub(super) fn withdraw(&self, lane: Lane, ticket: u64) -> bool {
        // The lock is released before the job, with its password, is dropped.
        let job = self.state.lock().queue.withdraw(lane, ticket);
        job.is_some()
    }

    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        let waiting = state.queue.drain();
        drop(state);
        self.changed.notify_all();
        drop(waiting);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    pub(super) fn count_failure(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub(super) fn stats(&self) -> HasherStats {
        let state = self.state.lock();
        HasherStats {
            computed: self.computed.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            expired: self.expired.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            failed: self.failed.load(Relaxed),
            waiting_login: state.queue.waiting(Lane::Login),
            waiting_registration: state.queue.waiting(Lane::Registration),
            running: state.running,
        }
    }

    /// Waits for a job; `None` when it is over. Before it sleeps it wipes the arena: while jobs come one after another
    /// each overwrites what the one before left, and after two passes nothing of that helps in guessing a password more
    /// than the stored hash does.
    fn next(&self, arena: &mut Arena) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(job) = state.queue.pop() {
                state.running += 1;
                return Some(job);
            }
            if arena.is_dirty() {
                MutexGuard::unlocked(&mut state, || arena.wipe());
            } else {
                self.changed.wait(&mut state);
            }
        }
    }

    fn finished(&self, oversized: bool) {
        let mut state = self.state.lock();
        state.running -= 1;
        if oversized {
            state.queue.release_slot();
            self.changed.notify_one();
        }
    }
}

/// Starts the thread `hash-<number>`.
pub(super) fn spawn(number: usize, shared: Arc<Shared>) -> std::io::Result<()> {
    let builder = std::thread::Builder::new().name(format!("hash-{number}"));
    builder.spawn(move || run(&shared)).map(drop)
}

fn run(shared: &Shared) {
    lower_priority();
    // The first use in a process seeds the generator, which takes some 20 ms: here it delays neither start nor request.
    let _: [u8; 1] = random::fill();
    let mut arena = Arena::new(shared.config.params.memory_kib());
    while let Some(Job { oversized, work, .. }) = shared.next(&mut arena) {
        // A panic is an error of ours in one job: its caller learns that the answer is gone, the others go on.
        let survived = catch_unwind(AssertUnwindSafe(|| work(&mut arena, shared)));
        if survived.is_err() {
            shared.count_failure();
            arena = Arena::new(shared.config.params.memory_kib());
        }
        shared.finished(oversized);
    }
}

/// On Linux a priority belongs to a thread; elsewhere to the process, which is not to be slowed down. Failing is no harm.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Ok(now) = rustix::process::getpriority_process(None) {
        let _ = rustix::process::setpriority_process(None, (now + NICER).min(19));
    }
}
