//! What failed, and where: for operations on many files.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The failure of one entry of a directory tree; the others are not touched by it.
///
/// Turns into an [`io::Error`] of the same kind and with the same message, so that `?` works.
#[derive(Debug)]
pub struct EntryError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl EntryError {
    /// `what`: "cannot read the directory".
    pub(crate) fn new(what: &'static str, path: PathBuf, source: io::Error) -> EntryError {
        EntryError { what, path, source }
    }

    /// The path of the entry.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the system said.
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }

    /// The kind of what the system said.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.what, self.path.display(), self.source)
    }
}

impl Error for EntryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl From<EntryError> for io::Error {
    fn from(error: EntryError) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}
