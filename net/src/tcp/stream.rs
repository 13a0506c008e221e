//! A TCP connection.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use smolkit_runtime::Async;

use crate::addr::AsyncToSocketAddrs;

/// A TCP connection.
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
/// ```no_run
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use smolkit_net::TcpStream;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let mut stream = TcpStream::connect("example.org:80").await?;
///     stream.write_all(b"GET / HTTP/1.0\r\nhost: example.org\r\n\r\n").await?;
///     let mut page = String::new();
///     stream.read_to_string(&mut page).await?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct TcpStream {
    inner: Arc<Async<std::net::TcpStream>>,
}

impl TcpStream {
    /// Connects to the first of the addresses that answers.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `NetworkUnreachable`, `HostUnreachable` and the others of `connect(2)`; those of the look-up of a name. The
    /// message names the address that failed last.
    pub async fn connect<A: AsyncToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        let mut last = None;
        for addr in addr.to_addrs().await? {
            match Async::<std::net::TcpStream>::connect(addr).await {
                Ok(stream) => return Ok(TcpStream::from(stream)),
                Err(error) => {
                    let message = format!("cannot connect to {addr}: {error}");
                    last = Some(io::Error::new(error.kind(), message));
                }
            }
        }
        Err(last.unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "cannot connect: the name has no address")
        }))
    }

    /// A connection that comes non-blocking from `accept`; its reactor is that of the thread that first waits for it.
    pub(crate) fn accepted(stream: std::net::TcpStream) -> TcpStream {
        TcpStream { inner: Arc::new(Async::new_unregistered(stream)) }
    }

    /// The address of this end.
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
    /// `NotConnected` if the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get_ref().peer_addr()
    }

    /// Shuts down one direction, or both.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection is gone.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.get_ref().shutdown(how)
    }

    /// Reads without taking the bytes out of the socket.
    ///
    /// # Errors
    ///
    /// Those of `recv(2)`.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.peek(buf).await
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.inner.get_ref().nodelay()
    }

    /// Sets whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// Those of `setsockopt(2)`.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.inner.get_ref().set_nodelay(nodelay)
    }

    /// The time to live of the packets it sends.
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
    pub fn ttl(&self) -> io::Result<u32> {
        self.inner.get_ref().ttl()
    }

    /// Sets the time to live of the packets it sends.
    ///
    /// # Errors
    ///
    /// Those of `setsockopt(2)`.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.inner.get_ref().set_ttl(ttl)
    }

    #[cfg(feature = "hyper")]
    pub(crate) fn io(&self) -> &Async<std::net::TcpStream> {
        &self.inner
    }
}

/// How many bytes a vectored call would move if it could. The system takes so many buffers at a time (POSIX allows it 16, Linux takes 1,024);
/// beyond that a short count says nothing, and 0 makes it so.
fn wanted(lens: impl ExactSizeIterator<Item = usize>) -> usize {
    if lens.len() <= 16 { lens.sum() } else { 0 }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_read_stream(cx, buf.len(), |mut io| io.read(buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = wanted(bufs.iter().map(|buf| buf.len()));
        self.inner.poll_read_stream(cx, wanted, |mut io| io.read_vectored(bufs))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_write_stream(cx, buf.len(), |mut io| io.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = wanted(bufs.iter().map(|buf| buf.len()));
        self.inner.poll_write_stream(cx, wanted, |mut io| io.write_vectored(bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the sending direction; the other end reads what is left and then the end.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }
}

impl From<Async<std::net::TcpStream>> for TcpStream {
    fn from(stream: Async<std::net::TcpStream>) -> TcpStream {
        TcpStream { inner: Arc::new(stream) }
    }
}

impl From<TcpStream> for Arc<Async<std::net::TcpStream>> {
    fn from(stream: TcpStream) -> Self {
        stream.inner
    }
}

impl TryFrom<std::net::TcpStream> for TcpStream {
    type Error = io::Error;

    fn try_from(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        Ok(TcpStream::from(Async::new(stream)?))
    }
}

impl TryFrom<OwnedFd> for TcpStream {
    type Error = io::Error;

    fn try_from(fd: OwnedFd) -> io::Result<TcpStream> {
        TcpStream::try_from(std::net::TcpStream::from(fd))
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}
