//! What a dry run must remember: its batches leave no trace in the database, so a later batch would not find the names
//! of an earlier one.

use std::collections::HashMap;

use domain::user::UserId;
use service::import::{ImportedUser, RowOutcome};

/// Digests of the names that a real run would have stored; 16 bytes of each, so that a million users stay small.
#[derive(Default)]
pub(super) struct Seen {
    names: HashMap<[u8; 16], UserId>,
    keys: HashMap<[u8; 16], UserId>,
}

impl Seen {
    /// Corrects what the database answered by what earlier batches would have stored.
    pub(super) fn correct(&mut self, row: &ImportedUser, outcome: &mut RowOutcome) {
        let (RowOutcome::Created { same_key_as } | RowOutcome::Updated { same_key_as }) = outcome else {
            return;
        };
        if let Some(by) = self.names.get(&digest(row.username.as_str())).filter(|by| **by != row.id) {
            *outcome = RowOutcome::NameTaken { by: *by };
            return;
        }
        let key = digest(row.username.key().as_str());
        let first = *self.keys.entry(key).or_insert(row.id);
        if first != row.id && same_key_as.is_none() {
            *same_key_as = Some(first);
        }
        self.names.insert(digest(row.username.as_str()), row.id);
    }
}

fn digest(text: &str) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&crypto::keyed::sha256(text.as_bytes())[..16]);
    half
}
