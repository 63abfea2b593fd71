//! The memory that Argon2 works in, kept between hashes.

use argon2::Block;
use zeroize::Zeroize as _;

/// The allocator had no memory for a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no memory for a password hash")]
pub struct OutOfMemory;

/// Memory for one hash at a time.
///
/// It is allocated at the first hash and reused: fresh pages for each hash cost up to half of its time. A hash that
/// needs more than the usual size gets memory of its own, which is freed afterwards.
pub struct Arena {
    /// Usual size in blocks of one KiB.
    size: usize,
    /// Empty before the first hash.
    blocks: Vec<Block>,
    /// Something of a password's hash may be in `blocks`.
    dirty: bool,
    /// See [`Arena::computed`].
    computed: u64,
}

impl Arena {
    /// An arena for hashes of up to `memory_kib` KiB. Allocates nothing yet.
    pub fn new(memory_kib: u32) -> Self {
        Self { size: memory_kib as usize, blocks: Vec::new(), dirty: false, computed: 0 }
    }

    /// Runs `work` on `memory_kib` blocks.
    pub(crate) fn with<R>(
        &mut self,
        memory_kib: u32,
        work: impl FnOnce(&mut [Block]) -> R,
    ) -> Result<R, OutOfMemory> {
        let wanted = memory_kib as usize;
        if wanted > self.size {
            let mut own = allocate(wanted)?;
            let result = work(&mut own);
            own.iter_mut().zeroize();
            return Ok(result);
        }
        if self.blocks.is_empty() {
            self.blocks = allocate(self.size)?;
        }
        self.dirty = true;
        Ok(work(&mut self.blocks[..wanted]))
    }

    /// How many hashes were computed with this arena, of all schemes, also those that need none of its memory.
    pub fn computed(&self) -> u64 {
        self.computed
    }

    pub(crate) fn count(&mut self) {
        self.computed += 1;
    }

    /// Whether there is anything to wipe.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Overwrites what the last hash left. The next hash would do so too; this is for when there is none.
    pub fn wipe(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.blocks.iter_mut().zeroize();
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.wipe();
    }
}

fn allocate(blocks: usize) -> Result<Vec<Block>, OutOfMemory> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(blocks).map_err(|_| OutOfMemory)?;
    memory.resize(blocks, Block::new());
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::Arena;

    #[test]
    fn memory_comes_with_the_first_use_and_stays() {
        let mut arena = Arena::new(64);
        assert_eq!(arena.blocks.capacity(), 0);
        arena.with(8, |blocks| assert_eq!(blocks.len(), 8)).unwrap();
        let address = arena.blocks.as_ptr();
        arena.with(64, |blocks| assert_eq!(blocks.len(), 64)).unwrap();
        assert_eq!(arena.blocks.as_ptr(), address);
    }

    #[test]
    fn a_larger_hash_leaves_nothing_behind() {
        let mut arena = Arena::new(8);
        arena.with(9, |blocks| assert_eq!(blocks.len(), 9)).unwrap();
        assert_eq!(arena.blocks.capacity(), 0);
    }

    // KY-01
    #[test]
    fn wiping_leaves_zeros() {
        let mut arena = Arena::new(8);
        arena.with(8, |blocks| blocks[7].as_mut()[127] = u64::MAX).unwrap();
        arena.wipe();
        assert!(arena.blocks.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
    }
}
