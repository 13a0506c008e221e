//! Files and directories for smolkit, on any executor.
//!
//! ```
//! use futures_lite::{AsyncReadExt, AsyncWriteExt};
//! use smolkit_fs as fs;
//! # use smolkit_runtime as smolkit;
//!
//! # let dir = std::env::temp_dir().join(format!("smolkit-fs-crate-{}", std::process::id()));
//! smolkit::block_on(async {
//!     fs::create_dir_all(&dir).await?;
//!     let mut file = fs::File::create(dir.join("greeting")).await?;
//!     file.write_all(b"hello").await?;
//!     // Before this, nothing says that the write has succeeded.
//!     file.flush().await?;
//!     assert_eq!(fs::read_to_string(dir.join("greeting")).await?, "hello");
//!     fs::remove_dir_all(&dir).await
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! - [`File`], [`OpenOptions`], [`DirBuilder`], [`ReadDir`], [`read`], [`write()`]...: names and signatures of async-fs.
//! - [`File::read_at`], [`File::write_at`]: at a position, without moving. [`write_atomic`]: all or nothing. [`read_within`], [`read_to_string_within`]: with a limit.
//!   [`File::lock`]: advisory locks.
//! - [`walk`]: a directory and all below it, in a fixed order. [`copy_dir`]: the same, copied. Both tell each failure with its path.
//! - [`watch`]: what happens in a directory, as it happens.
//! - [`TempDir`], [`TempFile`], [`temp_file`]: gone when they are dropped.
//!
//! # What blocks, and where
//!
//! What the kernel can do at once is done on the calling thread, without a context switch: reading what is in the page cache (`preadv2` with `RWF_NOWAIT`), opening for
//! reading and asking about a path that is in the dentry cache (`openat2` with `RESOLVE_CACHED`) on a local filesystem. The kernel says so if it would
//! have to wait; that, and everything else, runs on the threads of [`unblock`](smolkit_runtime::unblock). Other systems than Linux have no such promise: there everything does.
//!
//! # Limits
//!
//! | what | limit |
//! |---|---|
//! | read or copied at once on the calling thread | 1 MiB |
//! | read ahead of a file that is read in small pieces | 128 KiB |
//! | written and on its way, per file | 1 MiB |
//! | entries of a directory read at once | 128 |
//! | directories that a walk reads at once, files that a copy of a directory copies at once | 8, or as [`WalkOptions`] and [`CopyOptions`] say |
//! | done on the calling thread before the task waits for its next turn | 64 operations; 16 KiB of a file count as one more |
//! | failures that a copy of a directory keeps; more are counted | 100 |
//!
//! # Cancel safety
//!
//! What runs on another thread runs to its end, even if the future that waits for it is dropped: a file that was to be created may be there, and one that was to be opened is closed again.
//! Reads lose nothing: what comes is handed out by the next one.
//!
//! # Panics
//!
//! After [`blocking::shutdown`](smolkit_runtime::blocking::shutdown) whatever needs a thread panics, as [`unblock`](smolkit_runtime::unblock) does; but writes
//! to a [`File`] are told as errors, as all that are lost.

#![forbid(unsafe_code)]

mod again;
mod atomic;
mod behind;
mod copy_dir;
mod dir;
mod entry_error;
mod file;
mod identity;
mod lock;
mod now;
mod ops;
mod options;
mod position;
mod read;
mod temp;
pub mod unix;
mod walk;
mod watch;

#[doc(no_inline)]
pub use std::fs::{FileType, Metadata, Permissions};

pub use self::atomic::write_atomic;
pub use self::copy_dir::{Copied, CopyError, CopyOptions, copy_dir};
pub use self::dir::{DirBuilder, DirEntry, ReadDir, read_dir};
pub use self::entry_error::EntryError;
pub use self::file::File;
pub use self::lock::FileLock;
pub use self::ops::{
    canonicalize, copy, create_dir, create_dir_all, hard_link, metadata, read_link, remove_dir,
    remove_dir_all, remove_file, rename, set_permissions, symlink_metadata, write,
};
pub use self::options::OpenOptions;
pub use self::read::{read, read_to_string, read_to_string_within, read_within};
pub use self::temp::{TempDir, TempFile, TempOptions, temp_file};
pub use self::walk::{Walk, WalkEntry, WalkOptions, walk};
pub use self::watch::{WatchEvent, WatchOptions, Watcher, watch};

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::OpenOptions {}
    impl Sealed for super::File {}
    impl Sealed for super::DirBuilder {}
    impl Sealed for super::DirEntry {}
}
