//! An open file.

mod io;

use std::fmt;
use std::fs::{Metadata, Permissions};
use std::future::poll_fn;
use std::io::{Result, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncSeek, AsyncWrite};
use smolkit_runtime::unblock;

use self::io::Io;
use crate::{OpenOptions, now};

/// An open file.
///
/// # Writing
///
/// A write returns when the bytes have been taken over; they are written behind the caller's back, at once. Whether that succeeded is told by `flush`, `close`,
/// [`sync_all`](File::sync_all), [`sync_data`](File::sync_data), or the next write or seek: the first that is called after it has failed. What was taken over after the
/// failure is lost, too. A file that is dropped without any of these is written to its end all the same, as long as the program lives; a failure is then logged
/// with `tracing`, because nobody is left to be told.
///
/// # Reading
///
/// A file that is read in small pieces is read ahead, 128 KiB at most. What was read ahead is not handed out after a seek, a write or a change of the length through the same `File`.
///
/// # Cancel safety
///
/// A read that is dropped has read nothing, unless it had returned: what comes late is handed out by the next one. A write that is dropped has written nothing, unless it had
/// returned. `flush` and `close` can be called again.
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncSeekExt};
/// use smolkit_fs::File;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let mut file = File::open("Cargo.toml").await?;
///     let mut start = [0; 9];
///     file.read_exact(&mut start).await?;
///     assert_eq!(&start, b"[package]");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct File {
    pub(crate) file: Arc<std::fs::File>,
    pub(crate) io: Io,
}

impl File {
    pub(crate) fn new(file: std::fs::File) -> File {
        let file = Arc::new(file);
        File { io: Io::new(file.clone()), file }
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied` and the others of `open(2)`.
    pub async fn open<P: AsRef<Path>>(path: P) -> Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).open(path).await
    }

    /// Opens a file for writing. It is created if it is not there, and emptied if it is.
    ///
    /// # Errors
    ///
    /// As [`open`](File::open).
    pub async fn create<P: AsRef<Path>>(path: P) -> Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).open(path).await
    }

    /// Waits for all writes, and until the disk has everything: contents and metadata.
    ///
    /// # Errors
    ///
    /// That of a write that failed before, and those of `fsync(2)`. After an error of `fsync` it is not known what the disk has.
    pub async fn sync_all(&self) -> Result<()> {
        self.flushed().await?;
        let file = self.file.clone();
        unblock(move || file.sync_all()).await
    }

    /// Waits for all writes, and until the disk has the contents.
    ///
    /// # Errors
    ///
    /// As [`sync_all`](File::sync_all).
    pub async fn sync_data(&self) -> Result<()> {
        self.flushed().await?;
        let file = self.file.clone();
        unblock(move || file.sync_data()).await
    }

    /// Waits for all writes, and sets the file's length.
    ///
    /// # Errors
    ///
    /// That of a write that failed before, and those of `ftruncate(2)`.
    pub async fn set_len(&self, size: u64) -> Result<()> {
        self.flushed().await?;
        let file = self.file.clone();
        self.io.outdate();
        let result = unblock(move || file.set_len(size)).await;
        self.io.outdate();
        result
    }

    /// The file's metadata. Writes that were not flushed may not be in its length.
    ///
    /// # Errors
    ///
    /// Those of `fstat(2)`.
    pub async fn metadata(&self) -> Result<Metadata> {
        if let Some(metadata) = now::file_metadata(&self.file) {
            return metadata;
        }
        let file = self.file.clone();
        unblock(move || file.metadata()).await
    }

    /// Sets the file's permissions.
    ///
    /// # Errors
    ///
    /// Those of `fchmod(2)`.
    pub async fn set_permissions(&self, perm: Permissions) -> Result<()> {
        let file = self.file.clone();
        unblock(move || file.set_permissions(perm)).await
    }

    /// Waits for all writes, and gives the file back as one of `std`.
    ///
    /// # Errors
    ///
    /// That of a write that failed before: then the file is closed.
    pub async fn into_std(self) -> Result<std::fs::File> {
        self.flushed().await?;
        let File { file, io } = self;
        drop(io);
        // Another reference is with a read that was cancelled, or with one at a position.
        Arc::try_unwrap(file).or_else(|file| file.try_clone())
    }

    pub(crate) async fn flushed(&self) -> Result<()> {
        poll_fn(|cx| self.io.behind.poll_flush(cx)).await
    }
}

impl AsyncRead for File {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize>> {
        self.io.poll_read(cx, buffer)
    }
}

impl AsyncWrite for File {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        self.io.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.io.behind.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.io.behind.poll_flush(cx)
    }
}

impl AsyncSeek for File {
    fn poll_seek(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: SeekFrom,
    ) -> Poll<Result<u64>> {
        self.io.poll_seek(cx, to)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> File {
        File::new(file)
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> File {
        File::new(fd.into())
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
