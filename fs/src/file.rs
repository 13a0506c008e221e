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
/// returned. A seek from the end that is dropped may have moved the position, or may not: seek again. `flush`, `close` and the syncs can be called again.
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
    /// # Cancel safety
    ///
    /// A file that was opened for nobody is closed again.
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
    /// # Cancel safety
    ///
    /// As [`open`](File::open); the file may have been created or emptied.
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
    /// # Cancel safety
    ///
    /// Can be called again. A failure that comes when nobody waits is kept for the next one who asks, as that of a write is.
    ///
    /// # Errors
    ///
    /// That of a write that failed before, and those of `fsync(2)`. After an error of `fsync` it is not known what the disk has.
    pub async fn sync_all(&self) -> Result<()> {
        self.synced(std::fs::File::sync_all).await
    }

    /// Waits for all writes, and until the disk has the contents.
    ///
    /// # Cancel safety
    ///
    /// As [`sync_all`](File::sync_all).
    ///
    /// # Errors
    ///
    /// As [`sync_all`](File::sync_all).
    pub async fn sync_data(&self) -> Result<()> {
        self.synced(std::fs::File::sync_data).await
    }

    /// Waits for all writes, and sets the file's length.
    ///
    /// # Cancel safety
    ///
    /// Begun, it is finished; before that, it is given up with the future.
    ///
    /// # Errors
    ///
    /// That of a write that failed before, and those of `ftruncate(2)`.
    pub async fn set_len(&self, size: u64) -> Result<()> {
        self.flushed().await?;
        let behind = self.io.behind.clone();
        unblock(move || behind.beside(|file| file.set_len(size))).await
    }

    /// The file's metadata. Writes that were not flushed may not be in its length.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of `fstat(2)`.
    pub async fn metadata(&self) -> Result<Metadata> {
        now::turn(0).await;
        if let Some(metadata) = now::file_metadata(&self.file) {
            return metadata;
        }
        let file = self.file.clone();
        unblock(move || file.metadata()).await
    }

    /// Sets the file's permissions.
    ///
    /// # Cancel safety
    ///
    /// Begun, it is finished; before that, it is given up with the future.
    ///
    /// # Errors
    ///
    /// Those of `fchmod(2)`.
    pub async fn set_permissions(&self, perm: Permissions) -> Result<()> {
        let file = self.file.clone();
        unblock(move || file.set_permissions(perm)).await
    }

    /// Waits for all writes, and for a read that was dropped, and gives the file back as one of `std`, at the same position.
    ///
    /// What has no position, such as a pipe, does not wait for a read that was dropped: what that reads is lost, and so is what was read ahead.
    ///
    /// # Cancel safety
    ///
    /// As when the file is dropped: writes go on, and a failure is logged.
    ///
    /// # Errors
    ///
    /// That of a write that failed before, and those of `lseek(2)`: then the file is closed.
    pub async fn into_std(mut self) -> Result<std::fs::File> {
        self.flushed().await?;
        poll_fn(|cx| self.io.poll_settle(cx)).await?;
        let File { file, io } = self;
        drop(io);
        // Another reference is with a call at a position that was cancelled.
        Arc::try_unwrap(file).or_else(|file| file.try_clone())
    }

    async fn synced(&self, sync: fn(&std::fs::File) -> Result<()>) -> Result<()> {
        self.flushed().await?;
        let behind = self.io.behind.clone();
        // The kernel tells a failure once, and who waits for it may have gone by then: so it is kept with those of writes.
        unblock(move || behind.sync(sync)).await;
        self.flushed().await
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
