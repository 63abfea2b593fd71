//! A stream with time limits, which depend on what the connection is doing: waiting for a request, receiving its head, or
//! answering it.
//!
//! A timer is set once and looked at again when it fires: moving it at every request would cost more than the rest of
//! this file.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::settings::Limits;

/// What a connection is doing. Told by the service, asked by the stream; both run in one task. Clones are the same.
#[derive(Clone)]
pub(super) struct Phase(Arc<State>);

#[derive(Default)]
struct State {
    /// The phase in the two low bits; the others count changes, so that a wait is told from the next one.
    state: AtomicU64,
    linger: AtomicBool,
}

/// Receiving a head, or before the first byte of the connection.
const HEAD: u64 = 0;
/// Waiting for the next request.
const IDLE: u64 = 1;
/// A request is with its handler, which watches its body itself.
const BUSY: u64 = 2;
const MASK: u64 = 3;

impl Phase {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    fn state(&self) -> u64 {
        self.0.state.load(Relaxed)
    }

    fn set(&self, phase: u64) {
        self.0.state.store(((self.state() & !MASK) + MASK + 1) | phase, Relaxed);
    }

    /// A request goes to its handler.
    pub(super) fn busy(&self) {
        self.set(BUSY);
    }

    /// The handler is done. `closes`: the connection ends although the client may still be sending.
    pub(super) fn answered(&self, closes: bool) {
        self.set(IDLE);
        if closes {
            self.0.linger.store(true, Relaxed);
        }
    }

    fn received(&self) {
        if self.state() & MASK == IDLE {
            self.set(HEAD);
        }
    }
}

/// How long a client that was refused may go on sending before the connection is torn down under its answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 * 1024 * 1024;

pub(super) struct Timed<S> {
    stream: S,
    phase: Phase,
    header_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    /// The wait for bytes: in which state it began and when it ends.
    wait: (u64, Instant),
    timer: Pin<Box<Sleep>>,
    /// Whether the timer will wake the task.
    armed: bool,
    write_timer: Option<Pin<Box<Sleep>>>,
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, phase: Phase, limits: &Limits) -> Self {
        let end = Instant::now() + limits.header_timeout;
        Self {
            stream,
            wait: (phase.state(), end),
            phase,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            write_timeout: limits.write_timeout,
            timer: Box::pin(sleep_until(end)),
            armed: false,
            write_timer: None,
            lingering: None,
        }
    }

    /// There is nothing to read: is it time to give up?
    fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = self.phase.state();
        let timeout = match state & MASK {
            BUSY => return Poll::Pending,
            IDLE => self.idle_timeout,
            _ => self.header_timeout,
        };
        if self.wait.0 != state {
            self.wait = (state, Instant::now() + timeout);
        }
        let end = self.wait.1;
        if self.timer.deadline() > end {
            self.timer.as_mut().reset(end);
            self.armed = false;
        }
        if self.armed && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        loop {
            self.armed = true;
            ready!(self.timer.as_mut().poll(context));
            if self.timer.deadline() >= end {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.timer.as_mut().reset(end);
        }
    }

    /// Bounds the time for which a client leaves our answer unread.
    fn poll_written<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_timer = None;
            return written;
        }
        let end = Instant::now() + self.write_timeout;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Timed<S> {
    /// Throws away what a refused client still sends: closing before that would reset the connection, and the client
    /// would never see why it was refused.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (timer, bytes) =
            self.lingering.get_or_insert_with(|| (Box::pin(sleep_until(Instant::now() + LINGER)), 0));
        let mut room = [0; 8192];
        loop {
            let mut buffer = ReadBuf::new(&mut room);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && *bytes < LINGER_BYTES => {
                    *bytes += buffer.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return timer.as_mut().poll(context).map(Ok),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Ready(result) => {
                if buffer.filled().len() > before {
                    this.phase.received();
                }
                Poll::Ready(result)
            }
            Poll::Pending => this.poll_wait(context),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.poll_written(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.poll_written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        // An answer is out. Nobody need look for the next request until it comes, so the wait for it begins here.
        if flushed.is_ready() && this.phase.state() & MASK == IDLE {
            let _ = this.poll_wait(context);
        }
        this.poll_written(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        if this.phase.0.linger.load(Relaxed) { this.poll_linger(context) } else { Poll::Ready(Ok(())) }
    }
}

#[cfg(test)]
#[path = "timed_tests.rs"]
mod tests;
