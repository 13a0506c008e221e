//! A Unix socket that is neither connected nor listening yet.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{SocketAddr, UnixDatagram as StdSocket};
use std::path::Path;

use smolkit_runtime::Async;
use socket2::{Domain, SockRef, Type};

use super::{
    UnixDatagram, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream, addr, connect,
};
use crate::options::options;
use crate::sockets::{BACKLOG, adopted, new_socket};

/// A Unix socket before it connects or listens, to set its options and to give a client an address.
///
/// The last call decides what becomes of it, and fails with `InvalidInput` if the socket is of another type.
///
/// On Linux the sender's buffer is the one that counts for streams and datagrams, not the receiver's.
///
/// # Examples
///
/// ```
/// use smolkit_net::unix::UnixSocket;
/// # use smolkit_runtime as smolkit;
///
/// # let path = std::env::temp_dir().join(format!("smolkit-unix-socket-{}", std::process::id()));
/// smolkit::block_on(async {
///     let socket = UnixSocket::new_stream()?;
///     socket.bind(&path)?;
///     let listener = socket.listen(16)?;
///     let socket = UnixSocket::new_stream()?;
///     socket.set_send_buffer_size(32 * 1024)?;
///     let stream = socket.connect(&path).await?;
///     assert_eq!(stream.peer_addr()?.as_pathname(), Some(path.as_path()));
/// #   drop(listener);
///     std::io::Result::Ok(())
/// })?;
/// # std::fs::remove_file(path)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UnixSocket {
    /// In std no type stands for all of them; what we call of this one holds for every Unix socket.
    inner: StdSocket,
    ty: Type,
}

impl UnixSocket {
    /// For a [`UnixStream`] or [`UnixListener`].
    ///
    /// # Errors
    ///
    /// Those of `socket(2)`.
    pub fn new_stream() -> io::Result<UnixSocket> {
        UnixSocket::new(Type::STREAM)
    }

    /// For a [`UnixDatagram`].
    ///
    /// # Errors
    ///
    /// Those of `socket(2)`.
    pub fn new_datagram() -> io::Result<UnixSocket> {
        UnixSocket::new(Type::DGRAM)
    }

    /// For a [`UnixSeqpacket`] or [`UnixSeqpacketListener`].
    ///
    /// # Errors
    ///
    /// Those of `socket(2)`; it fails where there are no sequenced packets (macOS).
    pub fn new_seqpacket() -> io::Result<UnixSocket> {
        UnixSocket::new(Type::SEQPACKET)
    }

    fn new(ty: Type) -> io::Result<UnixSocket> {
        let inner = OwnedFd::from(new_socket(Domain::UNIX, ty, None)?).into();
        Ok(UnixSocket { inner, ty })
    }

