//! How connections learn that the service ends.
//!
//! Every connection has a flag of its own. Waiting on one shared token instead would take its lock at every turn of every
//! connection, from all threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

/// What a connection is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Go on.
    Open = 0,
    /// Finish the request in work, then close.
    Drain = 1,
    /// Close at once.
    Cut = 2,
}

/// A connection's end of it.
#[derive(Default)]
pub(super) struct Ending {
    stage: AtomicU8,
    waker: AtomicWaker,
}

impl Ending {
    /// What is asked now. Cheap enough for every turn.
    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Open,
            1 => Stage::Drain,
            _ => Stage::Cut,
        }
    }

    /// Whom to wake when that changes next. Look again after this: it may have changed meanwhile.
    pub(super) fn watch(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    fn set(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
        self.waker.wake();
    }
}

/// All connections that are open.
#[derive(Clone, Default)]
pub(super) struct Endings(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    next: u64,
    endings: HashMap<u64, Arc<Ending>>,
}

/// A place in the list, left when dropped.
pub(super) struct Listed {
    pub(super) ending: Arc<Ending>,
    number: u64,
    all: Endings,
}

impl Endings {
    /// Adds a connection.
    pub(super) fn list(&self) -> Listed {
        let ending = Arc::<Ending>::default();
        let mut open = self.0.lock();
        let number = open.next;
        open.next += 1;
        open.endings.insert(number, Arc::clone(&ending));
        drop(open);
        Listed { ending, number, all: self.clone() }
    }

    /// Tells all connections.
    pub(super) fn tell(&self, stage: Stage) {
        for ending in self.0.lock().endings.values() {
            ending.set(stage);
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.all.0.lock().endings.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_are_listed_are_told() {
        let endings = Endings::default();
        let (one, other) = (endings.list(), endings.list());
        drop(endings.list());
        assert_eq!(one.ending.stage(), Stage::Open);
        endings.tell(Stage::Drain);
        assert_eq!((one.ending.stage(), other.ending.stage()), (Stage::Drain, Stage::Drain));
        endings.tell(Stage::Cut);
        assert_eq!(one.ending.stage(), Stage::Cut);
        drop((one, other));
        assert!(endings.0.lock().endings.is_empty());
    }
}
