//! A UDP socket that has no address yet.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use smolkit_runtime::Async;
use socket2::{Domain, Protocol, Socket, Type};

use super::UdpSocket;
use crate::addr::failed;
use crate::options::options;
use crate::sockets::{adopted, new_socket};

/// A UDP socket before it has an address, to set its options: those that several sockets with one port need, for example, or the buffers.
///
/// # Examples
///
/// Two sockets at one port, as all that listen to a multicast group have to share it:
///
/// ```
/// use std::net::Ipv4Addr;
/// use smolkit_net::udp::{Unbound, UdpSocket};
/// # use smolkit_runtime as smolkit;
///
/// fn member(port: u16) -> std::io::Result<UdpSocket> {
///     let socket = Unbound::new_v4()?;
///     socket.set_reuse_addr(true)?;
///     socket.set_recv_buffer_size(256 * 1024)?;
///     socket.bind((Ipv4Addr::UNSPECIFIED, port).into())
/// }
///
/// smolkit::block_on(async {
///     let first = member(0)?;
///     let second = member(first.local_addr()?.port())?;
///     assert_eq!(first.local_addr()?, second.local_addr()?);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Unbound {
    inner: Socket,
}

impl Unbound {
    /// For IPv4.
    ///
    /// # Errors
    ///
    /// Those of `socket(2)`.
    pub fn new_v4() -> io::Result<Unbound> {
        Unbound::new(Domain::IPV4)
    }

    /// For IPv6, and also for IPv4 unless [`set_only_v6`](Unbound::set_only_v6) says otherwise.
    ///
    /// # Errors
    ///
    /// Those of `socket(2)`.
    pub fn new_v6() -> io::Result<Unbound> {
        Unbound::new(Domain::IPV6)
    }

    fn new(domain: Domain) -> io::Result<Unbound> {
        Ok(Unbound { inner: new_socket(domain, Type::DGRAM, Some(Protocol::UDP))? })
    }

    /// Gives it an address; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`, `PermissionDenied` (ports below 1,024) and the others of `bind(2)`. The message names the address.
    pub fn bind(self, addr: SocketAddr) -> io::Result<UdpSocket> {
        self.inner.bind(&addr.into()).map_err(|error| failed("bind to", addr, error))?;
        Ok(UdpSocket::from(Async::new_nonblocking(OwnedFd::from(self.inner).into())?))
    }
}

options!(Unbound: reuse buffers tos only_v6 device);

/// A UDP socket made elsewhere, which may have an address already. It is made non-blocking.
impl TryFrom<OwnedFd> for Unbound {
    type Error = io::Error;

    /// # Errors
    ///
    /// `InvalidInput` if it is no UDP socket; those of `getsockopt(2)` and `fcntl(2)`.
    fn try_from(fd: OwnedFd) -> io::Result<Unbound> {
        Ok(Unbound { inner: adopted(fd, &[Domain::IPV4, Domain::IPV6], &[Type::DGRAM])? })
    }
}

/// The descriptor, in non-blocking mode.
impl From<Unbound> for OwnedFd {
    fn from(socket: Unbound) -> OwnedFd {
        socket.inner.into()
    }
}

impl AsFd for Unbound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl AsRawFd for Unbound {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}
