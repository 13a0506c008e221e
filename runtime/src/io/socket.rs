//! What `Async` adds to the sockets of `std`.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixSocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use futures_core::Stream;
use futures_lite::{future, stream};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::ready::Waiting;
use super::{Async, poll_turn};
use crate::Timer;
use crate::reactor::source::Way;

impl Async<TcpListener> {
    /// Listens on `addr`; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// Those of `bind(2)`.
    pub fn bind<A: Into<SocketAddr>>(addr: A) -> io::Result<Async<TcpListener>> {
        Async::new(TcpListener::bind(addr.into())?)
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// Those of `accept(2)`; most of them concern one connection (`ConnectionAborted`) or pass by (EMFILE, ENFILE, ENOBUFS, ENOMEM): go on
    /// accepting, after a pause where resources are short.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost.
    pub async fn accept(&self) -> io::Result<(Async<TcpStream>, SocketAddr)> {
        let (stream, addr) = self.read_with(|io| io.accept()).await?;
        Ok((Async::new(stream)?, addr))
    }

    /// Connections as they come. The stream never ends: an error is an item, and the next connection may follow it.
    ///
    /// # Errors
    ///
    /// Those of `accept`.
    pub fn incoming(&self) -> impl Stream<Item = io::Result<Async<TcpStream>>> + Send + '_ {
        stream::unfold(self, |listener| async move {
            Some((listener.accept().await.map(|(stream, _)| stream), listener))
        })
    }
}

impl Async<TcpStream> {
    /// Connects to `addr`.
    ///
    /// # Errors
    ///
    /// Those of `connect(2)`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up and closes the socket.
    pub async fn connect<A: Into<SocketAddr>>(addr: A) -> io::Result<Async<TcpStream>> {
        let addr = addr.into();
        let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = stream_socket(family)?;
        match rustix::net::connect(&socket, &addr) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let stream = Async::new_nonblocking(TcpStream::from(socket))?;
        stream.established().await?;
        Ok(stream)
    }

    /// Waits for the end of an attempt to connect.
    #[doc(hidden)]
    pub async fn established(&self) -> io::Result<()> {
        loop {
            self.writable().await?;
            if let Some(error) = self.get_ref().take_error()? {
                return Err(error);
            }
            match self.get_ref().peer_addr() {
                // It was not the socket that woke us, but the end of the reactor that watched it: another one does now.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                Err(error) => return Err(error),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// Reads without taking the bytes out of the socket.
    ///
    /// # Errors
    ///
    /// Those of `recv(2)`.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(|io| io.peek(buf)).await
    }
}

impl Async<UdpSocket> {
    /// A socket bound to `addr`; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// Those of `bind(2)`.
    pub fn bind<A: Into<SocketAddr>>(addr: A) -> io::Result<Async<UdpSocket>> {
        Async::new(UdpSocket::bind(addr.into())?)
    }

    /// Waits for a datagram and says where it comes from. What does not fit into `buf` is lost.
    ///
    /// # Errors
    ///
    /// Those of `recvfrom(2)`.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.read_with(|io| io.recv_from(buf)).await
    }

    /// [`recv_from`](Async::<UdpSocket>::recv_from) that leaves the datagram in the socket.
    ///
    /// # Errors
    ///
    /// Those of `recvfrom(2)`.
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.read_with(|io| io.peek_from(buf)).await
    }

    /// Sends a datagram to `addr`.
    ///
    /// # Errors
    ///
    /// Those of `sendto(2)`.
    pub async fn send_to<A: Into<SocketAddr>>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let addr = addr.into();
        self.write_with(|io| io.send_to(buf, addr)).await
    }

    /// Waits for a datagram of the address that this socket is connected to. What does not fit into `buf` is lost.
    ///
    /// # Errors
    ///
    /// Those of `recv(2)`; `ConnectionRefused` if an earlier datagram was turned away.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(|io| io.recv(buf)).await
    }

    /// [`recv`](Async::<UdpSocket>::recv) that leaves the datagram in the socket.
    ///
    /// # Errors
    ///
    /// Those of `recv(2)`.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(|io| io.peek(buf)).await
    }

    /// Sends a datagram to the address that this socket is connected to.
    ///
    /// # Errors
    ///
    /// Those of `send(2)`.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.write_with(|io| io.send(buf)).await
    }
}

impl Async<UnixListener> {
    /// Listens on a path of the file system.
    ///
    /// # Errors
    ///
    /// Those of `bind(2)`.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Async<UnixListener>> {
        Async::new(UnixListener::bind(path)?)
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// Those of `accept(2)`.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost.
    pub async fn accept(&self) -> io::Result<(Async<UnixStream>, UnixSocketAddr)> {
        let (stream, addr) = self.read_with(|io| io.accept()).await?;
        Ok((Async::new(stream)?, addr))
    }

    /// Connections as they come. The stream never ends: an error is an item, and the next connection may follow it.
    ///
    /// # Errors
    ///
    /// Those of `accept`.
    pub fn incoming(&self) -> impl Stream<Item = io::Result<Async<UnixStream>>> + Send + '_ {
        stream::unfold(self, |listener| async move {
            Some((listener.accept().await.map(|(stream, _)| stream), listener))
        })
    }
}

/// How long to wait before one looks again whether a queue of the other side has room; twice as long each time.
const FULL_QUEUE_WAIT_MIN: Duration = Duration::from_millis(1);
const FULL_QUEUE_WAIT_MAX: Duration = Duration::from_millis(64);

