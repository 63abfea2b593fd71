//! A transaction on a connection of the pool.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object};
use futures_util::future::{BoxFuture, FutureExt, MaybeDone, join, join_all, maybe_done};
use futures_util::stream::TryStreamExt;
use tokio::time::{Instant, timeout};

use super::value::{Bound, row};
use super::{Engine, failure};
use crate::param::Value;
use crate::{Error, Param, Result, Row};

/// How long an answer may take. The server's own limit for a statement is shorter: beyond this one the server is gone.
const ANSWER_LIMIT: Duration = Duration::from_secs(7);
/// How long a transaction may live. Readers of the feed of changes wait for numbers that a transaction has taken, so
/// there must be a moment after which none of them commits any more.
const LIFE_LIMIT: Duration = Duration::from_secs(30);

/// What a transaction may do, and how it begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Each statement sees what is committed when it starts.
    Write,
    /// All statements see one moment.
    Read,
}

impl Access {
    fn begin(self) -> &'static str {
        match self {
            Self::Write => "BEGIN",
            Self::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }
}

/// How far a transaction is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has been sent.
    New,
    /// BEGIN has been sent; every answer has come.
    Open,
    /// Something was sent whose answer has not come: we are waiting for it, or nobody does any more.
    Waiting,
}

/// A transaction. Dropping it at any moment takes back what it wrote.
pub(crate) struct Transaction {
    /// Taken away when it has ended, or when it cannot be used any more.
    client: Option<Object>,
    engine: Arc<Engine>,
    access: Access,
    state: State,
    began: Instant,
    later: Vec<Later>,
}

/// A statement that goes with the next one.
struct Later {
    sql: &'static str,
    params: Vec<Value>,
}

impl Transaction {
    pub(super) fn new(client: Object, engine: Arc<Engine>, access: Access) -> Self {
        Self {
            client: Some(client),
            engine,
            access,
            state: State::New,
            began: Instant::now(),
            later: Vec::new(),
        }
    }

