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
//! - [`File::read_at`], [`File::write_at`]: at a position, without moving. [`write_atomic`]: all or nothing. [`read_within`]: with a limit.
//!   [`File::lock`]: advisory locks.
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
//! | written and on its way, per file | 512 KiB |
//! | entries of a directory read at once | 128 |
//!
//! # Cancel safety
//!
//! What runs on another thread runs to its end, even if the future that waits for it is dropped: a file that was to be created may be there, and one that was to be opened is closed again.
//! Reads lose nothing: what comes is handed out by the next one.

#![forbid(unsafe_code)]

mod atomic;
mod behind;
mod dir;
mod file;
mod lock;
mod now;
mod ops;
mod options;
mod position;
mod read;
pub mod unix;

#[doc(no_inline)]
pub use std::fs::{FileType, Metadata, Permissions};

pub use self::atomic::write_atomic;
pub use self::dir::{DirBuilder, DirEntry, ReadDir, read_dir};
pub use self::file::File;
pub use self::lock::FileLock;
pub use self::ops::{
    canonicalize, copy, create_dir, create_dir_all, hard_link, metadata, read_link, remove_dir,
    remove_dir_all, remove_file, rename, set_permissions, symlink_metadata, write,
};
pub use self::options::OpenOptions;
pub use self::read::{read, read_to_string, read_within};

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::OpenOptions {}
    impl Sealed for super::File {}
    impl Sealed for super::DirBuilder {}
    impl Sealed for super::DirEntry {}
}
