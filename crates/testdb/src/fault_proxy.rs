//! A link to a PostgreSQL server that breaks as it is told: slow, half open, cut, refusing, or with the answers to COMMIT
//! lost on the way.
//!
//! It forwards plain TCP on loopback, on a thread of its own, so that tests with and without a runtime can use it. What the
//! server says is followed message by message (PostgreSQL's manual, "Message Formats"): the only way to lose an answer
//! after the server has committed, and not before. So the link is without TLS; [`FaultProxy::through`] asks for none.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A tag of CommandComplete, with its final zero.
const COMMITTED: &[u8] = b"COMMIT\0";

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// From the client.
    Server,
    /// From the server.
    Client,
}

/// What has happened on the link so far: a test of a fault shows by it that the fault was there.
#[derive(Debug, Default)]
pub struct Happened {
    /// Connections taken.
    pub accepted: AtomicUsize,
    /// Connections that were not taken.
    pub refused: AtomicUsize,
    /// Connections cut, whatever for.
    pub cut: AtomicUsize,
    /// Of those, the ones cut instead of the answer that says that something is committed.
    pub commits_lost: AtomicUsize,
    /// Bytes that went nowhere.
    pub swallowed: AtomicUsize,
    /// Connections that clients have open now.
    pub open: AtomicUsize,
}

/// What the link does at the moment.
#[derive(Clone, Default)]
struct Mode {
    delay: Duration,
    refuses: bool,
    loses_commits: bool,
    half_open: bool,
    /// How often it has become half open, and how often all was cut: connections compare them with what they were born with.
    times_half_open: usize,
    times_cut: usize,
}

#[derive(Default)]
struct Shared {
    happened: Happened,
    /// After so many more bytes the connection that carries the last of them is cut.
    budgets: [Mutex<Option<usize>>; 2],
}

/// The proxy. It ends, and all its connections with it, when it is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    server: SocketAddr,
    mode: watch::Sender<Mode>,
    shared: Arc<Shared>,
}

impl FaultProxy {
    /// A link to the server of this address (`postgres://..@127.0.0.1:port/..`) that works.
    pub fn to(url: &str) -> Self {
        let server = server_of(url);
        let (mode, modes) = watch::channel(Mode::default());
        let shared = Arc::<Shared>::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let link = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(accept(listener, server, link, modes));
        });
        Self { address, server, mode, shared }
    }

    /// The same address by way of this link.
    pub fn through(&self, url: &str) -> String {
        let (direct, own) = (format!("@{}", self.server), format!("@{}", self.address));
        assert!(url.contains(&direct), "{url} is no address of {direct}");
        let join = if url.contains('?') { '&' } else { '?' };
        format!("{}{join}sslmode=disable", url.replace(&direct, &own))
    }

    /// What has happened so far.
    pub fn happened(&self) -> &Happened {
        &self.shared.happened
    }

    /// Each chunk of bytes waits for so long, in either direction.
    pub fn delay(&self, time: Duration) {
        self.mode.send_modify(|mode| mode.delay = time);
    }

    /// From now on nothing is forwarded and nothing is closed; new connections are taken and hear nothing. Connections of this
    /// time stay like that when the link is healed, as with a firewall that has forgotten them.
    pub fn go_half_open(&self) {
        self.mode.send_modify(|mode| {
            mode.half_open = true;
            mode.times_half_open += 1;
        });
    }

    /// Cuts all connections; new ones are taken.
    pub fn cut(&self) {
        self.mode.send_modify(|mode| mode.times_cut += 1);
    }

    /// Cuts all connections and takes no new ones.
    pub fn refuse(&self) {
        self.mode.send_modify(|mode| mode.refuses = true);
        self.cut();
    }

    /// Once: the connection that carries the last of so many more bytes is cut right after it.
    pub fn cut_after(&self, towards: Towards, bytes: usize) {
        *self.budget(towards) = Some(bytes.max(1));
    }

    /// From now on every COMMIT, and every change that commits by itself, reaches the server and is carried out; the answer is
    /// dropped and the connection cut.
    pub fn lose_commits(&self) {
        self.mode.send_modify(|mode| mode.loses_commits = true);
    }

    /// The link works again, for new connections and those that were not hurt.
    pub fn heal(&self) {
        self.mode.send_modify(|mode| {
            let Mode { times_half_open, times_cut, .. } = *mode;
            *mode = Mode { times_half_open, times_cut, ..Mode::default() };
        });
        for towards in [Towards::Server, Towards::Client] {
            *self.budget(towards) = None;
        }
    }

    fn budget(&self, towards: Towards) -> std::sync::MutexGuard<'_, Option<usize>> {
        self.shared.budgets[towards as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn server_of(url: &str) -> SocketAddr {
    let config = tokio_postgres::Config::from_str(url).expect("an address of a database");
    let [tokio_postgres::config::Host::Tcp(host)] = config.get_hosts() else { panic!("not one host: {url}") };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    SocketAddr::new(host.parse().expect("a loopback address"), port)
}

/// Takes connections until the proxy is dropped; the runtime ends with this and takes all that it runs along.
async fn accept(
    listener: std::net::TcpListener,
    server: SocketAddr,
    link: Arc<Shared>,
    mut modes: watch::Receiver<Mode>,
) {
    let listener = TcpListener::from_std(listener).expect("a socket");
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = modes.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let Ok((client, _)) = accepted else { continue };
        if modes.borrow().refuses {
            link.happened.refused.fetch_add(1, Relaxed);
            continue;
        }
        link.happened.accepted.fetch_add(1, Relaxed);
        let (modes, link) = (modes.clone(), Arc::clone(&link));
        tokio::spawn(carry(client, server, link, modes));
    }
}

