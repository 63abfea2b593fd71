//! Checking the whole chain: one thread reads, another hashes, and neither keeps more than a few pages.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use domain::audit::{Fault, Link, Tally, Walk, link_bytes};
use domain::user::UserId;
use store::audit::{Head, Packed, PackedRow};
use store::{Tx, meta};
use tokio::sync::mpsc;

use super::checkpoint::{Statement, hex};
use crate::App;
use crate::error::{Error, Result};

/// Rows read at a time.
const PAGE: i64 = 2_000;
/// Pages between the one who reads and the one who hashes.
const AHEAD: usize = 4;
/// Faults that are told one by one; the others are counted.
const TOLD: usize = 1_000;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows, and how many of them were erased.
    pub tally: Tally,
    /// The last position that was removed as `AUDIT_RETENTION` says; 0 for none.
    pub begins_after: i64,
    /// The last position.
    pub position: i64,
    /// Checkpoints that were compared and whose signatures are good.
    pub checkpoints: u64,
    /// Those that were compared, but whose keys are not known here any more.
    pub unchecked: u64,
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
/// When the database cannot be read; [`crate::Kind::Conflict`] for a given text that is no checkpoint of this installation.
pub async fn verify(app: &App, given: &[String], watch: &mut (dyn FnMut(u64) + Send)) -> Result<Report> {
    super::chain::chain(app).await?;
    let mut tx = app.db.read().await?;
    let head = store::audit::head(&mut tx).await?;
    let mut report = Report { begins_after: head.purged_position, ..Report::default() };
    let stated = Arc::new(stated(app, &mut tx, given, &mut report).await?);
    check_start(&head, &stated, &mut report);
    let walk = Walk::after(head.purged_position, head.purged_hash);
    let (pages, hashed) = mpsc::channel(AHEAD);
    let checker = Checker { walk, stated: Arc::clone(&stated), report, erased_of: HashSet::new() };
    let checker = tokio::task::spawn_blocking(move || checker.run(hashed));
    read_all(&mut tx, &head, pages, watch).await?;
    let Checker { walk, mut report, erased_of, .. } = checker.await.map_err(Error::internal)?;
    let mut faults = Vec::new();
    walk.end(head.position, &head.hash, &mut faults);
    faults.into_iter().for_each(|fault| report.tell(fault));
    if let Some((last, _)) = stated.last_key_value().filter(|(last, _)| **last > walk.position()) {
        report.tell(Fault::CutOff { found: walk.position(), expected: *last });
    }
    require_deleted(&mut tx, erased_of, &mut report).await?;
    report.tally = walk.tally().clone();
    report.position = walk.position();
    Ok(report)
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

/// Whose rows were erased, the user that a row is about and the one who had acted; and where such a row is.
type ErasedOf = (Option<i64>, Option<i64>, i64);

/// The one who hashes.
struct Checker {
    walk: Walk,
    stated: Arc<BTreeMap<i64, HashSet<String>>>,
    report: Report,
    /// One row of each.
    erased_of: HashSet<ErasedOf>,
}

impl Checker {
    fn run(mut self, mut pages: mpsc::Receiver<Packed>) -> Self {
        let (mut faults, mut seen) = (Vec::new(), HashSet::new());
        while let Some(page) = pages.blocking_recv() {
            for row in &page.rows {
                self.step(row, &page.bytes, &mut faults);
                if row.content.is_none() && seen.insert((row.user, row.by)) {
                    self.erased_of.insert((row.user, row.by, row.position));
                }
            }
            faults.drain(..).for_each(|fault| self.report.tell(fault));
        }
        self
    }

    fn step(&mut self, row: &PackedRow, bytes: &[u8], faults: &mut Vec<Fault>) {
        let content = row.content.clone().map(|range| crypto::keyed::sha256(&bytes[range]));
        let link = link_bytes(self.walk.hash(), row.position, &row.commitment);
        let link = Link {
            position: row.position,
            commitment: row.commitment,
            hash: row.hash,
            content,
            follows: crypto::keyed::sha256(&link),
        };
        self.walk.step(&link, faults);
        let stated = self.stated.get(&row.position);
        if stated.is_some_and(|hashes| hashes.iter().any(|hash| *hash != hex(&row.hash))) {
            faults.push(Fault::Checkpoint { position: row.position });
        }
    }
}

/// A row may be erased only because a user of it was deleted: otherwise erasing would be a way to change rows.
async fn require_deleted(tx: &mut Tx, erased: HashSet<ErasedOf>, report: &mut Report) -> Result<()> {
    for (user, by, position) in erased {
        let mut is_deleted = false;
        for id in user.into_iter().chain(by) {
            is_deleted |= store::user::is_deleted(tx, UserId::new(id)).await?;
        }
        if !is_deleted {
            report.tell(Fault::Erased { position });
        }
    }
    Ok(())
}

/// Where the rest begins must be stated by a checkpoint.
fn check_start(head: &Head, stated: &BTreeMap<i64, HashSet<String>>, report: &mut Report) {
    if head.purged_position == 0 {
        return;
    }
    let hashes = stated.get(&head.purged_position);
    if hashes.is_none_or(|hashes| hashes.iter().any(|hash| *hash != hex(&head.purged_hash))) {
        report.tell(Fault::Start { position: head.purged_position });
    }
}

/// What all checkpoints state: the hashes of positions.
async fn stated(
    app: &App,
    tx: &mut Tx,
    given: &[String],
    report: &mut Report,
) -> Result<BTreeMap<i64, HashSet<String>>> {
    let installation = meta::get(tx, meta::INSTALLATION).await?;
    let (mut stated, mut keys) = (BTreeMap::new(), BTreeMap::new());
    let mut after = -1;
    loop {
        let page = store::audit::checkpoints(tx, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for stored in &page {
            let opened = open(app, &stored.statement, &stored.public_key);
            match opened.filter(|(statement, _)| statement.position == stored.position) {
                Some((statement, is_checked)) => note(statement, is_checked, &mut stated, report),
                None => report.tell(Fault::Forged { position: stored.position }),
            }
            _ = keys.insert(crypto::jws::thumbprint(&stored.public_key), stored.public_key.clone());
        }
    }
    for text in given {
        let kept = key_of(text).and_then(|id| keys.get(&id)).map_or("", String::as_str);
        let (statement, is_checked) = open(app, text, kept)
            .ok_or_else(|| Error::conflict("A checkpoint that was given has no signature of ours."))?;
        if installation.as_ref().is_some_and(|name| *name != statement.installation) {
            return Err(Error::conflict("A checkpoint that was given is of another installation."));
        }
        if statement.position > report.begins_after {
            note(statement, is_checked, &mut stated, report);
        }
    }
    Ok(stated)
}

fn note(
    statement: Statement,
    is_checked: bool,
    stated: &mut BTreeMap<i64, HashSet<String>>,
    report: &mut Report,
) {
    *(if is_checked { &mut report.checkpoints } else { &mut report.unchecked }) += 1;
    stated.entry(statement.position).or_default().insert(statement.hash);
}

fn key_of(text: &str) -> Option<String> {
    crypto::jws::Unverified::parse(text).ok()?.key_id().map(str::to_owned)
}

/// What a checkpoint states, and whether its signature could be checked. `None` when it is not ours.
fn open(app: &App, text: &str, kept: &str) -> Option<(Statement, bool)> {
    let checked = app.keys.open_statement(text, kept).ok()?;
    let is_checked = checked.is_some();
    let payload = checked.or_else(|| crypto::jws::Unverified::parse(text).ok()?.unchecked_payload().ok())?;
    Some((serde_json::from_slice(&payload).ok()?, is_checked))
}
