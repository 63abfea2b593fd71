//! A caller's turn on the write connection: one savepoint inside the group's transaction.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::shared::Shared;
use crate::param::Seen;
use crate::{Error, Param, Result, Row};

/// How long a caller waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// A write transaction, from the moment its caller stands in line. Dropping it at any moment is safe: it leaves the
/// line, or takes its savepoint back and passes the connection on.
pub(crate) struct Lease {
    shared: Arc<Shared>,
    ticket: u64,
}

impl Lease {
    /// One among others in a group.
    pub(super) async fn begin(shared: &Arc<Shared>) -> Result<Self> {
        let lease = Self::wait(shared, false).await?;
        lease.shared.open(lease.ticket)?;
        Ok(lease)
    }

    /// One with a group of its own, without a savepoint: SQLite keeps the former state of every page that changes after a
    /// savepoint, in memory. What it wrote goes with its group when it does not commit.
    pub(super) async fn begin_alone(shared: &Arc<Shared>) -> Result<Self> {
        Self::wait(shared, true).await
    }

    async fn wait(shared: &Arc<Shared>, alone: bool) -> Result<Self> {
        let (ticket, turn) = shared.join(alone)?;
        // From here on dropping this future drops the lease, which gives back whatever it has by then.
        let lease = Self { shared: Arc::clone(shared), ticket };
        match tokio::time::timeout(PATIENCE, turn).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) => return Err(Error::Closed),
            Err(_) => return Err(Error::Busy),
        }
        Ok(lease)
    }

    pub(crate) fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<u64> {
        self.shared.run(self.ticket, |conn| conn.execute(sql, params))
    }

    pub(crate) fn execute_each<'p, const N: usize>(
        &mut self,
        sql: &'static str,
        rows: impl Iterator<Item = [Param<'p>; N]>,
    ) -> Result<Vec<bool>> {
        self.shared.run(self.ticket, |conn| conn.execute_each(sql, rows))
    }

    pub(crate) fn query_opt(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Option<Row>> {
        Ok(self.shared.run(self.ticket, |conn| conn.query(sql, params, 1))?.pop())
    }

    pub(crate) fn query(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        self.shared.run(self.ticket, |conn| conn.query(sql, params, usize::MAX))
    }

    pub(crate) fn visit(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        look: &mut dyn FnMut(&Seen<'_>),
    ) -> Result<()> {
        self.shared.run(self.ticket, |conn| conn.visit(sql, params, look))
    }

    pub(crate) fn prepare(&mut self, sql: &'static str) -> Result<()> {
        self.shared.run(self.ticket, |conn| conn.prepared(sql).map(drop))
    }

    /// Sets the connection up for transactions of many rows.
    pub(crate) fn prepare_for_bulk(&mut self) -> Result<()> {
        self.shared.run(self.ticket, |conn| conn.prepare_for_bulk())?;
        self.shared.bulk.store(true, Relaxed);
        Ok(())
    }

    /// Joins the group's commit and waits for it.
    pub(crate) async fn commit(self) -> Result<()> {
        let outcome = self.shared.finish(self.ticket)?;
        outcome
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("the writer has stopped; the outcome is unknown")))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.give_back(self.ticket);
    }
}
