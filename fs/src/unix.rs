//! What only Unix has.

use std::io;
use std::path::Path;

use smolkit_runtime::unblock;

use crate::sealed::Sealed;

#[doc(no_inline)]
pub use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

/// Makes a symbolic link at `dst` that leads to `src`.
///
/// # Cancel safety
///
/// Begun, it is finished; before that, it is given up with the future.
///
/// # Errors
///
/// Those of `symlink(2)`.
pub async fn symlink<P: AsRef<Path>, Q: AsRef<Path>>(src: P, dst: Q) -> io::Result<()> {
    let (src, dst) = (src.as_ref().to_owned(), dst.as_ref().to_owned());
    unblock(move || std::os::unix::fs::symlink(src, dst)).await
}

/// Permissions, for [`DirBuilder`](crate::DirBuilder).
pub trait DirBuilderExt: Sealed {
    /// Sets the permissions of directories that are made; the process's mask is taken off. Default: 0o777.
    fn mode(&mut self, mode: u32) -> &mut Self;
}

/// Numbers, for [`DirEntry`](crate::DirEntry).
pub trait DirEntryExt: Sealed {
    /// The number of the inode.
    fn ino(&self) -> u64;
}

/// Permissions and flags, for [`OpenOptions`](crate::OpenOptions).
pub trait OpenOptionsExt: Sealed {
    /// Sets the permissions of a file that is created; the process's mask is taken off. Default: 0o666.
    fn mode(&mut self, mode: u32) -> &mut Self;

    /// Sets further flags for `open(2)`; those of the access mode are left out.
    fn custom_flags(&mut self, flags: i32) -> &mut Self;
}