    /// Keeps a statement until something is sent.
    pub(crate) fn execute_later(&mut self, sql: &'static str, params: &[Param<'_>]) {
        self.later.push(Later { sql, params: params.iter().map(Value::of).collect() });
    }

    pub(crate) async fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<u64> {
        let ahead = self.enter()?;
        let answer = limited(async {
            let client = self.client.as_ref().ok_or(Failure::Gone)?;
            let ahead = ahead.prepared(client).await?;
            let statement = prepared(client, sql, params).await?;
            let work = client.execute_raw(&statement, params.iter().map(Bound));
            Ok::<_, Failure>(behind(client, &ahead, work).await?)
        });
        let answer = answer.await;
        self.leave(answer)
    }

    pub(crate) async fn query_opt(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Option<Row>> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    pub(crate) async fn query(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        let ahead = self.enter()?;
        let answer = limited(self.rows(ahead, sql, params)).await;
        self.leave(answer)?.iter().map(row).collect()
    }

    /// Runs a statement that is the whole transaction: without BEGIN the server commits it by itself, and its answer ends
    /// when that is done. So it costs one round trip.
    pub(crate) async fn query_alone(mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        if self.state != State::New || !self.later.is_empty() {
            return Err(Error::Statement("the statement is not the only one".into()));
        }
        self.enter()?;
        let answer = limited(self.rows(Ahead::default(), sql, params)).await;
        let rows = self.leave(answer).inspect_err(|_| {
            self.engine.counters.failed.fetch_add(1, Relaxed);
        })?;
        self.state = State::New;
        self.engine.counters.commits.fetch_add(1, Relaxed);
        rows.iter().map(row).collect()
    }

    async fn rows(
        &self,
        ahead: Ahead,
        sql: &'static str,
        params: &[Param<'_>],
    ) -> std::result::Result<Vec<tokio_postgres::Row>, Failure> {
        let client = self.client.as_ref().ok_or(Failure::Gone)?;
        let ahead = ahead.prepared(client).await?;
        let statement = prepared(client, sql, params).await?;
        let work = async {
            client.query_raw(&statement, params.iter().map(Bound)).await?.try_collect::<Vec<_>>().await
        };
        Ok(behind(client, &ahead, work).await?)
    }

    pub(crate) async fn prepare(&mut self, sql: &'static str) -> Result<()> {
        let answer = limited(async {
            let client = self.client.as_ref().ok_or(Failure::Gone)?;
            Ok::<_, Failure>(client.prepare_cached(sql).await?)
        });
        answer.await.map(drop)
    }

    /// `Ok` means that the server has said so. Without an answer nobody knows.
    pub(crate) async fn commit(mut self) -> Result<()> {
        if self.state == State::New && self.later.is_empty() {
            return Ok(());
        }
        let ahead = self.enter()?;
        if self.began.elapsed() > LIFE_LIMIT {
            self.engine.counters.overdue.fetch_add(1, Relaxed);
            self.state = State::Open;
            return Err(Error::unavailable("the transaction was held open for too long"));
        }
        let answer = limited(async {
            let client = self.client.as_ref().ok_or(Failure::Gone)?;
            let ahead = ahead.prepared(client).await?;
            // When a statement before it fails, COMMIT takes everything back.
            Ok::<_, Failure>(behind(client, &ahead, client.batch_execute("COMMIT")).await?)
        });
        let answer = answer.await;
        self.leave(answer).inspect_err(|_| {
            self.engine.counters.failed.fetch_add(1, Relaxed);
        })?;
        self.state = State::New;
        if self.access == Access::Write {
            self.engine.counters.commits.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Before something is sent: answers what has to go first.
    fn enter(&mut self) -> Result<Ahead> {
        let begin = match self.state {
            State::New => Some(self.access.begin()),
            State::Open => None,
            // Its caller has left a statement without waiting for it, so nobody knows whether it failed.
            State::Waiting => {
                return Err(Error::Statement("a statement before was left without its answer".into()));
            }
        };
        self.state = State::Waiting;
        Ok(Ahead { begin, later: std::mem::take(&mut self.later) })
    }

    /// After the answer. A connection that gave none in time is of no use to anybody, nor is one that a pooler shares.
    fn leave<T>(&mut self, answer: Result<T>) -> Result<T> {
        self.state = State::Open;
        match answer {
            Err(Error::Unavailable(cause))
                if self.access == Access::Read && failure::is_read_only(&cause) =>
            {
                Err(Error::Statement("a read transaction cannot write".into()))
            }
            Err(Error::Unavailable(cause)) => {
                drop(self.client.take().map(Object::take));
                if failure::is_silence(&cause) {
                    self.engine.drop_idle();
                }
                Err(Error::Unavailable(cause))
            }
            Err(Error::Refused(reason)) => {
                drop(self.client.take().map(Object::take));
                Err(Error::Refused(reason))
            }
            answer => answer,
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.state == State::New {
            return;
        }
        if self.access == Access::Write {
            self.engine.counters.rollbacks.fetch_add(1, Relaxed);
        }
        let Some(client) = self.client.take() else { return };
        if self.state == State::Open {
            // One poll puts the message in the connection's queue, and it comes before whatever the next user sends.
            // Its answer can only be success, or that the connection is gone.
            let _ = client.batch_execute("ROLLBACK").now_or_never();
            return;
        }
        // A statement is still at work: nobody else gets the connection before it has ended.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(roll_back(client, Arc::clone(&self.engine)))),
            Err(_) => drop(Object::take(client)),
        }
    }
}

/// Waits for what is at work and takes it back, or throws the connection away; the server then does the same.
async fn roll_back(client: Object, engine: Arc<Engine>) {
    let answer = timeout(ANSWER_LIMIT, client.batch_execute("ROLLBACK")).await;
    if answer.is_err() {
        engine.drop_idle();
    }
    if !matches!(answer, Ok(Ok(()))) {
        drop(Object::take(client));
    }
}

/// Why there is no answer.
pub(super) enum Failure {
    /// The connection was lost before.
    Gone,
    /// The parameters do not fit the statement.
    Parameters { given: usize, wanted: usize },
    /// What the driver says.
    Driver(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Gone => Self::unavailable("the connection has failed"),
            Failure::Parameters { given, wanted } => {
                Self::Statement(format!("{given} parameters where {wanted} should be").into())
            }
            Failure::Driver(error) => failure::of(&error),
        }
    }
}

async fn prepared(
    client: &ClientWrapper,
    sql: &'static str,
    params: &[Param<'_>],
) -> std::result::Result<tokio_postgres::Statement, Failure> {
    let statement = client.prepare_cached(sql).await?;
    let (given, wanted) = (params.len(), statement.params().len());
    if given == wanted { Ok(statement) } else { Err(Failure::Parameters { given, wanted }) }
}

/// What goes before a statement, in one round trip with it.
#[derive(Default)]
struct Ahead {
    /// Of the transaction's first statement.
    begin: Option<&'static str>,
    later: Vec<Later>,
}

/// The same when the server knows the statements.
struct Prepared {
    begin: Option<&'static str>,
    later: Vec<(tokio_postgres::Statement, Vec<Value>)>,
}

impl Ahead {
    async fn prepared(self, client: &ClientWrapper) -> std::result::Result<Prepared, Failure> {
        let mut later = Vec::with_capacity(self.later.len());
        for Later { sql, params } in self.later {
            let borrowed: Vec<Param<'_>> = params.iter().map(Value::as_param).collect();
            let statement = prepared(client, sql, &borrowed).await?;
            later.push((statement, params));
        }
        Ok(Prepared { begin: self.begin, later })
    }
}

/// Runs something right behind what goes before it, in one round trip. The first poll of each sends it, so all are polled
/// once, in order, and then `work`: not if one has failed before it was sent, since the server would not know of it and
/// `work` may be COMMIT. When the server refuses one, so it does all that follows; what failed first is what is answered.
async fn behind<T>(
    client: &ClientWrapper,
    ahead: &Prepared,
    work: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
) -> std::result::Result<T, tokio_postgres::Error> {
    let begin = ahead.begin.map(|begin| client.batch_execute(begin).boxed());
    let later = ahead.later.iter().map(|(statement, params)| {
        let send = async move {
            let params: Vec<Param<'_>> = params.iter().map(Value::as_param).collect();
            client.execute_raw(statement, params.iter().map(Bound)).await.map(drop)
        };
        send.boxed()
    });
    let mut sent: Vec<MaybeDone<BoxFuture<'_, _>>> = begin.into_iter().chain(later).map(maybe_done).collect();
    poll_fn(|cx| Poll::Ready(sent.iter_mut().try_for_each(|one| first_poll(one, cx)))).await?;
    let (_, done) = join(join_all(&mut sent), work).await;
    sent.iter_mut().filter_map(|one| Pin::new(one).take_output()).collect::<std::result::Result<(), _>>()?;
    done
}

/// Polls something once. Its output stays with it, unless it has failed.
fn first_poll<E>(
    one: &mut MaybeDone<BoxFuture<'_, std::result::Result<(), E>>>,
    cx: &mut Context<'_>,
) -> std::result::Result<(), E> {
    _ = one.poll_unpin(cx);
    match one {
        MaybeDone::Done(Err(_)) => Pin::new(one).take_output().unwrap_or(Ok(())),
        _ => Ok(()),
    }
}

/// Waits for an answer of the server, but not for ever.
pub(super) async fn limited<T, E: Into<Failure>>(
    work: impl Future<Output = std::result::Result<T, E>>,
) -> Result<T> {
    match timeout(ANSWER_LIMIT, work).await {
        Ok(answer) => answer.map_err(|error| error.into().into()),
        Err(_) => Err(Error::unavailable(failure::NO_ANSWER)),
    }
}
