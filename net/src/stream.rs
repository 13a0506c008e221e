//! What all stream sockets have in common: how bytes go in and out, and the I/O traits, written once.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use smolkit_runtime::Async;

/// A connected stream socket: [`TcpStream`](crate::TcpStream) or [`UnixStream`](crate::unix::UnixStream).
///
/// It cannot be implemented outside of this crate.
///
/// # Examples
///
/// ```
/// use std::fs::File;
/// use std::io;
/// use smolkit_net::unix::UnixStream;
/// use smolkit_net::{FileRange, StreamSocket, copy};
/// # use smolkit_runtime as smolkit;
///
/// /// Sends a file, by whatever the client has come.
/// async fn send(file: &File, to: &impl StreamSocket) -> io::Result<u64> {
///     copy(&FileRange::new(file, ..), to).await
/// }
///
/// let file = File::open("Cargo.toml")?;
/// let (socket, _peer) = UnixStream::pair()?;
/// assert_eq!(smolkit::block_on(send(&file, &socket))?, file.metadata()?.len());
/// # io::Result::Ok(())
/// ```
pub trait StreamSocket: socket::Socket {}

/// Keeps the trait's methods out of the public interface.
pub(crate) mod socket {
    use super::*;

    pub trait Socket: Clone + Send + Sync + Unpin + 'static {
        /// The socket's type in `std`.
        type Io: AsFd + Send + Sync;

        fn io(&self) -> &Async<Self::Io>;

        /// Whether both are the same connection, not merely equal.
        fn is_same(&self, other: &Self) -> bool;

        fn shut(&self, how: Shutdown) -> io::Result<()>;

        fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

        /// Fills the first bytes of `buf`, as many as it returns.
        fn poll_recv_uninit(
            &self,
            cx: &mut Context<'_>,
            buf: &mut [MaybeUninit<u8>],
        ) -> Poll<io::Result<usize>>;

        fn poll_recv_vectored(
            &self,
            cx: &mut Context<'_>,
            bufs: &mut [IoSliceMut<'_>],
        ) -> Poll<io::Result<usize>>;

        fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.io().poll_write_stream(cx, buf.len(), |io| {
                rustix::net::send(io, buf, NO_SIGNAL).map_err(not_sent)
            })
        }

        fn poll_send_vectored(
            &self,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            // The system takes no more; the caller comes again with the rest.
            let bufs = &bufs[..bufs.len().min(IOV_MAX)];
            let wanted = wanted(bufs.iter().map(|buf| buf.len()));
            self.io().poll_write_stream(cx, wanted, |io| {
                // `writev` could not be told to spare us SIGPIPE.
                let mut control = SendAncillaryBuffer::default();
                rustix::net::sendmsg(io, bufs, &mut control, NO_SIGNAL).map_err(not_sent)
            })
        }

        fn poll_close_write(&self) -> Poll<io::Result<()>> {
            Poll::Ready(self.shut(Shutdown::Write))
        }
    }
}

/// A closed peer is an error, not a signal, also in programs that have set SIGPIPE back to its default.
#[cfg(not(target_vendor = "apple"))]
pub(crate) const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
/// Here std has set `SO_NOSIGPIPE` on the socket.
#[cfg(target_vendor = "apple")]
pub(crate) const NO_SIGNAL: SendFlags = SendFlags::empty();

/// A connection that was to be opened by the first write, and could not take its bytes along (TCP_FASTOPEN_CONNECT), takes them when it is there.
fn not_sent(errno: Errno) -> io::Error {
    match errno {
        Errno::INPROGRESS => io::ErrorKind::WouldBlock.into(),
        errno => errno.into(),
    }
}

/// So many buffers Linux and the BSDs take at a time (`limits.h`); more are an error of `recvmsg` and `sendmsg`.
pub(crate) const IOV_MAX: usize = 1_024;

/// How many bytes a vectored call would move if it could. POSIX allows the system to take 16 buffers at a time;
/// beyond that a short count says nothing, and 0 makes it so.
pub(crate) fn wanted(lens: impl ExactSizeIterator<Item = usize>) -> usize {
    if lens.len() <= 16 { lens.sum() } else { 0 }
}

/// The reading traits of everybody's for `$type`, whose socket is `$socket` of `$this`.
macro_rules! impl_read {
    ([$($generics:tt)*] $type:ty, |$this:ident| $socket:expr) => {
        impl<$($generics)*> futures_io::AsyncRead for $type {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = &*self;
                $crate::stream::socket::Socket::poll_recv($socket, cx, buf)
            }

            fn poll_read_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = &*self;
                $crate::stream::socket::Socket::poll_recv_vectored($socket, cx, bufs)
            }
        }

        #[cfg(feature = "hyper")]
        impl<$($generics)*> hyper::rt::Read for $type {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: hyper::rt::ReadBufCursor<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let $this = &*self;
                $crate::hyper_io::poll_read($socket, cx, buf)
            }
        }

        #[cfg(feature = "tokio")]
        impl<$($generics)*> tokio::io::AsyncRead for $type {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let $this = &*self;
                $crate::tokio_io::poll_read($socket, cx, buf)
            }
        }
    };
}

/// The writing traits of everybody's for `$type`, whose socket is `$socket` of `$this`.
macro_rules! impl_write {
    (@methods $close:ident, $result:ident, |$this:ident| $socket:expr) => {
        fn poll_write(
            self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buf: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            let $this = &*self;
            $crate::stream::socket::Socket::poll_send($socket, cx, buf)
        }

        fn poll_write_vectored(
            self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            bufs: &[std::io::IoSlice<'_>],
        ) -> std::task::Poll<std::io::Result<usize>> {
            let $this = &*self;
            $crate::stream::socket::Socket::poll_send_vectored($socket, cx, bufs)
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        /// Ends the sending direction; the other end reads what is left and then the end.
        fn $close(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            let $this = &*self;
            std::task::Poll::Ready($crate::stream::$result($socket))
        }
    };
    ([$($generics:tt)*] $type:ty, |$this:ident| $socket:expr) => {
        impl<$($generics)*> futures_io::AsyncWrite for $type {
            $crate::stream::impl_write!(@methods poll_close, close, |$this| $socket);
        }

        #[cfg(feature = "hyper")]
        impl<$($generics)*> hyper::rt::Write for $type {
            $crate::stream::impl_write!(@methods poll_shutdown, close_leniently, |$this| $socket);

            fn is_write_vectored(&self) -> bool {
                true
            }
        }

        #[cfg(feature = "tokio")]
        impl<$($generics)*> tokio::io::AsyncWrite for $type {
            $crate::stream::impl_write!(@methods poll_shutdown, close_leniently, |$this| $socket);

            fn is_write_vectored(&self) -> bool {
                true
            }
        }
    };
}

pub(crate) use {impl_read, impl_write};

pub(crate) fn close<S: StreamSocket>(socket: &S) -> io::Result<()> {
    socket.shut(Shutdown::Write)
}

/// The other end was faster: there is nothing left to shut down.
pub(crate) fn close_leniently<S: StreamSocket>(socket: &S) -> io::Result<()> {
    match socket.shut(Shutdown::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}
