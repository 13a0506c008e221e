//! A TCP socket that is neither connected nor listening yet.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::io::Errno;
use smolkit_runtime::Async;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::{TcpListener, TcpStream};
use crate::sockets::{BACKLOG, new_socket};
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

    /// The type of service of IPv6 packets (`IPV6_TCLASS`).
    ///
    /// # Errors
    ///
    /// Those of `setsockopt(2)`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn set_tos_v6(&self, tos: u32) -> io::Result<()> {
        self.inner.set_tclass_v6(tos)
    }

    /// What [`set_tos_v6`](TcpSocket::set_tos_v6) has set.
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn tos_v6(&self) -> io::Result<u32> {
        self.inner.tclass_v6()
    }

    /// Gives it an address; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`, `PermissionDenied` (ports below 1,024) and the others of `bind(2)`.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.inner.bind(&addr.into())
    }

    /// Listens. So many connections, or as many as the system allows (`net.core.somaxconn`), may wait to be accepted.
    ///
    /// # Errors
    ///
    /// `AddrInUse` and the others of `listen(2)`.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.inner.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(TcpListener::from(Async::new_nonblocking(OwnedFd::from(self.inner).into())?))
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

    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let not_ip = || io::Error::new(io::ErrorKind::InvalidData, "not an IP address");
        self.inner.local_addr()?.as_socket().ok_or_else(not_ip)
    }

    /// After how long without traffic the other end is asked whether it lives, in what intervals, and after how many questions without an
    /// answer the connection is lost. Sets `SO_KEEPALIVE` too.
    ///
    /// # Errors
    ///
    /// Those of `setsockopt(2)`.
    pub fn set_keepalive_intervals(
        &self,
        idle: Duration,
        interval: Duration,
        retries: u32,
    ) -> io::Result<()> {
        let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval);
        self.inner.set_tcp_keepalive(&keepalive.with_retries(retries))
    }

    /// What [`set_keepalive_intervals`](TcpSocket::set_keepalive_intervals) has set, or the system's own: the time without traffic, the interval, and
    /// how many questions.
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
    pub fn keepalive_intervals(&self) -> io::Result<(Duration, Duration, u32)> {
        let (idle, interval) =
            (self.inner.tcp_keepalive_time()?, self.inner.tcp_keepalive_interval()?);
        Ok((idle, interval, self.inner.tcp_keepalive_retries()?))
    }

    /// Binds it to a network interface (`SO_BINDTODEVICE`); `None` unbinds.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, ENODEV and the others of `setsockopt(2)`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn bind_device(&self, interface: Option<&str>) -> io::Result<()> {
        self.inner.bind_device(interface.map(str::as_bytes))
    }

    /// The network interface that it is bound to.
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn device(&self) -> io::Result<Option<String>> {
        let name = self.inner.device()?;
        Ok(name.map(|name| String::from_utf8_lossy(&name).into_owned()))
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
    /// For a socket that will connect. [`connect`](TcpSocket::connect) then returns at once, and the first write tells whether anybody is there.
    ///
    /// # Errors
    ///
    /// Those of `setsockopt(2)`. Where `net.ipv4.tcp_fastopen` does not have the bit 1, the connection is made in the usual way.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn set_fast_open_connect(&self, enabled: bool) -> io::Result<()> {
        let value = libc::c_int::from(enabled);
        sys::set_option(self.as_fd(), libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, value)
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

    /// How long sent data may stay unacknowledged before the connection is lost (`TCP_USER_TIMEOUT`); `None` leaves that to the system.
    ///
    /// # Errors
    ///
    /// Those of `setsockopt(2)`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_tcp_user_timeout(timeout)
    }

    /// What [`set_user_timeout`](TcpSocket::set_user_timeout) has set.
    ///
    /// # Errors
    ///
    /// Those of `getsockopt(2)`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        self.inner.tcp_user_timeout()
    }
}

/// Getters and setters of socket2, under the names that suit both.
macro_rules! options {
    ($($(#[$doc:meta])* $get:ident($their_get:ident), $set:ident($their_set:ident): $type:ty;)*) => {
        impl TcpSocket {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                ///
                /// Those of `getsockopt(2)`.
                pub fn $get(&self) -> io::Result<$type> {
                    self.inner.$their_get()
                }

                #[doc = concat!("Sets what [`", stringify!($get), "`](TcpSocket::", stringify!($get), ") returns.")]
                ///
                /// # Errors
                ///
                /// Those of `setsockopt(2)`.
                pub fn $set(&self, value: $type) -> io::Result<()> {
                    self.inner.$their_set(value)
                }
            )*
        }
    };
}

options! {
    /// Whether it may bind to an address with connections in TIME_WAIT (`SO_REUSEADDR`).
    reuse_addr(reuse_address), set_reuse_addr(set_reuse_address): bool;
    /// Whether other sockets with this option may share its address (`SO_REUSEPORT`).
    reuse_port(reuse_port), set_reuse_port(set_reuse_port): bool;
    /// Whether small writes are sent at once (`TCP_NODELAY`).
    nodelay(tcp_nodelay), set_nodelay(set_tcp_nodelay): bool;
    /// The size of the receive buffer in bytes (`SO_RCVBUF`). Linux doubles what is set.
    recv_buffer_size(recv_buffer_size), set_recv_buffer_size(set_recv_buffer_size): usize;
    /// The size of the send buffer in bytes (`SO_SNDBUF`). Linux doubles what is set.
    send_buffer_size(send_buffer_size), set_send_buffer_size(set_send_buffer_size): usize;
    /// What happens to unsent bytes when the socket is closed (`SO_LINGER`): zero drops them and resets the connection. Anything longer blocks the
    /// thread that closes it.
    linger(linger), set_linger(set_linger): Option<Duration>;
    /// The type of service of IPv4 packets (`IP_TOS`).
    tos_v4(tos_v4), set_tos_v4(set_tos_v4): u32;
    /// Whether a connection without traffic is asked whether it lives (`SO_KEEPALIVE`), in the system's intervals unless
    /// [`set_keepalive_intervals`](TcpSocket::set_keepalive_intervals) says others.
    keepalive(keepalive), set_keepalive(set_keepalive): bool;
    /// Whether an IPv6 socket takes IPv6 alone (`IPV6_V6ONLY`).
    only_v6(only_v6), set_only_v6(set_only_v6): bool;
}

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
