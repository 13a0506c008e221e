//! What a copy has come to.

use std::error::Error;
use std::fmt;
use std::io;

use crate::EntryError;

/// More failures are counted, but not kept.
const ERRORS_MAX: usize = 100;

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// Regular files.
    pub files: u64,
    /// Directories, those among them that were there already.
    pub dirs: u64,
    /// Symbolic links that were made anew.
    pub links: u64,
    /// Bytes of all files together.
    pub bytes: u64,
}

impl Copied {
    pub(super) fn add(&mut self, other: &Copied) {
        self.files += other.files;
        self.dirs += other.dirs;
        self.links += other.links;
        self.bytes += other.bytes;
    }
}

/// What failed, and what was copied all the same.
///
/// Turns into an [`io::Error`] with the kind of the first failure, so that `?` works.
#[derive(Debug, Default)]
pub struct CopyError {
    pub(super) copied: Copied,
    errors: Vec<EntryError>,
    count: u64,
}

impl CopyError {
    pub(super) fn add(&mut self, error: EntryError) {
        self.count += 1;
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(error);
        }
    }

    pub(super) fn into_result(self) -> Result<Copied, CopyError> {
        if self.count == 0 { Ok(self.copied) } else { Err(self) }
    }

    /// What was copied.
    pub fn copied(&self) -> &Copied {
        &self.copied
    }

    /// The failures, in the order in which they were found; the first 100.
    pub fn errors(&self) -> &[EntryError] {
        &self.errors
    }

    /// How many failures there were.
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(first) = self.errors.first() {
            first.fmt(f)?;
        }
        match self.count {
            0 | 1 => Ok(()),
            count => write!(f, " (and {} more failures)", count - 1),
        }
    }
}

impl Error for CopyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.errors.first().map(|error| error as _)
    }
}

impl From<CopyError> for io::Error {
    fn from(error: CopyError) -> io::Error {
        let kind = error.errors.first().map_or(io::ErrorKind::Other, EntryError::kind);
        io::Error::new(kind, error)
    }
}