/// One connection, until one side closes it or it is cut.
async fn carry(client: TcpStream, server: SocketAddr, link: Arc<Shared>, mut modes: watch::Receiver<Mode>) {
    let open = Open::count(&link);
    let born = modes.borrow_and_update().clone();
    let Ok(server) = TcpStream::connect(server).await else { return };
    // Small messages go at once; a socket that refuses works as well.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let way = |towards| Way { towards, born: born.clone(), modes: modes.clone(), link: Arc::clone(&link) };
    let (up, down) = (way(Towards::Server), way(Towards::Client));
    let cut = tokio::select! {
        cut = up.pump(from_client, to_server, Some(open)) => cut,
        cut = down.pump(from_server, to_client, None) => cut,
        _ = modes.wait_for(|mode| mode.times_cut != born.times_cut) => true,
    };
    link.happened.cut.fetch_add(usize::from(cut), Relaxed);
}

/// Counts a connection that a client has open.
struct Open(Arc<Shared>);

impl Open {
    fn count(link: &Arc<Shared>) -> Self {
        link.happened.open.fetch_add(1, Relaxed);
        Self(Arc::clone(link))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.happened.open.fetch_sub(1, Relaxed);
    }
}

/// One direction of a connection.
struct Way {
    towards: Towards,
    born: Mode,
    modes: watch::Receiver<Mode>,
    link: Arc<Shared>,
}

impl Way {
    fn is_dead(&self) -> bool {
        self.born.half_open || self.modes.borrow().times_half_open != self.born.times_half_open
    }

    /// Forwards until there is nothing more to forward, or the connection is to be cut: then it answers true.
    async fn pump(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, open: Option<Open>) -> bool {
        let (mut chunk, mut held) = (vec![0; 16 * 1024], Held::default());
        loop {
            let read = from.read(&mut chunk).await.unwrap_or(0);
            let delay = self.modes.borrow().delay;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            if self.is_dead() {
                self.link.happened.swallowed.fetch_add(read, Relaxed);
                if read > 0 {
                    continue;
                }
                // The other side does not hear that this one has left.
                drop(open);
                return std::future::pending().await;
            }
            if read == 0 {
                return false;
            }
            held.bytes.extend_from_slice(&chunk[..read]);
            if let ControlFlow::Break(cut) = self.forward(&mut held, &mut to).await {
                return cut;
            }
        }
    }

    /// Forwards what is held: of the server's messages the whole ones.
    async fn forward(&self, held: &mut Held, to: &mut OwnedWriteHalf) -> ControlFlow<bool> {
        let (mut whole, mut lost) = (held.bytes.len(), false);
        if self.towards == Towards::Client {
            let loses = self.modes.borrow().loses_commits;
            (whole, lost) = held.whole_messages(loses);
        }
        let (allowed, spent) = self.spend(whole);
        if to.write_all(&held.bytes[..allowed]).await.is_err() {
            return ControlFlow::Break(false);
        }
        held.bytes.drain(..allowed);
        self.link.happened.commits_lost.fetch_add(usize::from(lost && !spent), Relaxed);
        if lost || spent { ControlFlow::Break(true) } else { ControlFlow::Continue(()) }
    }

    /// How many of so many bytes may still go, and whether the connection is to be cut after them.
    fn spend(&self, bytes: usize) -> (usize, bool) {
        let mut budget =
            self.link.budgets[self.towards as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = *budget else { return (bytes, false) };
        *budget = left.checked_sub(bytes).filter(|left| *left > 0);
        (bytes.min(left), budget.is_none())
    }
}

/// What has come and is not forwarded yet.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// Whether the last statement that the server has completed was a change.
    changed: bool,
}

impl Held {
    /// The length of the whole messages that were not looked at yet; with `to_commit` only of those before the one that says that
    /// something is committed, and whether there is one: the answer to COMMIT, or, after a change, that no transaction is open.
    fn whole_messages(&mut self, to_commit: bool) -> (usize, bool) {
        let (bytes, mut at) = (&self.bytes, 0);
        // A letter, and a length that counts itself and not the letter.
        while let Some(head) = bytes.get(at..at + 5) {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let Some(body) = bytes.get(at + 5..at + 1 + length) else { break };
            let committed = match head[0] {
                b'C' => {
                    self.changed = is_change(body);
                    body == COMMITTED
                }
                b'Z' => std::mem::take(&mut self.changed) && body == b"I",
                _ => false,
            };
            if to_commit && committed {
                return (at, true);
            }
            at += 1 + length;
        }
        (at, false)
    }
}

/// Whether a tag of CommandComplete tells of rows that were changed.
fn is_change(tag: &[u8]) -> bool {
    let is_write = [&b"INSERT "[..], b"UPDATE ", b"DELETE "].iter().any(|word| tag.starts_with(word));
    is_write && !tag.ends_with(b" 0\0")
}
