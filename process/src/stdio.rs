//! Our ends of a child's pipes.

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use smolkit_runtime::Async;

use crate::room::Room;

/// Where to write to a child.
///
/// Dropping it, or closing it with the other methods of [`AsyncWrite`] and then dropping it, lets the child read the end.
///
/// # Cancel safety
///
/// A write that is dropped has written nothing, unless it had returned.
///
/// # Errors
///
/// `BrokenPipe` when nobody reads any more.
///
/// # Platform
///
/// Rust programs ignore SIGPIPE. Where it has its default action all the same, a write to a pipe that nobody reads ends the process, but
/// not on Linux 6.18 and newer, where writes ask for no signal.
#[derive(Debug)]
pub struct ChildStdin(Async<std::process::ChildStdin>, Room);

impl AsyncWrite for ChildStdin {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wanted = buffers.iter().map(|buffer| buffer.len()).sum();
        let polled = this.0.poll_write_stream(cx, wanted, |pipe| write_vectored(pipe, buffers));
        this.1.count(&this.0, &polled);
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A pipe has no buffer on our side.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Writes to a pipe, without SIGPIPE where the system can.
#[cfg(target_os = "linux")]
fn write_vectored(mut pipe: &std::process::ChildStdin, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::io::{Errno, ReadWriteFlags, pwritev2};

    /// `RWF_NOSIGNAL` of Linux 6.18, `uapi/linux/fs.h`.
    const NO_SIGNAL: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x100);
    /// "Where the descriptor stands", `pwritev2(2)`.
    const HERE: u64 = u64::MAX;

    static IS_UNKNOWN: AtomicBool = AtomicBool::new(false);
    if !IS_UNKNOWN.load(Ordering::Relaxed) {
        match pwritev2(pipe, bufs, HERE, NO_SIGNAL) {
            // A hint for the next call; who misses it asks in vain once more.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
                IS_UNKNOWN.store(true, Ordering::Relaxed);
            }
            result => return Ok(result?),
        }
    }
    pipe.write_vectored(bufs)
}

#[cfg(not(target_os = "linux"))]
fn write_vectored(mut pipe: &std::process::ChildStdin, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    pipe.write_vectored(bufs)
}

/// Where to read what a child writes to its standard output.
///
/// # Cancel safety
///
/// A read that is dropped has read nothing, unless it had returned.
#[derive(Debug)]
pub struct ChildStdout(Async<std::process::ChildStdout>, Room);

/// Where to read what a child writes to its standard error.
///
/// # Cancel safety
///
/// A read that is dropped has read nothing, unless it had returned.
#[derive(Debug)]
pub struct ChildStderr(Async<std::process::ChildStderr>, Room);

macro_rules! reads {
    ($($type:ident),*) => {
        $(
            impl AsyncRead for $type {
                fn poll_read(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    buf: &mut [u8],
                ) -> Poll<io::Result<usize>> {
                    // Fewer bytes than wanted: the pipe is empty, or the writer has gone, of which an event tells.
                    let this = self.get_mut();
                    let wanted = buf.len();
                    let read = |pipe: &std::process::$type| Ok(rustix::io::read(pipe, &mut *buf)?);
                    let polled = this.0.poll_read_stream(cx, wanted, read);
                    this.1.count(&this.0, &polled);
                    polled
                }

                fn poll_read_vectored(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    bufs: &mut [IoSliceMut<'_>],
                ) -> Poll<io::Result<usize>> {
                    let this = self.get_mut();
                    let polled = this.0.poll_read_with(cx, |pipe| Ok(rustix::io::readv(pipe, bufs)?));
                    this.1.count(&this.0, &polled);
                    polled
                }
            }
        )*
    };
}

reads!(ChildStdout, ChildStderr);

macro_rules! pipes {
    ($($type:ident),*) => {
        $(
            impl $type {
                pub(crate) fn new(pipe: std::process::$type) -> io::Result<$type> {
                    // Our end only: the child's is another description of the pipe.
                    rustix::io::ioctl_fionbio(&pipe, true)?;
                    Ok($type(Async::new_unregistered(pipe), Room::default()))
                }

                /// Makes it another process's standard input or output. It never waits.
                ///
                /// # Errors
                ///
                /// When the system refuses to put it back into blocking mode, which other programs expect.
                #[allow(clippy::unused_async)] // async-process's signature
                pub async fn into_stdio(self) -> io::Result<Stdio> {
                    let pipe = self.0.into_inner()?;
                    rustix::io::ioctl_fionbio(&pipe, false)?;
                    Ok(pipe.into())
                }
            }

            impl AsFd for $type {
                fn as_fd(&self) -> BorrowedFd<'_> {
                    self.0.as_fd()
                }
            }

            impl AsRawFd for $type {
                fn as_raw_fd(&self) -> RawFd {
                    self.0.as_raw_fd()
                }
            }

            impl TryFrom<$type> for OwnedFd {
                type Error = io::Error;

                /// The descriptor, still in non-blocking mode.
                fn try_from(pipe: $type) -> io::Result<OwnedFd> {
                    pipe.0.try_into()
                }
            }
        )*
    };
}

pipes!(ChildStdin, ChildStdout, ChildStderr);
