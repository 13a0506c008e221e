//! Directories that are to be watched from now on.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{WatchFlags, add_watch};
use rustix::io::Errno;

use super::super::{Target, cannot_watch};

/// What happens to the directory itself.
pub(super) const SELF: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF);

const EVENTS: WatchFlags = SELF
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::ONLYDIR)
    // A file that has no name any more, and is still open, is nobody's business.
    .union(WatchFlags::EXCL_UNLINK);

/// What the first of several directories may be.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Start {
    /// The one that the user has named.
    MayBeLink,
    /// One that has come since; a link that has taken its place is no directory.
    IsDirectory,
}

#[derive(Default)]
pub(super) struct Added {
    pub(super) dirs: Vec<(i32, PathBuf)>,
    /// Everything that was there.
    pub(super) found: Vec<PathBuf>,
    pub(super) errors: Vec<io::Error>,
}

/// The start, which may be a link.
pub(super) fn root(fd: &OwnedFd, target: &Target) -> io::Result<i32> {
    add_watch(fd, target.dir(), EVENTS).map_err(|errno| cannot_watch(target.dir(), explain(errno)))
}

/// One of those below the start.
pub(super) fn directory(fd: &OwnedFd, path: &Path) -> rustix::io::Result<i32> {
    add_watch(fd, path, EVENTS | WatchFlags::DONT_FOLLOW)
}

/// First the watch, then the look: what comes in between is told twice, not never.
pub(super) fn tree(fd: &OwnedFd, path: PathBuf, start: Start) -> Added {
    let mut added = Added::default();
    let mut dirs = vec![path];
    while let Some(dir) = dirs.pop() {
        let follow = start == Start::MayBeLink && added.dirs.is_empty();
        let shown = if dir.as_os_str().is_empty() { Path::new(".") } else { &dir };
        let watch = if follow { add_watch(fd, shown, EVENTS) } else { directory(fd, shown) };
        match watch {
            Ok(wd) => added.dirs.push((wd, dir.clone())),
            // It is gone again, and that is told.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(errno) => {
                added.errors.push(cannot_watch(&dir, explain(errno)));
                if errno == Errno::NOSPC {
                    // There will not be room for another one.
                    break;
                }
                continue;
            }
        }
        if let Err(error) = look(&dir, shown, &mut dirs, &mut added.found) {
            if error.kind() != io::ErrorKind::NotFound {
                added.errors.push(cannot_watch(&dir, error));
            }
        }
    }
    added
}

fn look(
    dir: &Path,
    shown: &Path,
    dirs: &mut Vec<PathBuf>,
    found: &mut Vec<PathBuf>,
) -> io::Result<()> {
    for entry in std::fs::read_dir(shown)? {
        let entry = entry?;
        let path = dir.join(entry.file_name());
        if entry.file_type().is_ok_and(|file_type| file_type.is_dir()) {
            dirs.push(path.clone());
        }
        found.push(path);
    }
    Ok(())
}

/// Which of the system's limits is reached.
pub(super) fn explain(errno: Errno) -> io::Error {
    let limit = match errno {
        Errno::NOSPC => "fs.inotify.max_user_watches",
        Errno::MFILE => "fs.inotify.max_user_instances, or that of open files",
        _ => return errno.into(),
    };
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), format!("the limit {limit} is reached: raise it ({error})"))
}
