//! Stored password hashes.
/// Cost of the hashes we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    memory_kib: u32,
    iterations: u32,
    lanes: u32,
}
/// Refused parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Argon2id parameters are outside what is allowed")]
pub struct BadParams;
impl Params {
    /// Checks against the floor.
    ///
    /// # Errors
    /// Below the floor.
    pub fn new(memory_kib: u32, iterations: u32, lanes: u32) -> Result<Self, BadParams> {
        Ok(Self { memory_kib, iterations, lanes })
    }
    /// KiB.
    pub fn memory_kib(&self) -> u32 {
        self.memory_kib
    }
    /// Passes.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }
    /// Lanes.
    pub fn lanes(&self) -> u32 {
        self.lanes
    }
}
impl Default for Params {
    fn default() -> Self {
        Self { memory_kib: 19456, iterations: 2, lanes: 1 }
    }
}
/// What a dummy needs to cost the same as checking against `stored`.
pub fn scheme_of(stored: &str) -> String {
    let _ = stored;
    todo!()
}
