//! Copies the log into the file beside the writer, while many rows are written: on a thread and a connection of its own, so that
//! the next rows are worked out meanwhile. The writer begins the log anew once all of it has been copied.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::connection::{Conn, Role};
use crate::error::chain;
use crate::{Error, Result};

/// Commits after which it copies: a page that several of them change is copied once.
const COMMITS: u32 = 2;

/// The thread that copies. It ends when this is dropped, and dropping waits for it.
pub(super) struct Copier {
    /// Commits since it was last woken.
    commits: Cell<u32>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    /// Starts the thread; it waits to be woken.
    pub(super) fn start(path: PathBuf) -> Result<Self> {
        // One call that waits is enough: whoever comes after it is in the log that it copies.
        let (wake, woken) = sync_channel(1);
        let name = path.clone();
        let thread = std::thread::Builder::new()
            .name("store-copier".into())
            .spawn(move || work(path, &woken))
            .map_err(|error| Error::file(&name, error))?;
        Ok(Self { commits: Cell::new(0), wake: Some(wake), thread: Some(thread) })
    }

    /// Notes a commit, and has the thread copy what the log holds when it is time. Returns at once.
    pub(super) fn note_commit(&self) {
        self.commits.set(self.commits.get() + 1);
        if self.commits.get() < COMMITS {
            return;
        }
        self.commits.set(0);
        // A full channel means that it will look again anyway; a closed one, that the writer copies the log itself.
        let _ = self.wake.as_ref().map(|wake| wake.try_send(()));
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by then, and the writer copies the log itself.
            let _ = thread.join();
        }
    }
}

/// Copies whenever it is woken, until nobody can wake it any more. What it cannot copy the writer does, later (`BULK_CHECKPOINT`).
fn work(path: PathBuf, woken: &Receiver<()>) {
    let copied = Conn::open(&path, Role::Writer).and_then(|conn| {
        while woken.recv().is_ok() {
            conn.checkpoint_passively()?;
        }
        Ok(())
    });
    if let Err(error) = copied {
        tracing::warn!(
            error = chain(&error),
            "the log cannot be copied beside the writer; the writer does it"
        );
    }
}
