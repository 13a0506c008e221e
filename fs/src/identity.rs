//! Which file something is, whatever its name.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;

/// Device and inode.
pub(crate) type Id = (u64, u64);

pub(crate) fn id(found: &Metadata) -> Id {
    (found.dev(), found.ino())
}

/// Whoever empties a copy's target would empty its source.
pub(crate) fn refuse_same(source: &Metadata, target: &Metadata) -> io::Result<()> {
    if id(source) != id(target) {
        return Ok(());
    }
    let message = "source and target are the same file, which would be emptied";
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}
