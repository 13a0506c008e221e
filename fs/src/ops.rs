//! One call, one operation.

use std::fs::{Metadata, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use smolkit_runtime::unblock;

use crate::identity::refuse_same;
use crate::now;

/// The absolute path, with all symbolic links followed.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// `NotFound`, `NotADirectory` and the others of `realpath(3)`.
pub async fn canonicalize<P: AsRef<Path>>(path: P) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    unblock(move || std::fs::canonicalize(path)).await
}

/// Copies a file's contents and permissions, in the kernel where it can, and returns how many bytes. An existing `dst` is overwritten.
///
/// # Cancel safety
///
/// A copy that was begun is finished.
///
/// # Errors
///
/// `InvalidInput` if `src` is no regular file, or the same file as `dst`; `NotFound`, `PermissionDenied` and the others of `open(2)` and `write(2)`. `dst` may be incomplete then.
pub async fn copy<P: AsRef<Path>, Q: AsRef<Path>>(src: P, dst: Q) -> io::Result<u64> {
    let (src, dst) = (src.as_ref().to_owned(), dst.as_ref().to_owned());
    unblock(move || {
        // Before std opens them: it would wait for who writes to a FIFO, and empty the target before it reads.
        let found = std::fs::metadata(&src)?;
        if !found.is_file() {
            let message = format!("cannot copy {}: it is no regular file", src.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        if let Ok(former) = std::fs::metadata(&dst) {
            refuse_same(&found, &former)?;
        }
        std::fs::copy(src, dst)
    })
    .await
}

/// Makes a directory.
///
/// # Cancel safety
///
/// Begun, it is finished; before that, it is given up with the future.
///
/// # Errors
///
/// `AlreadyExists`, `NotFound` if the one above is not there, and the others of `mkdir(2)`.
pub async fn create_dir<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    unblock(move || std::fs::create_dir(path)).await
}

/// Makes a directory, and those above it that are not there.
///
/// # Cancel safety
///
/// Begun, it is finished; before that, it is given up with the future.
///
/// # Errors
///
/// Those of `mkdir(2)`, but none if it is there.
pub async fn create_dir_all<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    unblock(move || std::fs::create_dir_all(path)).await
}

/// Makes another name, `dst`, for the file `src`.
///
/// # Cancel safety
///
/// Begun, it is finished; before that, it is given up with the future.
///
/// # Errors
///
/// `AlreadyExists`, `NotFound`, `CrossesDevices` and the others of `link(2)`.
pub async fn hard_link<P: AsRef<Path>, Q: AsRef<Path>>(src: P, dst: Q) -> io::Result<()> {
    let (src, dst) = (src.as_ref().to_owned(), dst.as_ref().to_owned());
    unblock(move || std::fs::hard_link(src, dst)).await
}

/// The metadata of what stands at the path, symbolic links followed.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// `NotFound`, `PermissionDenied` and the others of `stat(2)`.
pub async fn metadata<P: AsRef<Path>>(path: P) -> io::Result<Metadata> {
    now::turn(0).await;
    if let Some(metadata) = now::metadata(path.as_ref(), true) {
        return metadata;
    }
    let path = path.as_ref().to_owned();
    unblock(move || std::fs::metadata(path)).await
}

/// The metadata of what stands at the path; of a symbolic link, its own.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// As [`metadata`].
pub async fn symlink_metadata<P: AsRef<Path>>(path: P) -> io::Result<Metadata> {
    now::turn(0).await;
    if let Some(metadata) = now::metadata(path.as_ref(), false) {
        return metadata;
    }
    let path = path.as_ref().to_owned();
    unblock(move || std::fs::symlink_metadata(path)).await
}

/// Where a symbolic link leads.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Errors
///
/// `InvalidInput` if it is none, and the others of `readlink(2)`.
pub async fn read_link<P: AsRef<Path>>(path: P) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    unblock(move || std::fs::read_link(path)).await
}

/// Removes an empty directory.
///
/// # Cancel safety
///
/// Begun, it is finished; before that, it is given up with the future.
///
/// # Errors
///
/// `DirectoryNotEmpty`, `NotADirectory` and the others of `rmdir(2)`.
pub async fn remove_dir<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    unblock(move || std::fs::remove_dir(path)).await
}

/// Removes a directory and all that is in it. Symbolic links are removed, not followed.
///
/// # Cancel safety
///
/// What was begun is finished.
///
/// # Errors
///
/// Those of `unlink(2)` and `rmdir(2)`; a part may be gone then.
pub async fn remove_dir_all<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    unblock(move || std::fs::remove_dir_all(path)).await
}

/// Removes a file, or a symbolic link.
///
/// # Cancel safety
///
/// Begun, it is finished; before that, it is given up with the future.
///
/// # Errors
///
/// Those of `unlink(2)`.
pub async fn remove_file<P: AsRef<Path>>(path: P) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    unblock(move || std::fs::remove_file(path)).await
}

/// Gives a file or directory another name; what has that name is replaced.
///
/// # Cancel safety
///
/// Begun, it is finished; before that, it is given up with the future.
///
/// # Errors
///
/// `CrossesDevices`, `DirectoryNotEmpty` and the others of `rename(2)`.
pub async fn rename<P: AsRef<Path>, Q: AsRef<Path>>(src: P, dst: Q) -> io::Result<()> {
    let (src, dst) = (src.as_ref().to_owned(), dst.as_ref().to_owned());
    unblock(move || std::fs::rename(src, dst)).await
}

/// Sets the permissions of what stands at the path.
///
/// # Cancel safety
///
/// Begun, it is finished; before that, it is given up with the future.
///
/// # Errors
///
/// Those of `chmod(2)`.
pub async fn set_permissions<P: AsRef<Path>>(path: P, perm: Permissions) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    unblock(move || std::fs::set_permissions(path, perm)).await
}

/// Writes a whole file: creates it, or replaces its contents.
///
/// A failure, or a crash, leaves a part: see [`write_atomic`](crate::write_atomic).
///
/// # Cancel safety
///
/// A write that was begun is finished.
///
/// # Errors
///
/// Those of `open(2)` and `write(2)`.
pub async fn write<P: AsRef<Path>, C: AsRef<[u8]>>(path: P, contents: C) -> io::Result<()> {
    let (path, contents) = (path.as_ref().to_owned(), contents.as_ref().to_owned());
    unblock(move || std::fs::write(path, contents)).await
}
