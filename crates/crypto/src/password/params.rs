//! The cost of the hashes that we make, with its floor compiled in.

use super::scheme::Scheme;

/// Argon2id parameters of new hashes. A value of this type is never below the floor (PW-06).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    memory_kib: u32,
    iterations: u32,
    lanes: u32,
}

/// The parameters are weaker than the floor, or beyond what a stored hash may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadParams {
    /// Weaker than every combination that is allowed.
    #[error(
        "Argon2id with m={memory_kib} KiB, t={iterations} is too weak; use at least m=47104 with t=1, m=19456 with t=2 \
         or m=12288 with t=3"
    )]
    TooWeak {
        /// Memory in KiB, as given.
        memory_kib: u32,
        /// Passes, as given.
        iterations: u32,
    },
    /// Costs more than we accept from a stored hash, so nobody could log in with it.
    #[error(
        "Argon2id with m={memory_kib} KiB, t={iterations}, p={lanes} is beyond what this service computes"
    )]
    TooCostly {
        /// Memory in KiB, as given.
        memory_kib: u32,
        /// Passes, as given.
        iterations: u32,
        /// Lanes, as given.
        lanes: u32,
    },
}

/// `(passes, KiB)`: with so many passes, at least so much memory. OWASP ASVS 5.0 appendix C, OWASP Password Storage
/// Cheat Sheet; RFC 9106 section 4 recommends more.
const FLOOR: [(u32, u32); 3] = [(1, 47_104), (2, 19_456), (3, 12_288)];

impl Params {
    /// Parameters with `memory_kib` KiB of memory, `iterations` passes and `lanes` lanes. The lanes of one hash are
    /// computed one after another, so more of them gain nothing here.
    ///
    /// # Errors
    /// [`BadParams`] when they are below the floor or above the ceiling of stored hashes (PW-06, PW-09).
    pub fn new(memory_kib: u32, iterations: u32, lanes: u32) -> Result<Self, BadParams> {
        if !FLOOR.iter().any(|(passes, memory)| iterations >= *passes && memory_kib >= *memory) {
            return Err(BadParams::TooWeak { memory_kib, iterations });
        }
        let params = Self { memory_kib, iterations, lanes };
        if !params.scheme().is_affordable() {
            return Err(BadParams::TooCostly { memory_kib, iterations, lanes });
        }
        Ok(params)
    }

    /// Memory in KiB.
    pub fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    pub fn iterations(self) -> u32 {
        self.iterations
    }

    /// Lanes (`p`).
    pub fn lanes(self) -> u32 {
        self.lanes
    }

    pub(crate) fn scheme(self) -> Scheme {
        Scheme::argon2id(self.memory_kib, self.iterations, self.lanes)
    }
}

impl Default for Params {
    /// 19 MiB, two passes, one lane.
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, lanes: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::{BadParams, Params};

    // PW-06
    #[test]
    fn nothing_below_the_floor_is_taken() {
        for (memory, passes) in
            [(9 * 1024, 2), (19_455, 2), (47_103, 1), (12_287, 3), (12_288, 2), (0, 0), (8, 100)]
        {
            let refused = Params::new(memory, passes, 1);
            assert_eq!(refused, Err(BadParams::TooWeak { memory_kib: memory, iterations: passes }));
        }
        for (memory, passes) in [(19_456, 2), (47_104, 1), (12_288, 3), (65_536, 3), (12_288, 5)] {
            assert!(Params::new(memory, passes, 1).is_ok(), "{memory} {passes}");
        }
        let default = Params::default();
        assert_eq!(Params::new(default.memory_kib(), default.iterations(), default.lanes()), Ok(default));
    }

    // PW-09: what we make must be what we check later
    #[test]
    fn nothing_above_the_ceiling_is_taken() {
        for (memory, passes, lanes) in
            [(u32::MAX, 1, 1), (19_456, u32::MAX, 1), (19_456, 2, 0), (19_456, 2, 1000)]
        {
            assert!(matches!(Params::new(memory, passes, lanes), Err(BadParams::TooCostly { .. })));
        }
    }
}
