//! Sequenced packets: connections that keep the borders of messages.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, recv, send};
use smolkit_runtime::Async;
use socket2::{Domain, Socket, Type};

use super::fds::fd_passing;
use super::listener::accept;
use super::{Credentials, addr, connect, credentials};
use crate::conversions::conversions;
use crate::stream::NO_SIGNAL;

/// A connection that keeps the borders of messages, their order, and loses none.
///
/// # Cancel safety
///
/// A dropped call has sent nothing, and has taken no message out of the socket.
///
/// # Platform
///
/// Linux and the BSDs; elsewhere the functions that make one fail.
///
/// # Examples
///
/// ```
/// use smolkit_net::unix::UnixSeqpacket;
/// # use smolkit_runtime as smolkit;
///
/// # #[cfg(target_os = "linux")]
/// smolkit::block_on(async {
///     let (one, other) = UnixSeqpacket::pair()?;
///     one.send(b"first").await?;
///     one.send(b"second").await?;
///     let mut buffer = [0; 64];
///     assert_eq!(other.recv(&mut buffer).await?, 5);
///     assert_eq!(other.recv(&mut buffer).await?, 6);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct UnixSeqpacket {
    /// In std the type has no name of its own; what we call of this one holds for every connected Unix socket.
    inner: Arc<Async<std::os::unix::net::UnixStream>>,
}

impl UnixSeqpacket {
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
    /// As [`UnixStream::connect`](super::UnixStream::connect); EPROTOTYPE if a socket of another type listens there.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixSeqpacket> {
        let addr = addr::from_path(path.as_ref())?;
        let socket = connect::connect(addr, Type::SEQPACKET).await?;
        Ok(UnixSeqpacket::accepted(socket.into()))
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
    /// As [`connect`](UnixSeqpacket::connect); `InvalidInput` if the address is unnamed.
    pub async fn connect_addr(addr: &SocketAddr) -> io::Result<UnixSeqpacket> {
        let socket = connect::connect(addr::from_std(addr)?, Type::SEQPACKET).await?;
        Ok(UnixSeqpacket::accepted(socket.into()))
    }

    /// Two sockets, connected to each other.
    ///
    /// # Errors
    ///
    /// Those of `socketpair(2)`.
    pub fn pair() -> io::Result<(UnixSeqpacket, UnixSeqpacket)> {
        let (one, other) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
        Ok((UnixSeqpacket::try_from(as_std(one))?, UnixSeqpacket::try_from(as_std(other))?))
    }

    pub(super) fn accepted(stream: std::os::unix::net::UnixStream) -> UnixSeqpacket {
        UnixSeqpacket { inner: Arc::new(Async::new_unregistered(stream)) }
    }

    /// Waits for a message. What does not fit into `buf` is lost. 0 is the end, or an empty message.
    ///
    /// # Errors
    ///
    /// `ConnectionReset` if the other end was closed with messages unread; the others of `recv(2)`.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read_with(|io| Ok(recv(io, &mut *buf, RecvFlags::empty())?.0)).await
    }

    /// [`recv`](UnixSeqpacket::recv) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`recv`](UnixSeqpacket::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_read_with(cx, |io| Ok(recv(io, &mut *buf, RecvFlags::empty())?.0))
    }

    /// Waits for a message and leaves it in the socket.
    ///
    /// # Errors
    ///
    /// As [`recv`](UnixSeqpacket::recv).
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read_with(|io| Ok(recv(io, &mut *buf, RecvFlags::PEEK)?.0)).await
    }

    /// Sends a message, all of it.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if the other end is closed; EMSGSIZE if it is longer than the send buffer; the others of `send(2)`.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.inner.write_with(|io| Ok(send(io, buf, NO_SIGNAL)?)).await
    }

    /// [`send`](UnixSeqpacket::send) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`send`](UnixSeqpacket::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_write_with(cx, |io| Ok(send(io, buf, NO_SIGNAL)?))
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
}

/// A socket that accepts [`UnixSeqpacket`] connections.
///
/// Its file stays behind when it is dropped, and a later `bind` to the same path fails with `AddrInUse` until somebody removes it.
///
/// # Cancel safety
///
/// Dropping `accept` loses no connection: it stays in the kernel's queue.
///
/// # Platform
///
/// Linux and the BSDs; elsewhere the functions that make one fail.
///
/// # Examples
///
/// ```
/// use smolkit_net::unix::{UnixSeqpacket, UnixSeqpacketListener};
/// # use smolkit_runtime as smolkit;
///
/// # let path = std::env::temp_dir().join(format!("smolkit-unix-seqpacket-{}", std::process::id()));
/// # #[cfg(target_os = "linux")]
/// smolkit::block_on(async {
///     let listener = UnixSeqpacketListener::bind(&path)?;
///     let client = UnixSeqpacket::connect(&path).await?;
///     let (server, _) = listener.accept().await?;
///     client.send(b"a message").await?;
///     assert_eq!(server.recv(&mut [0; 64]).await?, 9);
///     std::fs::remove_file(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct UnixSeqpacketListener {
    inner: Arc<Async<std::os::unix::net::UnixListener>>,
}

impl UnixSeqpacketListener {
    /// Listens on a path of the file system, which must not exist yet.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::bind`](super::UnixListener::bind).
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixSeqpacketListener> {
        UnixSeqpacketListener::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Listens on an address: a path, or on Linux an abstract name.
    ///
    /// # Errors
    ///
    /// As [`bind`](UnixSeqpacketListener::bind); `InvalidInput` if the address is unnamed.
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<UnixSeqpacketListener> {
        let socket = connect::listen(&addr::from_std(addr)?, Type::SEQPACKET)?;
        Ok(UnixSeqpacketListener::from(Async::new_unregistered(socket.into())))
    }

    /// Waits for a connection. The address is that of the other end, which is mostly unnamed.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::accept`](super::UnixListener::accept).
    pub async fn accept(&self) -> io::Result<(UnixSeqpacket, SocketAddr)> {
        let (stream, addr) = self.inner.read_with(accept).await?;
        Ok((UnixSeqpacket::accepted(stream), addr))
    }

    /// [`accept`](UnixSeqpacketListener::accept) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`accept`](UnixSeqpacketListener::accept).
    pub fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(UnixSeqpacket, SocketAddr)>> {
        let (stream, addr) = ready!(self.inner.poll_read_with(cx, accept))?;
        Poll::Ready(Ok((UnixSeqpacket::accepted(stream), addr)))
    }

    /// The address it listens on.
    ///
    /// # Errors
    ///
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get_ref().local_addr()
    }
}

fn as_std(socket: Socket) -> std::os::unix::net::UnixStream {
    std::os::fd::OwnedFd::from(socket).into()
}

fd_passing!(UnixSeqpacket, false);
conversions!(UnixSeqpacket, std::os::unix::net::UnixStream);
conversions!(UnixSeqpacketListener, std::os::unix::net::UnixListener);
