//! A temporary directory.

use std::io;
use std::path::{Path, PathBuf};

use smolkit_runtime::unblock;

use super::{TempOptions, remove_later};

/// A directory that is removed, with all that is in it, when this is closed or dropped.
///
/// # Dropping
///
/// [`close`](TempDir::close) waits for the removal and says whether it succeeded. Without it, a thread that may block removes the directory, and a failure is logged with `tracing`; a
/// program that ends at once may leave the directory behind.
///
/// # Examples
///
/// ```
/// # use smolkit_runtime as smolkit;
/// smolkit::block_on(async {
///     let dir = smolkit_fs::TempDir::new().await?;
///     smolkit_fs::write(dir.path().join("scratch"), "for a while").await?;
///     let path = dir.path().to_owned();
///     dir.close().await?;
///     assert!(!path.exists());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TempDir {
    /// `None` when it was taken out to be removed or kept.
    inner: Option<tempfile::TempDir>,
}

impl TempDir {
    pub(super) fn wrap(inner: tempfile::TempDir) -> TempDir {
        TempDir { inner: Some(inner) }
    }

    /// Makes one in [`std::env::temp_dir`].
    ///
    /// # Cancel safety
    ///
    /// One that was made for nobody is removed again.
    ///
    /// # Errors
    ///
    /// Those of `mkdir(2)`.
    pub async fn new() -> io::Result<TempDir> {
        TempOptions::new().create_dir().await
    }

    /// Makes one in `dir`.
    ///
    /// # Cancel safety
    ///
    /// As [`new`](TempDir::new).
    ///
    /// # Errors
    ///
    /// As [`new`](TempDir::new).
    pub async fn new_in<P: AsRef<Path>>(dir: P) -> io::Result<TempDir> {
        TempOptions::new().within(dir).create_dir().await
    }

    /// The path.
    pub fn path(&self) -> &Path {
        self.inner.as_ref().expect("only what consumes it takes it out").path()
    }

    /// Removes the directory, and all that is in it.
    ///
    /// # Cancel safety
    ///
    /// What was begun is finished.
    ///
    /// # Errors
    ///
    /// Those of `unlink(2)` and `rmdir(2)`; a part may be left then.
    pub async fn close(mut self) -> io::Result<()> {
        let inner = self.inner.take().expect("only what consumes it takes it out");
        unblock(move || inner.close()).await
    }

    /// Keeps the directory: it is not removed.
    pub fn keep(mut self) -> PathBuf {
        self.inner.take().expect("only what consumes it takes it out").keep()
    }
}

impl AsRef<Path> for TempDir {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            remove_later("directory", inner.path().to_owned(), || inner.close());
        }
    }
}
