//! The users of a Django service, from the `auth_user` table of its SQLite file.
//!
//! Ids, names, addresses, hashes, flags and dates come over as they are. The file is opened for reading only and read in
//! short steps, so the service may go on using it; run the import again to bring what has changed since. Accounts deleted
//! there since an earlier run are not deleted here.

mod row;
mod seen;
mod source;

use std::path::PathBuf;

use domain::user::UserId;
use service::App;
use service::import::{ImportedUser, RowOutcome, apply_batch, reserve_ids};

use crate::report::{NoteKind, Report};
use crate::{Error, Progress};
use row::{Checked, check};
use seen::Seen;
use source::{RawRow, Source};

/// The name under which the store remembers what came from here.
const NAME: &str = "django";
/// Rows a transaction: few enough to be done in time on a server that is some milliseconds away.
const BATCH: usize = 250;

/// What to import and how.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The Django service's SQLite file.
    pub database: PathBuf,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Brings all users over. Reading blocks the calling thread: meant for a command, not for a request.
///
/// # Errors
/// When the source is not what it should be, or a database fails; batches committed before stay.
pub async fn run(
    app: &App,
    options: &ImportOptions,
    mut progress: impl FnMut(Progress),
) -> Result<Report, Error> {
    let source = Source::open(&options.database)?;
    let total = source.count()?;
    let mut report = Report { dry_run: options.dry_run, ..Report::default() };
    let mut seen = Seen::default();
    let mut after = i64::MIN;
    let mut highest = 0;
    loop {
        let raw = source.rows_after(after, BATCH)?;
        let Some(last) = raw.last() else { break };
        after = last.id;
        let rows = checked(&raw, &mut report);
        report.read += raw.len() as u64;
        highest = rows.last().map_or(highest, |row| row.id.get());
        let outcomes = apply_batch(app, NAME, &rows, options.dry_run).await?;
        for (row, mut outcome) in rows.iter().zip(outcomes) {
            if options.dry_run {
                seen.correct(row, &mut outcome);
            }
            record(&mut report, row, outcome);
        }
        progress(Progress { done: report.read, total });
    }
    // A sequence beyond what may be an id was not made by issuing ids.
    let sequence = Some(source.last_id()?).filter(|last| *last <= row::MAX_ID);
    report.ids_reserved_to = highest.max(sequence.unwrap_or(0));
    if !options.dry_run {
        reserve_ids(app, report.ids_reserved_to).await?;
    }
    report.notes.sort_by_key(|note| note.id);
    Ok(report)
}

/// The rows that can be used; the others, and what is odd, go to the report.
fn checked(raw: &[RawRow], report: &mut Report) -> Vec<ImportedUser> {
    let mut rows = Vec::with_capacity(raw.len());
    for row in raw {
        match check(row) {
            Ok(Checked { user, remarks }) => {
                let scheme = crypto::password::scheme_of(&user.password_hash);
                *report.password_schemes.entry(scheme).or_default() += 1;
                for (kind, text) in remarks {
                    report.note(row.id, row.shown_name(), kind, text);
                }
                rows.push(user);
            }
            Err(reason) => report.note(row.id, row.shown_name(), NoteKind::Unusable, reason),
        }
    }
    rows
}

fn record(report: &mut Report, row: &ImportedUser, outcome: RowOutcome) {
    let (id, name) = (row.id.get(), row.username.as_str());
    match outcome {
        RowOutcome::Created { same_key_as } => {
            report.created += 1;
            look_alike(report, row, same_key_as);
        }
        RowOutcome::Updated { same_key_as } => {
            report.updated += 1;
            look_alike(report, row, same_key_as);
        }
        RowOutcome::Unchanged => report.unchanged += 1,
        RowOutcome::Conflict => report.note(
            id,
            name,
            NoteKind::Conflict,
            "changed in the source and here since the last import; the account here stays as it is",
        ),
        RowOutcome::DeletedHere => {
            report.note(id, name, NoteKind::DeletedHere, "was deleted here and stays deleted");
        }
        RowOutcome::IdTaken { username } => {
            let text =
                format!("its id belongs to {username:?} here, an account that did not come from this source");
            report.note(id, name, NoteKind::IdTaken, text);
        }
        RowOutcome::NameTaken { by } => {
            report.note(
                id,
                name,
                NoteKind::NameTaken,
                format!("its name belongs to the account with id {by} here"),
            );
        }
    }
}

fn look_alike(report: &mut Report, row: &ImportedUser, other: Option<UserId>) {
    let Some(other) = other else { return };
    let text = format!(
        "its name differs from that of id {other} by case or look alone; both log in by their exact names"
    );
    report.note(row.id.get(), row.username.as_str(), NoteKind::LookAlike, text);
}