impl Async<UnixStream> {
    /// Connects to a path of the file system or, on Linux, to the abstract name that follows a leading zero byte.
    ///
    /// While the listener's queue is full, this waits, as connecting with a blocking socket does. (smol fails with `NotConnected` there.)
    ///
    /// # Errors
    ///
    /// Those of `connect(2)`; `InvalidFilename` for a path that is too long for an address, `InvalidInput` for one with a zero byte in it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up and closes the socket.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<Async<UnixStream>> {
        let addr = unix_addr(path.as_ref())?;
        let socket = stream_socket(AddressFamily::UNIX)?;
        let mut wait = FULL_QUEUE_WAIT_MIN;
        loop {
            match rustix::net::connect(&socket, &addr) {
                Ok(()) => return Async::new_nonblocking(UnixStream::from(socket)),
                // The kernel does not say when there is room: there is no connection yet that it could report on.
                Err(Errno::AGAIN) => {
                    Timer::after(wait).await;
                    wait = FULL_QUEUE_WAIT_MAX.min(wait * 2);
                }
                Err(Errno::INPROGRESS | Errno::INTR) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        let stream = Async::new_nonblocking(UnixStream::from(socket))?;
        stream.writable().await?;
        match stream.get_ref().take_error()? {
            None => Ok(stream),
            Some(error) => Err(error),
        }
    }

    /// Two sockets, connected to each other.
    ///
    /// # Errors
    ///
    /// Those of `socketpair(2)`.
    pub fn pair() -> io::Result<(Async<UnixStream>, Async<UnixStream>)> {
        let (one, other) = UnixStream::pair()?;
        Ok((Async::new(one)?, Async::new(other)?))
    }
}

impl Async<UnixDatagram> {
    /// A socket bound to a path of the file system.
    ///
    /// # Errors
    ///
    /// Those of `bind(2)`.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Async<UnixDatagram>> {
        Async::new(UnixDatagram::bind(path)?)
    }

    /// A socket without an address, for sending.
    ///
    /// # Errors
    ///
    /// Those of `socket(2)`.
    pub fn unbound() -> io::Result<Async<UnixDatagram>> {
        Async::new(UnixDatagram::unbound()?)
    }

    /// Two sockets, connected to each other.
    ///
    /// # Errors
    ///
    /// Those of `socketpair(2)`.
    pub fn pair() -> io::Result<(Async<UnixDatagram>, Async<UnixDatagram>)> {
        let (one, other) = UnixDatagram::pair()?;
        Ok((Async::new(one)?, Async::new(other)?))
    }

    /// Waits for a datagram and says where it comes from. What does not fit into `buf` is lost.
    ///
    /// # Errors
    ///
    /// Those of `recvfrom(2)`.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, UnixSocketAddr)> {
        self.read_with(|io| io.recv_from(buf)).await
    }

    /// Sends a datagram to the socket at `path`.
    ///
    /// # Errors
    ///
    /// Those of `sendto(2)`: `NotFound` or `ConnectionRefused` where nobody listens.
    pub async fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        poll_fn(|cx| poll_turn(&self.source, cx, Way::Write)).await;
        let mut wait = FULL_QUEUE_WAIT_MIN;
        loop {
            let seen = self.source.seen();
            match self.get_ref().send_to(buf, &path) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => return result,
            }
            self.source.block(seen, Way::Write);
            // The kernel reports room in this socket's buffer, but not in the queue of a receiver that it is not connected to.
            let room = Waiting::new(&self.source, Way::Write);
            let look = async {
                Timer::after(wait).await;
                Ok(())
            };
            future::or(room, look).await?;
            wait = FULL_QUEUE_WAIT_MAX.min(wait * 2);
        }
    }

    /// Waits for a datagram of the peer. What does not fit into `buf` is lost.
    ///
    /// # Errors
    ///
    /// Those of `recv(2)`.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(|io| io.recv(buf)).await
    }

    /// Sends a datagram to the peer.
    ///
    /// # Errors
    ///
    /// Those of `send(2)`: `NotConnected` or `ConnectionRefused` without one.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.write_with(|io| io.send(buf)).await
    }
}

/// The address of a path, or of an abstract name where the path begins with a zero byte.
fn unix_addr(path: &Path) -> io::Result<SocketAddrUnix> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let [0, name @ ..] = path.as_os_str().as_bytes() {
        return Ok(SocketAddrUnix::new_abstract_name(name)?);
    }
    SocketAddrUnix::new(path.as_os_str().as_bytes()).map_err(|errno| {
        let error = io::Error::from(errno);
        io::Error::new(error.kind(), format!("cannot connect to {}: {error}", path.display()))
    })
}

/// A stream socket in non-blocking mode that children do not inherit.
fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    #[cfg(not(any(target_vendor = "apple", target_os = "aix", target_os = "haiku")))]
    {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
    }
    #[cfg(any(target_vendor = "apple", target_os = "aix", target_os = "haiku"))]
    {
        let _ = SocketFlags::empty();
        let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        super::set_nonblocking(std::os::fd::AsFd::as_fd(&socket))?;
        Ok(socket)
    }
}

macro_rules! try_from_std {
    ($($type:ty),*) => {
        $(
            impl TryFrom<$type> for Async<$type> {
                type Error = io::Error;

                fn try_from(io: $type) -> io::Result<Self> {
                    Async::new(io)
                }
            }
        )*
    };
}

try_from_std!(TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream, UnixDatagram);
