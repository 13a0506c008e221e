//! A temporary file.

use std::io;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use smolkit_runtime::unblock;
use tempfile::{NamedTempFile, TempPath};

use super::{TempOptions, remove_later};
use crate::File;

/// A file without a name, for reading and writing: it takes no place any more when it is closed, even if the program is killed.
///
/// # Cancel safety
///
/// What was made for nobody is closed, and so is gone.
///
/// # Errors
///
/// Those of `open(2)`.
pub async fn temp_file() -> io::Result<File> {
    Ok(File::from(unblock(tempfile::tempfile).await?))
}

/// A [`File`] with a name that is removed when this is closed or dropped, unless it was [persisted](TempFile::persist).
///
/// # Dropping
///
/// [`close`](TempFile::close) waits for the removal and says whether it succeeded. Without it, a thread that may block removes the file, and a failure is logged with
/// `tracing`; a program that ends at once may leave the file behind.
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncWriteExt;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let mut file = smolkit_fs::TempFile::new().await?;
///     file.write_all(b"for a while").await?;
///     file.flush().await?;
///     assert_eq!(smolkit_fs::read_to_string(file.path()).await?, "for a while");
///     file.close().await
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TempFile {
    file: File,
    name: Name,
}

/// `None` when it was taken out to be removed or kept.
#[derive(Debug)]
struct Name(Option<TempPath>);

impl Name {
    fn take(mut self) -> TempPath {
        self.0.take().expect("only this takes it out")
    }
}

impl TempFile {
    pub(super) fn wrap(inner: NamedTempFile) -> TempFile {
        let (file, path) = inner.into_parts();
        TempFile { file: File::from(file), name: Name(Some(path)) }
    }

    /// Makes one in [`std::env::temp_dir`].
    ///
    /// # Cancel safety
    ///
    /// One that was made for nobody is removed again.
    ///
    /// # Errors
    ///
    /// Those of `open(2)`.
    pub async fn new() -> io::Result<TempFile> {
        TempOptions::new().create_file().await
    }

    /// Makes one in `dir`.
    ///
    /// # Cancel safety
    ///
    /// As [`new`](TempFile::new).
    ///
    /// # Errors
    ///
    /// As [`new`](TempFile::new).
    pub async fn new_in<P: AsRef<Path>>(dir: P) -> io::Result<TempFile> {
        TempOptions::new().within(dir).create_file().await
    }

    /// The path.
    pub fn path(&self) -> &Path {
        self.name.0.as_ref().expect("only what consumes it takes it out")
    }

    /// Waits for all writes, and gives the file the name `path` for good; what had that name is replaced.
    ///
    /// Both must be on the same filesystem. To outlive a crash, call [`sync_all`](File::sync_all) first. The permissions stay those of its owner alone.
    ///
    /// # Cancel safety
    ///
    /// The file has one name or the other, or is removed if the renaming had not begun.
    ///
    /// # Errors
    ///
    /// That of a write that failed before, and those of `rename(2)`; `CrossesDevices` is the usual one. The file is removed then.
    pub async fn persist<P: AsRef<Path>>(self, path: P) -> io::Result<File> {
        self.file.flushed().await?;
        let TempFile { file, name } = self;
        let (from, to) = (name.take(), path.as_ref().to_owned());
        unblock(move || from.persist(to)).await?;
        Ok(file)
    }

    /// Waits for all writes, and removes the file.
    ///
    /// # Cancel safety
    ///
    /// The file is removed.
    ///
    /// # Errors
    ///
    /// That of a write that failed before, and those of `unlink(2)`.
    pub async fn close(self) -> io::Result<()> {
        let written = self.file.flushed().await;
        let path = self.name.take();
        let removed = unblock(move || path.close()).await;
        written.and(removed)
    }
}

impl Deref for TempFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl DerefMut for TempFile {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.file
    }
}

impl AsRef<Path> for TempFile {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            remove_later("file", path.to_path_buf(), || path.close());
        }
    }
}
