//! One directory's contents, read on a thread that may block.

use std::fs::{DirEntry, FileType};
use std::io;
use std::path::{Path, PathBuf};

use smolkit_runtime::{Task, unblock};

use crate::identity::{Id, id};

/// Which directory it is, if somebody wants to know, and what is in it.
pub(super) type Listing = io::Result<(Option<Id>, Vec<Found>)>;

pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) file_type: io::Result<FileType>,
}

impl Found {
    pub(super) fn is_dir(&self) -> bool {
        self.file_type.as_ref().is_ok_and(FileType::is_dir)
    }
}

pub(super) fn start(path: PathBuf, follow_links: bool) -> Task<Listing> {
    unblock(move || list(&path, follow_links))
}

fn list(path: &Path, follow_links: bool) -> Listing {
    // Without following links no directory can be met twice on a path.
    let id = match follow_links {
        true => std::fs::metadata(path).map(|found| Some(id(&found)))?,
        false => None,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        match entry {
            Ok(entry) => {
                let file_type = file_type(&entry, follow_links);
                found.push(Found { path: entry.path(), file_type });
            }
            // What came before it is not lost.
            Err(error) => {
                found.push(Found { path: path.to_owned(), file_type: Err(error) });
                break;
            }
        }
    }
    // All have the same parent, so this is the order of the names, byte by byte.
    found.sort_unstable_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    Ok((id, found))
}

fn file_type(entry: &DirEntry, follow_links: bool) -> io::Result<FileType> {
    let file_type = entry.file_type()?;
    if !follow_links || !file_type.is_symlink() {
        return Ok(file_type);
    }
    match std::fs::metadata(entry.path()) {
        Ok(target) => Ok(target.file_type()),
        // It leads nowhere: then it stands for itself.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(file_type),
        Err(error) => Err(error),
    }
}
