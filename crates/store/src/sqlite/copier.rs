//! Copies the log into the file beside the writer, while many rows are written: on a thread and a connection of its own, so that
//! the next rows are worked out meanwhile. That leaves little for the writer, which at `BULK_CHECKPOINT` copies the rest and then begins
//! the log anew.

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
    /// Commits since it last began to copy.
    commits: Cell<u32>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    /// Starts the thread; it waits to be woken.
    pub(super) fn start(path: PathBuf) -> Result<Self> {
        // Nobody waits for it, and no call for it is kept: the writer's own checkpoint has a chance between any two copies,
        // or a slow disk would let the log grow without end.
        let (wake, woken) = sync_channel(0);
        let name = path.clone();
        let thread = std::thread::Builder::new()
            .name("store-copier".into())
            .spawn(move || work(path, &woken))
            .map_err(|error| Error::file(&name, error))?;
        Ok(Self { commits: Cell::new(0), wake: Some(wake), thread: Some(thread) })
    }

    /// Notes a commit, and has the thread copy what the log holds when it is time and the thread is idle; answers whether it
    /// does. Returns at once.
    pub(super) fn note_commit(&self) -> bool {
        let commits = self.commits.get() + 1;
        let copies = commits >= COMMITS && self.wake.as_ref().is_some_and(|wake| wake.try_send(()).is_ok());
        self.commits.set(if copies { 0 } else { commits });
        copies
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

/// Copies whenever it is woken, until nobody can wake it any more. What it cannot copy the writer does.
fn work(path: PathBuf, woken: &Receiver<()>) {
    let conn = match Conn::open(&path, Role::Writer) {
        Ok(conn) => conn,
        Err(error) => return failed(&error),
    };
    while woken.recv().is_ok() {
        if let Err(error) = conn.checkpoint_passively() {
            failed(&error.into());
        }
    }
}

fn failed(error: &Error) {
    tracing::warn!(error = chain(error), "the log could not be copied beside the writer; the writer does it");
}
