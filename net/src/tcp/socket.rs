//! A TCP socket that is neither connected nor listening yet.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use smolkit_runtime::Async;
use socket2::{Domain, Protocol, Socket, Type};

use super::{TcpListener, TcpStream};
use crate::options::options;
use crate::sockets::{BACKLOG, adopted, new_socket};
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::sys;

/// A TCP socket before it connects or listens, to set its options.
///
/// # Examples
///
/// ```
/// use smolkit_net::TcpSocket;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let socket = TcpSocket::new_v4()?;
///     socket.set_reuse_addr(true)?;
///     socket.bind(([127, 0, 0, 1], 0).into())?;
///     let listener = socket.listen(1_024)?;
///     let socket = TcpSocket::new_v4()?;
///     socket.set_nodelay(true)?;
///     let stream = socket.connect(listener.local_addr()?).await?;
///     assert!(stream.nodelay()?);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct TcpSocket {
    inner: Socket,
}

impl TcpSocket {
    /// For IPv4.
    ///
    /// # Errors
    ///
    /// Those of `socket(2)`.
    pub fn new_v4() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV4)
    }

    /// For IPv6.
    ///
    /// # Errors
    ///
    /// Those of `socket(2)`.
    pub fn new_v6() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV6)
    }

    pub(crate) fn new_for(addr: SocketAddr) -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::for_address(addr))
    }

    fn new(domain: Domain) -> io::Result<TcpSocket> {
        Ok(TcpSocket { inner: new_socket(domain, Type::STREAM, Some(Protocol::TCP))? })
    }

    /// Gives it an address; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`, `PermissionDenied` (ports below 1,024) and the others of `bind(2)`.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.inner.bind(&addr.into())
    }

    /// Listens. So many connections, or as many as the system allows (`net.core.somaxconn`), may wait to be accepted. Without an address the system
    /// chooses a port, at all of this host's addresses.
    ///
    /// # Errors
    ///
    /// `AddrInUse` and the others of `listen(2)`.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.inner.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        // Its reactor is that of the thread that first waits for it: of `bind_many`'s each has another one.
        Ok(TcpListener::from(Async::new_unregistered(OwnedFd::from(self.inner).into())))
    }

    /// [`listen`](TcpSocket::listen) with the queue that [`TcpListener::bind`] has: 4,096.
    ///
    /// # Errors
    ///
    /// As [`listen`](TcpSocket::listen).
    pub fn listen_default(self) -> io::Result<TcpListener> {
        self.listen(BACKLOG as u32)
    }

    /// Connects.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the attempt.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `NetworkUnreachable`, `HostUnreachable` and the others of `connect(2)`.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        let result = rustix::net::connect(&self.inner, &addr);
        let stream = Async::new_unregistered(std::net::TcpStream::from(OwnedFd::from(self.inner)));
        match result {
            Ok(()) => return Ok(TcpStream::from(stream)),
            // A signal does not stop the attempt.
            Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        stream.established().await?;
        Ok(TcpStream::from(stream))
    }

    /// Takes [`set_fast_open_connect`](TcpSocket::set_fast_open_connect) back.
    pub(super) fn connect_at_once(&self) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.fast_open_connect()? {
            self.set_fast_open_connect(false)?;
        }
        Ok(())
    }

    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let not_ip = || io::Error::new(io::ErrorKind::InvalidData, "not an IP address");
        self.inner.local_addr()?.as_socket().ok_or_else(not_ip)
    }

    /// Lets so many clients send data with the first packet of their connections before those are established (`TCP_FASTOPEN`, RFC 7413); 0 lets none.
    ///
    /// For a socket that will listen. Such data may arrive twice: only for requests that may be served twice.
    ///
    /// # Errors
    ///
    /// Those of `setsockopt(2)`. Where `net.ipv4.tcp_fastopen` does not have the bit 2, connections are made in the usual way.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn set_fast_open(&self, queue: u32) -> io::Result<()> {
        let queue = libc::c_int::try_from(queue).unwrap_or(libc::c_int::MAX);
        sys::set_option(self.as_fd(), libc::IPPROTO_TCP, libc::TCP_FASTOPEN, queue)
    }

    /// What [`set_fast_open`](TcpSocket::set_fast_open) has set, or less where the system allows less (`net.core.somaxconn`).
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn fast_open(&self) -> io::Result<u32> {
        let queue = sys::option(self.as_fd(), libc::IPPROTO_TCP, libc::TCP_FASTOPEN)?;
        Ok(u32::try_from(queue).unwrap_or(0))
    }

    /// Sends what is written first with the first packet of the connection (`TCP_FASTOPEN_CONNECT`), if the server has allowed that before.
    ///
    /// For a socket that will connect, to a server that waits for a request. Once the server has been met, [`connect`](TcpSocket::connect) returns at once: nothing is sent
    /// before the first write, which tells whether anybody is there. A read before that waits for ever.
    ///
    /// # Errors
    ///
    /// Those of `setsockopt(2)`. Where `net.ipv4.tcp_fastopen` does not have the bit 1, it does nothing, and the connection is made in the usual way.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn set_fast_open_connect(&self, enabled: bool) -> io::Result<()> {
        let value = libc::c_int::from(enabled);
        match sys::set_option(self.as_fd(), libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, value) {
            // The administrator has switched it off, which must not cost the connection.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            result => result,
        }
    }

    /// Whether [`set_fast_open_connect`](TcpSocket::set_fast_open_connect) is in force.
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn fast_open_connect(&self) -> io::Result<bool> {
        Ok(sys::option(self.as_fd(), libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT)? != 0)
    }
}

options!(TcpSocket: reuse nodelay buffers linger keepalive user_timeout tos only_v6 device);

/// A TCP socket made elsewhere or handed over, which should be neither connected nor listening. It is made non-blocking.
impl TryFrom<OwnedFd> for TcpSocket {
    type Error = io::Error;

    /// # Errors
    ///
    /// `InvalidInput` if it is no TCP socket; those of `getsockopt(2)` and `fcntl(2)`.
    fn try_from(fd: OwnedFd) -> io::Result<TcpSocket> {
        let inner = adopted(fd, &[Domain::IPV4, Domain::IPV6], &[Type::STREAM])?;
        Ok(TcpSocket { inner })
    }
}

/// The descriptor, in non-blocking mode.
impl From<TcpSocket> for OwnedFd {
    fn from(socket: TcpSocket) -> OwnedFd {
        socket.inner.into()
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}
