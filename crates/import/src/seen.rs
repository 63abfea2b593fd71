//! What must be remembered of all rows of a run, in a temporary file that SQLite makes and removes, so that memory stays flat:
//! by a dry run, whose batches leave no trace in the database, the names that a real run would have stored; by the import of
//! a file, which of its rows had an id or a name first.

use domain::user::UserId;
use rusqlite::{Connection, OptionalExtension};
use service::import::{ImportedUser, RowOutcome};

use crate::Error;

const SCHEMA: &str = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16384; \
    CREATE TABLE seen (digest BLOB PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID; BEGIN";
const FIND: &str = "SELECT id FROM seen WHERE digest = ?1";
const ADD: &str = "INSERT INTO seen (digest, id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

/// Digests of names and keys, and to whom each belongs.
pub(crate) struct Seen(Connection);

impl Seen {
    pub(crate) fn new() -> Result<Self, Error> {
        let connection = Connection::open("")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(connection))
    }

    /// The first row with this id or name; from now on it is `row` if there was none.
    pub(crate) fn first(&mut self, what: &str, row: u64) -> Result<Option<i64>, Error> {
        let key = digest(b'f', what);
        let found = self.find(&key)?;
        if found.is_none() {
            self.add(&key, i64::try_from(row).unwrap_or(i64::MAX))?;
        }
        Ok(found)
    }

    /// Corrects what the database answered by what earlier batches would have stored. `number` stands for a row without an id.
    pub(crate) fn correct(
        &mut self,
        row: &ImportedUser,
        number: i64,
        outcome: &mut RowOutcome,
    ) -> Result<(), Error> {
        let (RowOutcome::Created { same_key_as } | RowOutcome::Updated { same_key_as }) = outcome else {
            return Ok(());
        };
        let id = row.id.map_or(number, UserId::get);
        let name = digest(b'n', row.username.as_str());
        if let Some(by) = self.find(&name)?.filter(|by| *by != id) {
            *outcome = RowOutcome::NameTaken { by: UserId::new(by) };
            return Ok(());
        }
        let key = digest(b'k', row.username.key().as_str());
        match self.find(&key)? {
            Some(first) if first != id && same_key_as.is_none() => *same_key_as = Some(UserId::new(first)),
            Some(_) => {}
            None => self.add(&key, id)?,
        }
        self.add(&name, id)
    }

    fn find(&self, digest: &[u8]) -> Result<Option<i64>, Error> {
        Ok(self.0.prepare_cached(FIND)?.query_row([digest], |row| row.get(0)).optional()?)
    }

    fn add(&self, digest: &[u8], id: i64) -> Result<(), Error> {
        self.0.prepare_cached(ADD)?.execute((digest, id))?;
        Ok(())
    }
}

/// 16 bytes, so that a million users stay small.
fn digest(kind: u8, text: &str) -> [u8; 16] {
    let mut input = vec![kind];
    input.extend(text.as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&crypto::keyed::sha256(&input)[..16]);
    half
}