    /// Gives it a path, which must not exist yet; the file stays behind when the socket is dropped. On Linux one that starts with a zero is an abstract name.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if something has that path; `InvalidInput` or `InvalidFilename` for what can be no path of a socket; `NotFound`,
    /// `PermissionDenied` and the others of `bind(2)`.
    pub fn bind<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        Ok(rustix::net::bind(&self.inner, &addr::from_path(path.as_ref())?)?)
    }

    /// Gives it an address: a path, or on Linux an abstract name.
    ///
    /// # Errors
    ///
    /// As [`bind`](UnixSocket::bind); `InvalidInput` if the address is unnamed.
    pub fn bind_addr(&self, addr: &SocketAddr) -> io::Result<()> {
        Ok(rustix::net::bind(&self.inner, &addr::from_std(addr)?)?)
    }

    /// Listens. So many connections, or as many as the system allows (`net.core.somaxconn`), may wait to be accepted; the others wait for a place.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no stream socket, or has no address; the others of `listen(2)`.
    pub fn listen(self, backlog: u32) -> io::Result<UnixListener> {
        let socket = self.listening(Type::STREAM, "listen for streams", backlog)?;
        Ok(UnixListener::from(Async::new_unregistered(socket.into())))
    }

    /// [`listen`](UnixSocket::listen) with the queue that [`UnixListener::bind`] has: 4,096.
    ///
    /// # Errors
    ///
    /// As [`listen`](UnixSocket::listen).
    pub fn listen_default(self) -> io::Result<UnixListener> {
        self.listen(BACKLOG as u32)
    }

    /// Listens for connections that keep the borders of messages, with a queue as for [`listen`](UnixSocket::listen).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no socket for sequenced packets, or has no address; the others of `listen(2)`.
    pub fn listen_seqpacket(self, backlog: u32) -> io::Result<UnixSeqpacketListener> {
        let socket = self.listening(Type::SEQPACKET, "listen for sequenced packets", backlog)?;
        Ok(UnixSeqpacketListener::from(Async::new_unregistered(socket.into())))
    }

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
    /// `InvalidInput` if it is no stream socket; otherwise as [`UnixStream::connect`].
    pub async fn connect<P: AsRef<Path>>(self, path: P) -> io::Result<UnixStream> {
        self.check(Type::STREAM, "connect a stream")?;
        let addr = addr::from_path(path.as_ref())?;
        Ok(UnixStream::accepted(connect::connect_socket(self.inner.into(), addr).await?.into()))
    }

    /// [`connect`](UnixSocket::connect) to an address: a path, or on Linux an abstract name.
    ///
    /// Waits while the listener's queue is full, however long that takes.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the attempt.
    ///
    /// # Errors
    ///
    /// As [`connect`](UnixSocket::connect); `InvalidInput` if the address is unnamed.
    pub async fn connect_addr(self, addr: &SocketAddr) -> io::Result<UnixStream> {
        self.check(Type::STREAM, "connect a stream")?;
        let addr = addr::from_std(addr)?;
        Ok(UnixStream::accepted(connect::connect_socket(self.inner.into(), addr).await?.into()))
    }

    /// Connects for sequenced packets, to a path or on Linux an abstract name.
    ///
    /// Waits while the listener's queue is full, however long that takes.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the attempt.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no socket for sequenced packets, or the address is unnamed; otherwise as [`UnixSeqpacket::connect`].
    pub async fn connect_seqpacket(self, addr: &SocketAddr) -> io::Result<UnixSeqpacket> {
        self.check(Type::SEQPACKET, "connect for sequenced packets")?;
        let addr = addr::from_std(addr)?;
        Ok(UnixSeqpacket::accepted(connect::connect_socket(self.inner.into(), addr).await?.into()))
    }

    /// The datagram socket that this is.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is none; those of a registration ([`Async::new`]).
    pub fn datagram(self) -> io::Result<UnixDatagram> {
        self.check(Type::DGRAM, "make a datagram socket")?;
        Ok(UnixDatagram::from(Async::new_nonblocking(OwnedFd::from(self.inner).into())?))
    }

    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn listening(self, ty: Type, what: &str, backlog: u32) -> io::Result<OwnedFd> {
        self.check(ty, what)?;
        SockRef::from(&self.inner).listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(self.inner.into())
    }

    fn check(&self, ty: Type, what: &str) -> io::Result<()> {
        if self.ty == ty {
            return Ok(());
        }
        let message = format!("cannot {what}: the socket was made for another type");
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }
}

options!(UnixSocket: buffers);

/// A Unix socket made elsewhere or handed over, which should be neither connected nor listening. It is made non-blocking.
impl TryFrom<OwnedFd> for UnixSocket {
    type Error = io::Error;

    /// # Errors
    ///
    /// `InvalidInput` if it is no Unix socket; those of `getsockopt(2)` and `fcntl(2)`.
    fn try_from(fd: OwnedFd) -> io::Result<UnixSocket> {
        let socket = adopted(fd, &[Domain::UNIX], &[Type::STREAM, Type::DGRAM, Type::SEQPACKET])?;
        let ty = socket.r#type()?;
        Ok(UnixSocket { inner: OwnedFd::from(socket).into(), ty })
    }
}

/// The descriptor, in non-blocking mode.
impl From<UnixSocket> for OwnedFd {
    fn from(socket: UnixSocket) -> OwnedFd {
        socket.inner.into()
    }
}

impl AsFd for UnixSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl AsRawFd for UnixSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}
