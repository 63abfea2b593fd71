//! Counts what became of the users of a batch, and names those that a person should look at.

use domain::user::UserId;
use service::import::{ImportedUser, RowOutcome};

use crate::report::{Note, NoteKind, Recorder};

/// Which row of the source a note is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// Its id there.
    pub(crate) id: Option<i64>,
    /// Its number in a file.
    pub(crate) row: Option<u64>,
}

impl Origin {
    pub(crate) fn note(self, name: &str, kind: NoteKind, text: impl Into<String>) -> Note {
        Note { id: self.id, row: self.row, name: name.to_owned(), kind, text: text.into() }
    }
}

pub(crate) fn record(recorder: &mut Recorder, origin: Origin, user: &ImportedUser, outcome: RowOutcome) {
    let name = user.username.as_str();
    let mut note = |kind, text: String| recorder.note(origin.note(name, kind, text));
    match outcome {
        RowOutcome::Created { same_key_as } => {
            recorder.report.created += 1;
            look_alike(recorder, origin, name, same_key_as);
        }
        RowOutcome::Updated { same_key_as } => {
            recorder.report.updated += 1;
            look_alike(recorder, origin, name, same_key_as);
        }
        RowOutcome::Unchanged => recorder.report.unchanged += 1,
        RowOutcome::Conflict => {
            let text =
                "changed in the source and here since the last import; the account here stays as it is";
            note(NoteKind::Conflict, text.to_owned());
        }
        RowOutcome::DeletedHere => {
            note(NoteKind::DeletedHere, "was deleted here and stays deleted".to_owned());
        }
        RowOutcome::IdTaken { username } => {
            let text =
                format!("its id belongs to {username:?} here, an account that did not come from this source");
            note(NoteKind::IdTaken, text);
        }
        RowOutcome::NameTaken { by } => {
            note(NoteKind::NameTaken, format!("its name belongs to the account with id {by} here"));
        }
    }
}

fn look_alike(recorder: &mut Recorder, origin: Origin, name: &str, other: Option<UserId>) {
    let Some(other) = other else { return };
    let text = format!(
        "its name differs from that of id {other} by case or look alone; both log in by their exact names"
    );
    recorder.note(origin.note(name, NoteKind::LookAlike, text));
}
