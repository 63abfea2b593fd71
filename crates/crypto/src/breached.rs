//! Whether a password is known from a breach, asked of a file (PW-05; NIST SP 800-63B-4 section 3.1.1.2).
//!
//! The file holds binary fuse filters (Graf and Lemire 2022): 18 bits a password and no password. What was put in is
//! always found; of other passwords about one in 65,536 is taken for a breached one. The filters are many and small: a look
//! reads one of them, some tens of kilobytes, so memory does not grow with the list. [`build`] makes such files.
//!
//! # The file
//! All numbers are little endian.
//!
//! | part | what |
//! |---|---|
//! | head, 40 bytes | 16 bytes that name the format; how many bits choose a filter (u32); zero (u32); passwords (u64); length of the file (u64) |
//! | table | for each filter: where it begins (u64), its fingerprints (u32), its passwords (u32), the first 8 bytes of its SHA-256 |
//! | filters | seed (u64), segment length, its mask, all segments' length (u32 each), fingerprints (u16 each) |
//!
//! A password is its SHA-1, because that is what lists of breached passwords are made of: the first bits choose the filter, and
//! its first 64 bits are the key in it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use aws_lc_rs::digest;
use xorf::{BinaryFuse16Ref, Filter, FilterRef};

use crate::keyed;

pub mod build;

const MAGIC: [u8; 16] = *b"breached-fuse-1\n";
const HEAD: u64 = 40;
const ENTRY: u64 = 24;
const DESCRIPTOR: usize = 20;
/// Most bits that choose a filter: a table of 24 MiB.
const MOST_BITS: u32 = 20;
/// Most fingerprints of one filter: what a look reads at most is 8 MiB, and usually some tens of kilobytes.
const MOST_FINGERPRINTS: u32 = 1 << 22;

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("the list of breached passwords cannot be read")]
    Read(#[from] io::Error),
    /// It is not what [`build`] writes, or no longer.
    #[error("the list of breached passwords is damaged or of another kind: {0}")]
    Damaged(&'static str),
}

/// A password as lists of breached ones name it: the first half of its SHA-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BreachKey(u64);

impl BreachKey {
    /// Of a password's bytes.
    #[must_use]
    pub fn of(password: &[u8]) -> Self {
        // No security rests on this digest: the lists exist in no other form.
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password);
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_ref()[..8]);
        Self(u64::from_be_bytes(first))
    }

    /// Which of 2^`bits` filters it belongs to.
    fn filter(self, bits: u32) -> u64 {
        self.0.checked_shr(u64::BITS - bits).unwrap_or(0)
    }
}

/// A list of breached passwords on disk.
#[derive(Debug)]
pub struct BreachedPasswords {
    file: File,
    bits: u32,
    len: u64,
}

impl BreachedPasswords {
    /// Opens a file that [`build`] has written.
    ///
    /// # Errors
    /// [`Error::Read`], and [`Error::Damaged`] when its head is not that of a whole file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path)?;
        let mut head = [0; HEAD as usize];
        file.read_exact_at(&mut head, 0).map_err(|_| Error::Damaged("it has no head"))?;
        if head[..16] != MAGIC {
            return Err(Error::Damaged("it does not begin as such a list does"));
        }
        let bits = u32_at(&head, 16);
        if bits > MOST_BITS {
            return Err(Error::Damaged("its table is too large"));
        }
        if u64_at(&head, 32) != file.metadata()?.len() {
            return Err(Error::Damaged("its length is not the one that it says"));
        }
        Ok(Self { file, bits, len: u64_at(&head, 24) })
    }

    /// How many passwords were put in.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it says no of everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a password is in the list. One in 65,536 of those that are not is taken for one that is. Reads twice from the file.
    ///
    /// # Errors
    /// [`Error::Read`], and [`Error::Damaged`] when the filter is not as it was written.
    pub fn contains(&self, key: BreachKey) -> Result<bool, Error> {
        let Some(bytes) = self.filter(key.filter(self.bits))? else { return Ok(false) };
        Ok(bytes.view()?.contains(&key.0))
    }

    /// Reads the whole file and compares the digests of all filters.
    ///
    /// # Errors
    /// As [`Self::contains`].
    pub fn check(&self) -> Result<(), Error> {
        (0..1 << self.bits).try_for_each(|number| match self.filter(number)? {
            Some(bytes) => bytes.view().map(drop),
            None => Ok(()),
        })
    }

    /// One of the filters; none where it is empty.
    fn filter(&self, number: u64) -> Result<Option<FilterBytes>, Error> {
        let mut entry = [0; ENTRY as usize];
        self.file.read_exact_at(&mut entry, HEAD + number * ENTRY)?;
        let fingerprints = u32_at(&entry, 8);
        if fingerprints == 0 {
            let empty = entry.iter().all(|byte| *byte == 0);
            return if empty { Ok(None) } else { Err(Error::Damaged("an empty filter is not empty")) };
        }
        if fingerprints > MOST_FINGERPRINTS {
            return Err(Error::Damaged("a filter is too large"));
        }
        let mut bytes = FilterBytes::of_length(DESCRIPTOR + 2 * fingerprints as usize);
        self.file.read_exact_at(bytes.as_mut(), u64_at(&entry, 0))?;
        if keyed::sha256(bytes.as_ref())[..8] != entry[16..] {
            return Err(Error::Damaged("a filter is not as it was written"));
        }
        Ok(Some(bytes))
    }
}

/// A filter as it lies in the file, at an even address: fingerprints are read in place, two bytes at a time.
struct FilterBytes {
    buffer: Vec<u8>,
    start: usize,
}

impl FilterBytes {
    fn of_length(length: usize) -> Self {
        let buffer = vec![0; length + 1];
        let start = buffer.as_ptr().align_offset(BinaryFuse16Ref::FINGERPRINT_ALIGNMENT);
        Self { buffer, start }
    }

    fn as_mut(&mut self) -> &mut [u8] {
        let end = self.start + self.buffer.len() - 1;
        &mut self.buffer[self.start..end]
    }

    fn as_ref(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.buffer.len() - 1]
    }

    /// The filter, if no look in it can go astray.
    fn view(&self) -> Result<BinaryFuse16Ref<'_>, Error> {
        let (descriptor, fingerprints) = self.as_ref().split_at(DESCRIPTOR);
        let segment = u64::from(u32_at(descriptor, 8));
        let segments = u64::from(u32_at(descriptor, 16));
        let fits = segment.is_power_of_two()
            && u64::from(u32_at(descriptor, 12)) == segment - 1
            && segments.is_multiple_of(segment)
            && segments + 2 * segment <= fingerprints.len() as u64 / 2;
        if !fits {
            return Err(Error::Damaged("a filter is inconsistent"));
        }
        Ok(BinaryFuse16Ref::from_dma(descriptor, fingerprints))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests;
