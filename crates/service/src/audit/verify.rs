//! Checking the whole chain: one thread reads, another hashes, and neither keeps more than a few pages.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::audit::{Fault, Tally, Walk};
use domain::time::Timestamp;
use domain::user::UserId;
use store::audit::{Head, Packed, PackedRow};
use store::{Tx, meta};
use tokio::sync::mpsc;

use super::checkpoint::{self, Statement, hex};
use super::key::{Key, key};
use super::proof;
use crate::App;
use crate::error::{Error, Result};

/// Rows read at a time.
const PAGE: i64 = 2_000;
/// Pages between the one who reads and the one who hashes.
const AHEAD: usize = 4;
/// Faults that are told one by one; the others are counted.
const TOLD: usize = 1_000;
/// How long a row may wait for its place: the worker comes by every second, and no transaction lives for half as long.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows, and how many of them were erased.
    pub tally: Tally,
    /// The last position that was removed as `AUDIT_RETENTION` says; 0 for none.
    pub begins_after: i64,
    /// The last position.
    pub position: i64,
    /// Checkpoints that were compared.
    pub checkpoints: u64,
    /// Those that were given, but are about rows that were removed since: nothing is left to compare them with.
    pub not_comparable: u64,
    /// Rows that wait for their places.
    pub waiting: u64,
    /// Why rows could not be given their places now.
    pub unchained: Option<String>,
    /// What is wrong, at most 1,000 of it.
    pub faults: Vec<Fault>,
    /// How much is wrong.
    pub wrong: u64,
}

impl Report {
    fn tell(&mut self, fault: Fault) {
        self.wrong += 1;
        if self.faults.len() < TOLD {
            self.faults.push(fault);
        }
    }
}

/// Checks every row, the chain, and the checkpoints: those that are stored and those that are `given`, which are worth more.
/// `watch` is told after every page how many rows are done.
///
/// # Errors
/// When the database cannot be read; [`crate::Kind::Conflict`] when the key cannot be opened, or for a given text that is no
/// checkpoint of this installation.
pub async fn verify(app: &App, given: &[String], watch: &mut (dyn FnMut(u64) + Send)) -> Result<Report> {
    let unchained = super::chain::chain(app).await.err().map(|error| error.to_string());
    let key = key(app).await?;
    let mut tx = app.db.read().await?;
    let head = store::audit::head(&mut tx).await?;
    let mut report = Report { begins_after: head.purged_position, unchained, ..Report::default() };
    look_beside(app, &key, &mut tx, &head, &mut report).await?;
    let mut stated = stored(&key, &mut tx, &mut report).await?;
    note_given(app, &key, &mut tx, given, &head, &mut stated, &mut report).await?;
    let walk = Walk::after(head.purged_position, head.purged_hash);
    let (pages, hashed) = mpsc::channel(AHEAD);
    let checker = Checker { key, walk, stated, report, erased: HashSet::new(), deleted: HashSet::new() };
    let checker = tokio::task::spawn_blocking(move || checker.run(hashed));
    read_all(&mut tx, &head, pages, watch).await?;
    let checker = checker.await.map_err(Error::internal)?;
    checker.end(&head, &mut tx).await
}

/// What is not in the chain: rows before it and rows that wait; and what states where it begins.
async fn look_beside(app: &App, key: &Key, tx: &mut Tx, head: &Head, report: &mut Report) -> Result<()> {
    if !checkpoint::is_start_stated(key, tx, head).await? {
        report.tell(Fault::Start { position: head.purged_position });
    }
    if let Some(position) = store::audit::leftover(tx, head.purged_position).await? {
        report.tell(Fault::Leftover { position });
    }
    let Some(pending) = store::audit::pending(tx).await? else { return Ok(()) };
    report.waiting = pending.rows;
    let waits = app.clock.now().since(pending.since);
    if waits > PATIENCE {
        let seconds = i64::try_from(waits.as_secs()).unwrap_or(i64::MAX);
        report.tell(Fault::Waiting { rows: pending.rows, seconds });
    }
    Ok(())
}

async fn read_all(
    tx: &mut Tx,
    head: &Head,
    pages: mpsc::Sender<Packed>,
    watch: &mut (dyn FnMut(u64) + Send),
) -> Result<()> {
    let (mut after, mut done) = (head.purged_position, 0);
    loop {
        let page = store::audit::walk(tx, after, PAGE).await?;
        let Some(last) = page.rows.last() else { return Ok(()) };
        after = last.position;
        done += page.rows.len() as u64;
        if pages.send(page).await.is_err() {
            return Err(Error::internal("the thread that hashes has ended"));
        }
        watch(done);
    }
}

/// The hashes that checkpoints state of positions.
type Stated = BTreeMap<i64, HashSet<String>>;
/// Whose rows were erased, the user that a row is about and the one who had acted.
type ErasedOf = (Option<i64>, Option<i64>);

