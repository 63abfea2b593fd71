//! Making a list of breached passwords.

use std::fs::{self, File};
use std::io::{self, BufRead, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use xorf::{BinaryFuse16, DmaSerializable};

use super::{BreachKey, DESCRIPTOR, ENTRY, HEAD, MAGIC, MOST_BITS, MOST_FINGERPRINTS};
use crate::keyed;

/// What a filter is made for, about. A look reads twice as many bytes.
const PASSWORDS_A_FILTER: u64 = 16 * 1024;
/// Most passwords of a list that is not sorted by digest: they are sorted in memory, 8 bytes each.
const MOST_UNSORTED: usize = 100_000_000;
/// How often [`build`] says how far it is, in lines.
const TELL_EVERY: u64 = 1 << 20;

/// How the source looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Lines of a SHA-1 in hexadecimal digits, a colon, and how often the password was seen, sorted by digest: what the
    /// downloader of Pwned Passwords writes. Passwords seen less often are left out.
    Digests {
        /// The least count.
        at_least: u64,
    },
    /// A password a line, in any order; empty lines are passed over.
    Passwords,
}

/// Why no list was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("reading or writing failed")]
    Io(#[from] io::Error),
    /// A line is not what was announced.
    #[error("line {line}: {reason}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The target is there already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// More passwords than can be sorted in memory.
    #[error("more than {MOST_UNSORTED} passwords: only a list sorted by digest may be so long")]
    TooMany,
    /// There are far more than were expected, so that one filter would be too large to be read for every password.
    #[error("far more passwords than were expected")]
    Unexpected,
    /// No filter of these passwords was found; practically impossible.
    #[error("no filter can be made of these passwords")]
    Unlucky,
}

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// Lines read.
    pub lines: u64,
    /// Passwords in the list.
    pub passwords: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
}

/// Makes a list at `target` of what `input` holds. `expected` is how many passwords that is, about: it decides how many filters
/// there are, and nothing else. `tell` hears now and then how many lines were read.
///
/// The file appears when it is whole. Memory: one filter, or 8 bytes a password if the source is not sorted.
///
/// # Errors
/// [`Error`]; there is no file then.
pub fn build(
    input: impl BufRead,
    source: Source,
    target: &Path,
    expected: u64,
    tell: impl FnMut(u64),
) -> Result<Built, Error> {
    if target.exists() {
        return Err(Error::Exists(target.to_owned()));
    }
    let partial = target.with_added_extension("partial");
    let made = write_to(&partial, input, source, expected, tell);
    match made {
        Ok(built) => {
            fs::rename(&partial, target)?;
            Ok(built)
        }
        Err(error) => {
            // What failed is what the caller must hear; a leftover is overwritten by the next try.
            let _ = fs::remove_file(&partial);
            Err(error)
        }
    }
}

fn write_to(
    path: &Path,
    input: impl BufRead,
    source: Source,
    expected: u64,
    tell: impl FnMut(u64),
) -> Result<Built, Error> {
    let mut list = Writer::new(File::create(path)?, bits_for(expected))?;
    let mut lines = Lines { input, source, number: 0, text: Vec::new(), tell };
    match source {
        Source::Digests { .. } => {
            while let Some(key) = lines.next()? {
                list.add(key).map_err(|error| lines.located(error))?;
            }
        }
        Source::Passwords => lines.sorted()?.into_iter().try_for_each(|key| list.add(key))?,
    }
    list.finish(lines.number)
}

/// How many bits choose a filter, so that each is of the size we like.
fn bits_for(expected: u64) -> u32 {
    (expected / PASSWORDS_A_FILTER).checked_ilog2().map_or(0, |log| log + 1).min(MOST_BITS)
}

/// The source, line by line.
struct Lines<R, T> {
    input: R,
    source: Source,
    number: u64,
    text: Vec<u8>,
    tell: T,
}

impl<R: BufRead, T: FnMut(u64)> Lines<R, T> {
    /// The next password that belongs into the list.
    fn next(&mut self) -> Result<Option<BreachKey>, Error> {
        loop {
            self.text.clear();
            if self.input.read_until(b'\n', &mut self.text)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.number.is_multiple_of(TELL_EVERY) {
                (self.tell)(self.number);
            }
            let line = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let key = match self.source {
                _ if line.is_empty() => None,
                Source::Passwords => Some(BreachKey::of(line)),
                Source::Digests { at_least } => {
                    let (key, count) = digest_line(line).ok_or(Error::Line {
                        line: self.number,
                        reason: "not 40 hexadecimal digits, a colon and a count",
                    })?;
                    (count >= at_least).then_some(key)
                }
            };
            if key.is_some() {
                return Ok(key);
            }
        }
    }

