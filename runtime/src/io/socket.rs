//! What `Async` adds to the sockets of `std`.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use futures_core::Stream;
use futures_lite::stream;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::Async;

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
    /// Those of `accept(2)`; most of them concern one connection or pass by: go on accepting.
    pub async fn accept(&self) -> io::Result<(Async<TcpStream>, SocketAddr)> {
        let (stream, addr) = self.read_with(|io| io.accept()).await?;
        Ok((Async::new(stream)?, addr))
    }

    /// Connections as they come. The stream never ends.
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
    pub async fn connect<A: Into<SocketAddr>>(addr: A) -> io::Result<Async<TcpStream>> {
        let addr = addr.into();
        let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = stream_socket(family)?;
        match rustix::net::connect(&socket, &addr) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let stream = Async::new_nonblocking(TcpStream::from(socket))?;
        stream.writable().await?;
        match stream.get_ref().take_error()? {
            None => Ok(stream),
            Some(error) => Err(error),
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

    /// Waits for a datagram. What does not fit into `buf` is lost.
    ///
    /// # Errors
    ///
    /// Those of `recvfrom(2)`.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.read_with(|io| io.recv_from(buf)).await
    }

    /// Sends a datagram.
    ///
    /// # Errors
    ///
    /// Those of `sendto(2)`.
    pub async fn send_to<A: Into<SocketAddr>>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let addr = addr.into();
        self.write_with(|io| io.send_to(buf, addr)).await
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
    pub async fn accept(&self) -> io::Result<(Async<UnixStream>, std::os::unix::net::SocketAddr)> {
        let (stream, addr) = self.read_with(|io| io.accept()).await?;
        Ok((Async::new(stream)?, addr))
    }
}

impl Async<UnixStream> {
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

/// A stream socket in non-blocking mode that children do not inherit.
fn stream_socket(family: AddressFamily) -> io::Result<std::os::fd::OwnedFd> {
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

try_from_std!(TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream);