/// The one who hashes.
struct Checker {
    key: Arc<Key>,
    walk: Walk,
    stated: Stated,
    report: Report,
    /// Whose rows were erased, and where the first of them is.
    erased: HashSet<(ErasedOf, i64)>,
    /// Who was deleted, as the chain itself has it.
    deleted: HashSet<i64>,
}

impl Checker {
    fn run(mut self, mut pages: mpsc::Receiver<Packed>) -> Self {
        let (mut faults, mut seen) = (Vec::new(), HashSet::new());
        while let Some(page) = pages.blocking_recv() {
            for row in &page.rows {
                proof::step(&self.key, &mut self.walk, row, &page, &mut faults);
                self.compare(row, &mut faults);
                if row.personal.is_none() && seen.insert((row.user, row.by)) {
                    self.erased.insert(((row.user, row.by), row.position));
                }
                if row.is_deletion {
                    self.deleted.extend(row.user);
                }
            }
            faults.drain(..).for_each(|fault| self.report.tell(fault));
        }
        self
    }

    fn compare(&self, row: &PackedRow, faults: &mut Vec<Fault>) {
        let stated = self.stated.get(&row.position);
        if stated.is_some_and(|hashes| hashes.iter().any(|hash| *hash != hex(&row.proof.hash))) {
            faults.push(Fault::Checkpoint { position: row.position });
        }
    }

    async fn end(mut self, head: &Head, tx: &mut Tx) -> Result<Report> {
        let (mut faults, found) = (Vec::new(), self.walk.position());
        self.walk.end(head.position, &head.hash, &mut faults);
        if let Some((last, _)) = self.stated.last_key_value().filter(|(last, _)| **last > found) {
            faults.push(Fault::CutOff { found, expected: *last });
        }
        faults.into_iter().for_each(|fault| self.report.tell(fault));
        for ((user, by), position) in std::mem::take(&mut self.erased) {
            if !self.is_deleted(tx, user).await? && !self.is_deleted(tx, by).await? {
                self.report.tell(Fault::Erased { position });
            }
        }
        self.report.tally = self.walk.tally().clone();
        self.report.position = found;
        Ok(self.report)
    }

    /// A row may be erased only because a user of it was deleted: otherwise erasing would be a way to change rows. The table
    /// of deleted users is not believed alone: the deletion has a row of its own, behind all that the user did.
    async fn is_deleted(&self, tx: &mut Tx, id: Option<i64>) -> Result<bool> {
        let Some(id) = id.filter(|id| self.deleted.contains(id)) else { return Ok(false) };
        Ok(store::user::is_deleted(tx, UserId::new(id)).await?)
    }
}

/// What the stored checkpoints state.
async fn stored(key: &Key, tx: &mut Tx, report: &mut Report) -> Result<Stated> {
    let (mut stated, mut after) = (Stated::new(), i64::MIN);
    loop {
        let page = store::audit::checkpoints(tx, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(stated) };
        after = last.position;
        for stored in &page {
            let read = checkpoint::read(key, &stored.statement);
            match read.filter(|statement| statement.position == stored.position) {
                Some(statement) => note(statement, &mut stated, report),
                None => report.tell(Fault::Forged { position: stored.position }),
            }
        }
    }
}

/// Adds what the given checkpoints state, or how it fits to where the chain begins.
async fn note_given(
    app: &App,
    key: &Key,
    tx: &mut Tx,
    given: &[String],
    head: &Head,
    stated: &mut Stated,
    report: &mut Report,
) -> Result<()> {
    let installation = meta::get(tx, meta::INSTALLATION).await?;
    let kept_from = app.settings.audit.retention.map(|retention| app.clock.now() - retention);
    for text in given {
        let statement = checkpoint::read(key, text)
            .ok_or_else(|| Error::conflict("A checkpoint that was given has no signature of ours."))?;
        if installation.as_ref().is_some_and(|name| *name != statement.installation) {
            return Err(Error::conflict("A checkpoint that was given is of another installation."));
        }
        let position = statement.position;
        if position > head.purged_position {
            note(statement, stated, report);
            continue;
        }
        if kept_from.is_none_or(|from| Timestamp::from_micros(statement.row_at) >= from) {
            report.tell(Fault::TooEarly { position });
        }
        if position < head.purged_position {
            report.not_comparable += 1;
        } else if statement.hash == hex(&head.purged_hash) {
            report.checkpoints += 1;
        } else {
            report.tell(Fault::Checkpoint { position });
        }
    }
    Ok(())
}

fn note(statement: Statement, stated: &mut Stated, report: &mut Report) {
    report.checkpoints += 1;
    stated.entry(statement.position).or_default().insert(statement.hash);
}
