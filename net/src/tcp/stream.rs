//! A TCP connection.

use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::net::{RecvFlags, recv};
use smolkit_runtime::Async;

use super::TcpConnector;
use crate::addr::AsyncToSocketAddrs;
use crate::conversions::conversions;
use crate::options::options;
use crate::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::stream::socket::Socket;
use crate::stream::{StreamSocket, impl_read, impl_write, wanted};

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
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use smolkit_net::TcpStream;
/// # use smolkit_net::TcpListener;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
/// #   let listener = TcpListener::bind("127.0.0.1:0").await?;
/// #   let addr = listener.local_addr()?;
/// #   let _server = smolkit::spawn(async move {
/// #       let (mut stream, _) = listener.accept().await?;
/// #       stream.read_exact(&mut [0; 35]).await?;
/// #       stream.write_all(b"HTTP/1.0 204 No Content\r\n\r\n").await
/// #   });
///     let mut stream = TcpStream::connect(addr).await?;
///     stream.write_all(b"GET / HTTP/1.0\r\nhost: localhost\r\n\r\n").await?;
///     let mut answer = String::new();
///     stream.read_to_string(&mut answer).await?;
///     assert!(answer.starts_with("HTTP/1.0 204"));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct TcpStream {
    inner: Arc<Async<std::net::TcpStream>>,
}

impl TcpStream {
    /// Connects to the first of the addresses that answers, with the defaults of a [`TcpConnector`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends all attempts.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `NetworkUnreachable`, `HostUnreachable` and the others of `connect(2)`; those of the look-up of a name;
    /// `InvalidInput` if there is no address. The message names the addresses that were tried, and how each failed; a [`ConnectError`](crate::ConnectError) is inside.
    ///
    /// # Panics
    ///
    /// As [`AsyncToSocketAddrs`](AsyncToSocketAddrs#panics).
    pub async fn connect<A: AsyncToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        TcpConnector::new().connect(addr).await
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

    /// Two halves that borrow the stream, to read and to write at the same time within one task.
    pub fn split(&mut self) -> (ReadHalf<'_, TcpStream>, WriteHalf<'_, TcpStream>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Two halves that own the stream together, one for each of two tasks.
    ///
    /// Unlike two clones they tell the other end when the writing half is dropped.
    pub fn into_split(self) -> (OwnedReadHalf<TcpStream>, OwnedWriteHalf<TcpStream>) {
        crate::split::owned(self)
    }
}

options!(TcpStream: nodelay ttl buffers linger keepalive user_timeout tos);

impl UnwindSafe for TcpStream {}
impl RefUnwindSafe for TcpStream {}

impl Socket for TcpStream {
    type Io = std::net::TcpStream;

    fn io(&self) -> &Async<std::net::TcpStream> {
        &self.inner
    }

    fn is_same(&self, other: &TcpStream) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    fn shut(&self, how: Shutdown) -> io::Result<()> {
        self.inner.get_ref().shutdown(how)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_read_stream(cx, buf.len(), |mut io| io.read(buf))
    }

    fn poll_recv_uninit(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_read_stream(cx, buf.len(), |io| {
            let ((filled, _), _) = recv(io, &mut *buf, RecvFlags::empty())?;
            Ok(filled.len())
        })
    }

    fn poll_recv_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = wanted(bufs.iter().map(|buf| buf.len()));
        self.inner.poll_read_stream(cx, wanted, |mut io| io.read_vectored(bufs))
    }
}

impl StreamSocket for TcpStream {}

impl_read!([] TcpStream, |this| this);
impl_write!([] TcpStream, |this| this);

conversions!(TcpStream, std::net::TcpStream);
