//! The stored hash of a row: one that we can check, or none.

use crypto::password::{Kind, kind_of, scheme_of};

use crate::report::NoteKind;

/// What is odd about a row that is taken over all the same.
pub(crate) type Remarks = Vec<(NoteKind, String)>;

/// What Django stores for no password; nothing is equal to it.
pub(crate) const UNUSABLE: &str = "!";

/// A hash to be stored.
#[derive(Debug)]
pub(crate) struct Password {
    pub(crate) hash: String,
    pub(crate) scheme: String,
}

impl Password {
    /// A hash of a known format as it stands; for any other text none at all, with a remark: it may be a weak hash (MD5), or a
    /// password in the clear, and nobody could log in with it (PW-09).
    pub(crate) fn check(stored: &str, remarks: &mut Remarks) -> Self {
        let hash = if kind_of(stored) == Kind::Broken {
            let said = "its password hash is of no known format and was left out: nobody can log in until a password is set";
            remarks.push((NoteKind::UnknownHash, said.to_owned()));
            UNUSABLE
        } else {
            stored
        };
        Self { hash: hash.to_owned(), scheme: scheme_of(hash) }
    }
}
