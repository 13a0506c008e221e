//! A Unix stream connection.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::SocketAddr;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use smolkit_runtime::Async;
use socket2::Type;

use super::fds::fd_passing;
use super::{Credentials, addr, connect, credentials};
use crate::conversions::conversions;
use crate::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::stream::socket::Socket;
use crate::stream::{IOV_MAX, StreamSocket, impl_read, impl_write, wanted};
use crate::sys;

/// A Unix stream connection.
///
/// Clones are the same connection: one task may read while another one writes. Two tasks must not read (or write) at the same time; they would
/// get each other's bytes.
///
/// # Cancel safety
///
/// A read or write that is dropped has moved nothing, unless it had returned. `read_exact` and `write_all` of futures-lite have moved
/// an unknown part.
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use smolkit_net::unix::{UnixListener, UnixStream};
/// # use smolkit_runtime as smolkit;
///
/// # let path = std::env::temp_dir().join(format!("smolkit-unix-stream-{}", std::process::id()));
/// smolkit::block_on(async {
/// #   let listener = UnixListener::bind(&path)?;
/// #   let _service = smolkit::spawn(async move {
/// #       let (mut stream, _) = listener.accept().await?;
/// #       stream.read_exact(&mut [0; 8]).await?;
/// #       stream.write_all(b"1.0\n").await
/// #   });
///     let mut stream = UnixStream::connect(&path).await?;
///     stream.write_all(b"version\n").await?;
///     let mut answer = String::new();
///     stream.read_to_string(&mut answer).await?;
///     assert_eq!(answer, "1.0\n");
/// #   std::fs::remove_file(&path)?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct UnixStream {
    inner: Arc<Async<std::os::unix::net::UnixStream>>,
}

impl UnixStream {
    /// Connects to a path. On Linux one that starts with a zero is an abstract name.
    ///
    /// Waits while the listener's queue is full, however long that takes.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the attempt.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing has that path; `ConnectionRefused` if nobody listens there any more; `PermissionDenied` and the others of
    /// `connect(2)`, such as EPROTOTYPE if a socket of another type has it; `InvalidInput` or `InvalidFilename` for what can be no path of a socket.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        let addr = addr::from_path(path.as_ref())?;
        let socket = connect::connect(addr, Type::STREAM).await?;
        Ok(UnixStream::accepted(socket.into()))
    }

    /// Connects to an address: a path, or on Linux an abstract name.
    ///
    /// Waits while the listener's queue is full, however long that takes.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the attempt.
    ///
    /// # Errors
    ///
    /// As [`connect`](UnixStream::connect); `InvalidInput` if the address is unnamed.
    pub async fn connect_addr(addr: &SocketAddr) -> io::Result<UnixStream> {
        let socket = connect::connect(addr::from_std(addr)?, Type::STREAM).await?;
        Ok(UnixStream::accepted(socket.into()))
    }

    /// Two streams, connected to each other.
    ///
    /// # Errors
    ///
    /// Those of `socketpair(2)`.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = std::os::unix::net::UnixStream::pair()?;
        Ok((UnixStream::try_from(one)?, UnixStream::try_from(other)?))
    }

    /// A connection that is non-blocking already; its reactor is that of the thread that first waits for it.
    pub(super) fn accepted(stream: std::os::unix::net::UnixStream) -> UnixStream {
        UnixStream { inner: Arc::new(Async::new_unregistered(stream)) }
    }

    /// The address of this end; mostly unnamed.
    ///
    /// # Errors
    ///
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get_ref().local_addr()
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// Those of `getpeername(2)`. On Linux none, even if the other end is closed.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get_ref().peer_addr()
    }

    /// The process at the other end.
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
    pub fn peer_cred(&self) -> io::Result<Credentials> {
        credentials::of(self)
    }

    /// Shuts down one direction, or both.
    ///
    /// # Errors
    ///
    /// Those of `shutdown(2)`. On Linux none, even if the other end is closed.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.get_ref().shutdown(how)
    }

    /// Reads without taking the bytes out of the socket.
    ///
    /// # Errors
    ///
    /// Those of `recv(2)`.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        use rustix::net::{RecvFlags, recv};
        self.inner.read_with(|io| Ok(recv(io, &mut *buf, RecvFlags::PEEK)?.0)).await
    }

    /// Two halves that borrow the stream, to read and to write at the same time within one task.
    pub fn split(&mut self) -> (ReadHalf<'_, UnixStream>, WriteHalf<'_, UnixStream>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Two halves that own the stream together, one for each of two tasks.
    ///
    /// Unlike two clones they tell the other end when the writing half is dropped.
    pub fn into_split(self) -> (OwnedReadHalf<UnixStream>, OwnedWriteHalf<UnixStream>) {
        crate::split::owned(self)
    }

    /// Reads with an `op` that tells whether control messages came along.
    ///
    /// The system ends a read behind bytes that came with descriptors, or at the border between two senders' bytes: then a short count does not mean
    /// that there is no more, and 0 makes `poll_read_stream` believe so.
    fn poll_recv_with(
        &self,
        cx: &mut Context<'_>,
        wanted: usize,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<(usize, bool)>,
    ) -> Poll<io::Result<usize>> {
        let mut count = 0;
        ready!(self.inner.poll_read_stream(cx, wanted, |io| {
            let had_control;
            (count, had_control) = op(io.as_fd())?;
            Ok(if had_control { 0 } else { count })
        }))?;
        Poll::Ready(Ok(count))
    }
}

impl UnwindSafe for UnixStream {}
impl RefUnwindSafe for UnixStream {}

impl Socket for UnixStream {
    type Io = std::os::unix::net::UnixStream;

    fn io(&self) -> &Async<std::os::unix::net::UnixStream> {
        &self.inner
    }

    fn is_same(&self, other: &UnixStream) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    fn shut(&self, how: Shutdown) -> io::Result<()> {
        self.inner.get_ref().shutdown(how)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_recv_vectored(cx, &mut [IoSliceMut::new(buf)])
    }

    fn poll_recv_uninit(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>> {
        self.poll_recv_with(cx, buf.len(), |io| sys::recvmsg_uninit(io, buf))
    }

    fn poll_recv_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = bufs.len().min(IOV_MAX);
        let bufs = &mut bufs[..count];
        let wanted = wanted(bufs.iter().map(|buf| buf.len()));
        self.poll_recv_with(cx, wanted, |io| sys::recvmsg_vectored(io, bufs))
    }
}

impl StreamSocket for UnixStream {}

impl_read!([] UnixStream, |this| this);
impl_write!([] UnixStream, |this| this);
fd_passing!(UnixStream, true);
conversions!(UnixStream, std::os::unix::net::UnixStream);
