//! Files that others exchange while we read them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{TlsError, pem};

/// So often, before it is an error, files may be exchanged while they are read.
const ATTEMPTS: usize = 5;

/// Files that have changed so shortly before may change once more without a trace: times are coarse, on some filesystems whole seconds.
const UNSETTLED: Duration = Duration::from_secs(2);

/// What tells two states of some files apart, without reading them.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    files: Vec<Marks>,
    is_settled: bool,
}

/// The file that a path leads to. A symlink that is exchanged (as Kubernetes does) leads to another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    device: u64,
    number: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(paths: &[&Path]) -> Result<Stamp, TlsError> {
        let mut files = Vec::with_capacity(paths.len());
        let mut is_settled = true;
        for &path in paths {
            let metadata = fs::metadata(path)
                .map_err(|source| TlsError::File { path: path.to_owned(), source })?;
            files.push(Marks::of(&metadata));
            is_settled &= is_old(&metadata).unwrap_or(false);
        }
        Ok(Stamp { files, is_settled })
    }

    /// Whether the files are certainly the same. If they cannot be looked at, reading them will say why.
    pub(crate) fn still_holds(&self, paths: &[&Path]) -> bool {
        self.is_settled && Stamp::of(paths).is_ok_and(|now| now.files == self.files)
    }
}

impl Marks {
    fn of(metadata: &fs::Metadata) -> Marks {
        Marks {
            device: metadata.dev(),
            number: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn is_old(metadata: &fs::Metadata) -> io::Result<bool> {
    let age = SystemTime::now().duration_since(metadata.modified()?);
    Ok(age.is_ok_and(|age| age >= UNSETTLED))
}

/// Reads all, again if one of them is exchanged meanwhile: a certificate would come with the key of another one.
pub(crate) fn read_together(paths: &[&Path]) -> Result<(Vec<Vec<u8>>, Stamp), TlsError> {
    for _ in 0..ATTEMPTS {
        let stamp = Stamp::of(paths)?;
        let texts = paths.iter().map(|path| pem::read(path)).collect::<Result<_, _>>()?;
        if Stamp::of(paths)?.files == stamp.files {
            return Ok((texts, stamp));
        }
    }
    let source = io::Error::other("it is exchanged again and again while it is read");
    Err(TlsError::File { path: paths[0].to_owned(), source })
}