    /// All of them, in order, each once.
    fn sorted(&mut self) -> Result<Vec<BreachKey>, Error> {
        let mut keys = Vec::new();
        while let Some(key) = self.next()? {
            if keys.len() == MOST_UNSORTED {
                return Err(Error::TooMany);
            }
            keys.push(key);
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    fn located(&self, error: Error) -> Error {
        match error {
            Error::Line { reason, .. } => Error::Line { line: self.number, reason },
            other => other,
        }
    }
}

/// A digest's first half and its count.
fn digest_line(line: &[u8]) -> Option<(BreachKey, u64)> {
    let (digest, count) = std::str::from_utf8(line).ok()?.split_once(':')?;
    if digest.len() != 40 || !digest.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    Some((BreachKey(u64::from_str_radix(&digest[..16], 16).ok()?), count.trim().parse().ok()?))
}

/// The file as it grows: keys come in order and are gathered until their filter is full.
struct Writer {
    out: BufWriter<File>,
    bits: u32,
    table: Vec<u8>,
    end: u64,
    passwords: u64,
    /// The filter that is being gathered for, and its keys.
    current: u64,
    keys: Vec<u64>,
}

impl Writer {
    fn new(file: File, bits: u32) -> io::Result<Self> {
        let end = HEAD + (ENTRY << bits);
        let mut out = BufWriter::new(file);
        out.seek(SeekFrom::Start(end))?;
        let table = Vec::with_capacity((ENTRY << bits) as usize);
        Ok(Self { out, bits, table, end, passwords: 0, current: 0, keys: Vec::new() })
    }

    fn add(&mut self, key: BreachKey) -> Result<(), Error> {
        if self.keys.last() == Some(&key.0) {
            return Ok(());
        }
        let filter = key.filter(self.bits);
        if filter < self.current || self.keys.last().is_some_and(|last| *last > key.0) {
            return Err(Error::Line { line: 0, reason: "not in the order of the digests" });
        }
        self.flush_to(filter)?;
        self.keys.push(key.0);
        Ok(())
    }

    /// Writes what was gathered, and empty filters up to this one.
    fn flush_to(&mut self, filter: u64) -> Result<(), Error> {
        while self.current < filter {
            self.write_filter()?;
            self.current += 1;
        }
        Ok(())
    }

    fn write_filter(&mut self) -> Result<(), Error> {
        if self.keys.is_empty() {
            self.table.extend([0; ENTRY as usize]);
            return Ok(());
        }
        let keys = std::mem::take(&mut self.keys);
        let filter = BinaryFuse16::try_from(&keys).map_err(|_| Error::Unlucky)?;
        if filter.fingerprints.len() > MOST_FINGERPRINTS as usize {
            return Err(Error::Unexpected);
        }
        let mut bytes = vec![0; DESCRIPTOR];
        filter.dma_copy_descriptor_to(&mut bytes);
        bytes.extend(filter.fingerprints.iter().flat_map(|fingerprint| fingerprint.to_le_bytes()));
        self.out.write_all(&bytes)?;
        self.table.extend(self.end.to_le_bytes());
        self.table.extend((filter.fingerprints.len() as u32).to_le_bytes());
        self.table.extend((keys.len() as u32).to_le_bytes());
        self.table.extend(&keyed::sha256(&bytes)[..8]);
        self.end += bytes.len() as u64;
        self.passwords += keys.len() as u64;
        Ok(())
    }

    fn finish(mut self, lines: u64) -> Result<Built, Error> {
        self.flush_to(1 << self.bits)?;
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&MAGIC)?;
        self.out.write_all(&self.bits.to_le_bytes())?;
        self.out.write_all(&[0; 4])?;
        self.out.write_all(&self.passwords.to_le_bytes())?;
        self.out.write_all(&self.end.to_le_bytes())?;
        self.out.write_all(&self.table)?;
        self.out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        Ok(Built { lines, passwords: self.passwords, bytes: self.end })
    }
}
