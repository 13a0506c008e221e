//! A UDP socket.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use smolkit_runtime::Async;

use super::refusals::Refusals;
use crate::addr::{AsyncToSocketAddrs, failed};
use crate::conversions::conversions;
use crate::options::options;

/// A UDP socket.
///
/// Clones are the same socket; any number of tasks may send and receive at the same time, each datagram goes to one of them.
///
/// [`recv_batch`](UdpSocket::recv_batch) and [`send_batch`](UdpSocket::send_batch) move many datagrams with a system call: see [`udp`](crate::udp).
///
/// # Cancel safety
///
/// A dropped call has sent nothing, and has taken no datagram out of the socket.
///
/// # Examples
///
/// ```
/// use smolkit_net::UdpSocket;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let server = UdpSocket::bind("127.0.0.1:0").await?;
///     let client = UdpSocket::bind("127.0.0.1:0").await?;
///     client.send_to(b"ping", server.local_addr()?).await?;
///     let mut buffer = [0; 1_500];
///     let (count, peer) = server.recv_from(&mut buffer).await?;
///     assert_eq!(&buffer[..count], b"ping");
///     assert_eq!(peer, client.local_addr()?);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct UdpSocket {
    pub(super) inner: Arc<Async<std::net::UdpSocket>>,
    pub(super) refusals: Refusals,
}

impl UdpSocket {
    /// A socket bound to the first of the addresses that can be had; port 0 lets the system choose.
    ///
    /// # Cancel safety
    ///
    /// It waits for the look-up of a name only; a call that is dropped meanwhile has bound nothing.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`, `PermissionDenied` (ports below 1,024) and the others of `bind(2)`; those of the
    /// look-up of a name; `InvalidInput` if there is no address. The message names the address that failed last.
    ///
    /// # Panics
    ///
    /// As [`AsyncToSocketAddrs`](AsyncToSocketAddrs#panics).
    pub async fn bind<A: AsyncToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        let mut last = None;
        for addr in addr.to_addrs().await? {
            match Async::<std::net::UdpSocket>::bind(addr) {
                Ok(socket) => return Ok(UdpSocket::from(socket)),
                Err(error) => last = Some(failed("bind to", addr, error)),
            }
        }
        Err(last.unwrap_or_else(|| no_address("cannot bind")))
    }

    /// The address it is bound to.
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

    /// Fixes the other end: [`send`](UdpSocket::send) goes there, and only datagrams from there are received. Nothing is sent, so nothing
    /// can be refused yet; the first of the addresses that has a route is taken.
    ///
    /// # Cancel safety
    ///
    /// It waits for the look-up of a name only; a call that is dropped meanwhile has changed nothing.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable` and the others of `connect(2)`; those of the look-up of a name; `InvalidInput` if there is no address.
    ///
    /// # Panics
    ///
    /// As [`AsyncToSocketAddrs`](AsyncToSocketAddrs#panics).
    pub async fn connect<A: AsyncToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        let mut last = None;
        for addr in addr.to_addrs().await? {
            match self.inner.get_ref().connect(addr) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(failed("connect to", addr, error)),
            }
        }
        Err(last.unwrap_or_else(|| no_address("cannot connect")))
    }

    /// Waits for a datagram; returns its length and its sender. What does not fit into `buf` is lost.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if an earlier datagram of a connected socket found nobody (the next call goes on); the others of `recvfrom(2)`.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner.read_with(|io| io.recv_from(buf)).await
    }

    /// [`recv_from`](UdpSocket::recv_from) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.inner.poll_read_with(cx, |io| io.recv_from(buf))
    }

    /// Waits for a datagram and leaves it in the socket.
    ///
    /// async-net's function of this name does not wait: it returns `WouldBlock` if there is none.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner.read_with(|io| io.peek_from(buf)).await
    }

    /// Sends a datagram to the first of the addresses.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no address; EMSGSIZE if it is too long; `PermissionDenied` for a broadcast without
    /// [`set_broadcast`](UdpSocket::set_broadcast); `ConnectionRefused` as for [`recv_from`](UdpSocket::recv_from), and then nothing was sent; the others of `sendto(2)`; those of the
    /// look-up of a name.
    ///
    /// # Panics
    ///
    /// As [`AsyncToSocketAddrs`](AsyncToSocketAddrs#panics).
    pub async fn send_to<A: AsyncToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let Some(addr) = addr.to_addrs().await?.next() else {
            return Err(no_address("cannot send"));
        };
        self.inner.write_with(|io| io.send_to(buf, addr)).await
    }

    /// [`send_to`](UdpSocket::send_to) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`send_to`](UdpSocket::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        addr: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_write_with(cx, |io| io.send_to(buf, addr))
    }

    /// Waits for a datagram from the address that it is connected to. What does not fit into `buf` is lost.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read_with(|io| io.recv(buf)).await
    }

    /// [`recv`](UdpSocket::recv) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`recv`](UdpSocket::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_read_with(cx, |io| io.recv(buf))
    }

    /// Waits for a datagram from the address that it is connected to and leaves it in the socket.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read_with(|io| io.peek(buf)).await
    }

    /// Sends a datagram to the address that it is connected to.
    ///
    /// # Errors
    ///
    /// EDESTADDRREQ if it is not connected; otherwise as [`send_to`](UdpSocket::send_to).
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.inner.write_with(|io| io.send(buf)).await
    }

    /// [`send`](UdpSocket::send) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`send`](UdpSocket::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_write_with(cx, |io| io.send(buf))
    }

    /// Takes the pending error, such as a refusal that an earlier datagram met.
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.get_ref().take_error()
    }

    /// Joins an IPv4 group on the interface with this address; `0.0.0.0` lets the system choose.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if it is a member already; the others of `setsockopt(2)`.
    pub fn join_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.inner.get_ref().join_multicast_v4(&multiaddr, &interface)
    }

    /// Leaves an IPv4 group.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if it is no member; the others of `setsockopt(2)`.
    pub fn leave_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.inner.get_ref().leave_multicast_v4(&multiaddr, &interface)
    }

    /// Joins an IPv6 group on the interface with this index; 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if it is a member already; the others of `setsockopt(2)`.
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.inner.get_ref().join_multicast_v6(multiaddr, interface)
    }

    /// Leaves an IPv6 group.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if it is no member; the others of `setsockopt(2)`.
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.inner.get_ref().leave_multicast_v6(multiaddr, interface)
    }
}

options!(UdpSocket: broadcast multicast ttl tos buffers);

fn no_address(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what}: the name has no address"))
}

conversions!(UdpSocket, std::net::UdpSocket, refusals);
