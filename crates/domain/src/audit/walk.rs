//! Walking along a chain and seeing where it is broken.

use super::{GENESIS, Hash};

/// What is stored of a row's place, and what its content says now.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Its position as it is stored.
    pub position: i64,
    /// Its hash as it is stored.
    pub hash: Hash,
    /// Whether what the row holds now gives the digests that are stored with it.
    pub is_as_written: bool,
    /// Whether its salt and personal data are there, were erased, or neither.
    pub state: State,
    /// The hash that follows from the hash of the row before it, and from the stored position and commitment.
    pub follows: Hash,
}

/// Whether a row is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it was written.
    Whole,
    /// Without its salt and personal data, as an erasure leaves it.
    Erased,
    /// Something between, as nothing of ours leaves it.
    Torn,
}

/// What is wrong at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The row holds something else than when it was chained.
    Changed {
        /// Where.
        position: i64,
    },
    /// Its commitment or its hash does not follow from the row before: it was changed, put in or moved.
    Unlinked {
        /// Where.
        position: i64,
    },
    /// Rows are not there.
    Missing {
        /// The first of them.
        from: i64,
        /// The last of them.
        to: i64,
    },
    /// The chain ends elsewhere than its head says.
    End {
        /// The last row that there is.
        found: i64,
        /// What the head says.
        expected: i64,
    },
    /// The hash at this position is not the one that a checkpoint states: everything up to it was written anew.
    Checkpoint {
        /// Where.
        position: i64,
    },
    /// A checkpoint is about a position that the chain does not reach: its end was cut off.
    CutOff {
        /// The last row that there is.
        found: i64,
        /// The position of the checkpoint.
        expected: i64,
    },
    /// Rows before this one were removed, and there is no statement of retention's under our key that this was so.
    Start {
        /// The last position that was removed.
        position: i64,
    },
    /// A row is where all have been removed: nothing proves it.
    Leftover {
        /// Where.
        position: i64,
    },
    /// A row that a checkpoint covers was removed though it is not as old as `AUDIT_RETENTION` wants.
    TooEarly {
        /// The position of the checkpoint.
        position: i64,
    },
    /// A row has been partly erased, or its content was put back.
    Torn {
        /// Where.
        position: i64,
    },
    /// Rows have waited too long for their places: nothing proves them yet.
    Waiting {
        /// How many wait.
        rows: u64,
        /// For how long the one that was written first has waited.
        seconds: i64,
    },
    /// A row's content was erased though its user was not deleted.
    Erased {
        /// Where.
        position: i64,
    },
    /// A stored checkpoint is not under our key.
    Forged {
        /// The position that it states.
        position: i64,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Changed { position } => write!(f, "{position}: the row was changed after it was chained"),
            Self::Unlinked { position } => {
                write!(
                    f,
                    "{position}: the row does not follow from the one before it (changed, put in or moved)"
                )
            }
            Self::Missing { from, to } if from == to => write!(f, "{from}: the row is missing"),
            Self::Missing { from, to } => write!(f, "{from} to {to}: the rows are missing"),
            Self::End { found, expected } => {
                write!(f, "{found}: the chain ends here, and should at {expected}")
            }
            Self::Checkpoint { position } => write!(f, "{position}: a checkpoint states another hash"),
            Self::CutOff { found, expected } => {
                write!(f, "{found}: the end was cut off here; a checkpoint states position {expected}")
            }
            Self::Start { position } => {
                write!(f, "{position}: rows up to here were removed, and no statement of the service says so")
            }
            Self::Leftover { position } => write!(f, "{position}: a row where all were removed"),
            Self::TooEarly { position } => {
                write!(f, "{position}: removed earlier than AUDIT_RETENTION allows; a checkpoint covers it")
            }
            Self::Torn { position } => write!(f, "{position}: the row is neither whole nor erased"),
            Self::Waiting { rows, seconds } => {
                write!(f, "{rows} rows wait for their places, the first for {seconds} s")
            }
            Self::Erased { position } => {
                write!(f, "{position}: the row was erased, but its user was not deleted")
            }
            Self::Forged { position } => write!(f, "{position}: the signature of a checkpoint is not ours"),
        }
    }
}

/// What a walk has met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows.
    pub rows: u64,
    /// Those of them that were erased.
    pub erased: u64,
}

/// A walk along a chain: rows in the order of their positions go in, faults come out. After a fault it goes on with what
/// is stored, so that one broken row is one fault and not as many as there are rows behind it.
#[derive(Clone, Debug)]
pub struct Walk {
    position: i64,
    hash: Hash,
    tally: Tally,
}

impl Default for Walk {
    fn default() -> Self {
        Self::after(0, GENESIS)
    }
}

impl Walk {
    /// Begins behind a position whose hash is known.
    #[must_use]
    pub fn after(position: i64, hash: Hash) -> Self {
        Self { position, hash, tally: Tally::default() }
    }

    /// The hash that the next row's follows from.
    #[must_use]
    pub fn hash(&self) -> &Hash {
        &self.hash
    }

    /// The last position.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position
    }

    /// What was met so far.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Takes the next row. `follows` of it was made with [`Walk::hash`].
    pub fn step(&mut self, link: &Link, faults: &mut Vec<Fault>) {
        let expected = self.position + 1;
        if link.position > expected {
            faults.push(Fault::Missing { from: expected, to: link.position - 1 });
        } else if link.position < expected || link.follows != link.hash {
            faults.push(Fault::Unlinked { position: link.position });
        }
        if !link.is_as_written {
            faults.push(Fault::Changed { position: link.position });
        }
        match link.state {
            State::Whole => {}
            State::Erased => self.tally.erased += 1,
            State::Torn => faults.push(Fault::Torn { position: link.position }),
        }
        self.tally.rows += 1;
        self.position = link.position;
        self.hash = link.hash;
    }

    /// Ends the walk where the chain's head is known to be.
    pub fn end(&self, head: i64, head_hash: &Hash, faults: &mut Vec<Fault>) {
        if self.position != head {
            faults.push(Fault::End { found: self.position, expected: head });
        } else if self.hash != *head_hash {
            faults.push(Fault::Unlinked { position: head });
        }
    }
}
