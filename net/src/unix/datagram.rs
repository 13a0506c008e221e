//! A Unix datagram socket.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::net::{RecvFlags, SocketAddrUnix};
use smolkit_runtime::{Async, task};

use super::fds::fd_passing;
use super::pauses::retry;
use super::{Credentials, addr, credentials};
use crate::conversions::conversions;
use crate::stream::NO_SIGNAL;

/// A Unix datagram socket. Unlike UDP it loses nothing and keeps the order.
///
/// # Cancel safety
///
/// A dropped call has sent nothing, and has taken no datagram out of the socket.
///
/// # Examples
///
/// ```
/// use smolkit_net::unix::UnixDatagram;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let (one, other) = UnixDatagram::pair()?;
///     one.send(b"ping").await?;
///     let mut buffer = [0; 16];
///     assert_eq!(other.recv(&mut buffer).await?, 4);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct UnixDatagram {
    inner: Arc<Async<std::os::unix::net::UnixDatagram>>,
}

impl UnixDatagram {
    /// A socket with a path of the file system, which must not exist yet. The file stays behind when it is dropped. For an
    /// empty path Linux chooses an abstract name.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if something has that path; `InvalidInput` if it is too long (more than 107 bytes on Linux) or contains a zero;
    /// `NotFound`, `PermissionDenied` and the others of `bind(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use smolkit_net::unix::UnixDatagram;
    /// # use smolkit_runtime as smolkit;
    ///
    /// # let path = std::env::temp_dir().join(format!("smolkit-unix-datagram-{}", std::process::id()));
    /// smolkit::block_on(async {
    ///     let receiver = UnixDatagram::bind(&path)?;
    ///     UnixDatagram::unbound()?.send_to(b"ping", &path).await?;
    ///     let (count, from) = receiver.recv_from(&mut [0; 16]).await?;
    ///     assert!(count == 4 && from.is_unnamed());
    ///     std::fs::remove_file(&path)
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        UnixDatagram::try_from(std::os::unix::net::UnixDatagram::bind(path)?)
    }

    /// A socket with an address: a path, or on Linux an abstract name.
    ///
    /// # Errors
    ///
    /// As [`bind`](UnixDatagram::bind).
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<UnixDatagram> {
        UnixDatagram::try_from(std::os::unix::net::UnixDatagram::bind_addr(addr)?)
    }

    /// A socket without a name: it can send, and receives only when it is connected or part of a pair.
    ///
    /// # Errors
    ///
    /// Those of `socket(2)`.
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::try_from(std::os::unix::net::UnixDatagram::unbound()?)
    }

    /// Two sockets, connected to each other.
    ///
    /// # Errors
    ///
    /// Those of `socketpair(2)`.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = std::os::unix::net::UnixDatagram::pair()?;
        Ok((UnixDatagram::try_from(one)?, UnixDatagram::try_from(other)?))
    }

    /// Fixes the other end: [`send`](UnixDatagram::send) goes there, and only datagrams from there are received.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing has that path; `ConnectionRefused` if its socket is gone; EPROTOTYPE if it is of another type; `InvalidInput` for what can be no path of a
    /// socket; `PermissionDenied` and the others of `connect(2)`.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.inner.get_ref().connect(path)
    }

    /// [`connect`](UnixDatagram::connect) to an address: a path, or on Linux an abstract name.
    ///
    /// # Errors
    ///
    /// As [`connect`](UnixDatagram::connect).
    pub fn connect_addr(&self, addr: &SocketAddr) -> io::Result<()> {
        self.inner.get_ref().connect_addr(addr)
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get_ref().local_addr()
    }

    /// The address it is connected to.
    ///
    /// # Errors
    ///
    /// `NotConnected` if it is to none; the others of `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get_ref().peer_addr()
    }

    /// The process that made the other socket of a [`pair`](UnixDatagram::pair). Connected sockets do not tell.
    ///
    /// # Errors
    ///
    /// `NotConnected` if it is no part of a pair; the others of `getsockopt(2)`.
    pub fn peer_cred(&self) -> io::Result<Credentials> {
        credentials::of(self)
    }

    /// Waits for a datagram; returns its length and its sender. What does not fit into `buf` is lost.
    ///
    /// # Errors
    ///
    /// Those of `recvfrom(2)`.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner.read_with(|io| io.recv_from(buf)).await
    }

    /// Sends a datagram to a path, waiting while the receiver's queue is full.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing has that path; `ConnectionRefused` if its socket is gone; `InvalidInput` for what can be no path of a socket; EMSGSIZE if the datagram is
    /// longer than the send buffer; the others of `sendto(2)`.
    pub async fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        self.send_to_unix(buf, addr::from_std(&SocketAddr::from_pathname(path)?)?).await
    }

    /// [`send_to`](UnixDatagram::send_to) to an address: a path, or on Linux an abstract name.
    ///
    /// # Errors
    ///
    /// As [`send_to`](UnixDatagram::send_to); `InvalidInput` if the address is unnamed.
    pub async fn send_to_addr(&self, buf: &[u8], addr: &SocketAddr) -> io::Result<usize> {
        self.send_to_unix(buf, addr::from_std(addr)?).await
    }

    async fn send_to_unix(&self, buf: &[u8], addr: SocketAddrUnix) -> io::Result<usize> {
        // Past the readiness word: a full receiver says nothing about this socket's own state.
        poll_fn(|cx| task::poll_budget(cx, 1)).await;
        let io = self.inner.get_ref();
        retry(|| Ok(rustix::net::sendto(io, buf, NO_SIGNAL, &addr)?)).await
    }

    /// Waits for a datagram. What does not fit into `buf` is lost.
    ///
    /// # Errors
    ///
    /// Those of `recv(2)`.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read_with(|io| io.recv(buf)).await
    }

    /// [`recv`](UnixDatagram::recv) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`recv`](UnixDatagram::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_read_with(cx, |io| io.recv(buf))
    }

    /// [`recv_from`](UnixDatagram::recv_from) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UnixDatagram::recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.inner.poll_read_with(cx, |io| io.recv_from(buf))
    }

    /// Waits for a datagram and leaves it in the socket.
    ///
    /// # Errors
    ///
    /// As [`recv`](UnixDatagram::recv).
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read_with(|io| Ok(rustix::net::recv(io, &mut *buf, RecvFlags::PEEK)?.0)).await
    }

    /// Takes the pending error.
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.get_ref().take_error()
    }

    /// [`send`](UnixDatagram::send) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`send`](UnixDatagram::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_write_with(cx, |io| Ok(rustix::net::send(io, buf, NO_SIGNAL)?))
    }

    /// Sends a datagram to the address that it is connected to, waiting while the receiver's queue is full.
    ///
    /// # Errors
    ///
    /// `NotConnected`; `ConnectionRefused` or `ConnectionReset` if the receiver is gone; EMSGSIZE if the datagram is longer than the send buffer; the others of `send(2)`.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.inner.write_with(|io| Ok(rustix::net::send(io, buf, NO_SIGNAL)?)).await
    }

    /// Shuts down one direction, or both.
    ///
    /// # Errors
    ///
    /// Those of `shutdown(2)`. On Linux none, even if it is not connected.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.get_ref().shutdown(how)
    }
}

fd_passing!(UnixDatagram, false);
conversions!(UnixDatagram, std::os::unix::net::UnixDatagram);
