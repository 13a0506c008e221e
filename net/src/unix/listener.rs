//! A Unix socket that accepts connections.

use std::fmt;
use std::io;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use smolkit_runtime::Async;
use socket2::Type;

use super::{UnixStream, addr, connect};
use crate::conversions::conversions;

/// A Unix socket that accepts connections.
///
/// Its file stays behind when it is dropped, and a later `bind` to the same path fails with `AddrInUse` until somebody removes it.
///
/// # Cancel safety
///
/// Dropping `accept` loses no connection: it stays in the kernel's queue.
///
/// # Examples
///
/// ```
/// use futures_lite::StreamExt;
/// use smolkit_net::unix::{UnixListener, UnixStream};
/// # use smolkit_runtime as smolkit;
///
/// # let path = std::env::temp_dir().join(format!("smolkit-unix-listener-{}", std::process::id()));
/// smolkit::block_on(async {
///     let listener = UnixListener::bind(&path)?;
///     let client = UnixStream::connect(&path).await?;
///     let mut incoming = listener.incoming();
///     while let Some(stream) = incoming.next().await {
///         println!("{:?} is there", stream?.peer_cred()?);
/// #       break;
///     }
/// #   drop(client);
///     std::fs::remove_file(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct UnixListener {
    inner: Arc<Async<std::os::unix::net::UnixListener>>,
}

impl UnixListener {
    /// Listens on a path of the file system, which must not exist yet.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if something has that path; `InvalidInput` if it is empty, too long (more than 107 bytes on Linux) or contains a zero;
    /// `NotFound`, `PermissionDenied` and the others of `bind(2)`.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        UnixListener::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Listens on an address: a path, or on Linux an abstract name.
    ///
    /// # Errors
    ///
    /// As [`bind`](UnixListener::bind); `InvalidInput` if the address is unnamed.
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<UnixListener> {
        let socket = connect::listen(&addr::from_std(addr)?, Type::STREAM)?;
        Ok(UnixListener::from(Async::new_unregistered(socket.into())))
    }

    /// Waits for a connection. The address is that of the other end, which is mostly unnamed.
    ///
    /// # Errors
    ///
    /// Those of `accept(2)`. Many pass by (EMFILE, ENFILE, ENOBUFS, ENOMEM): a server goes on after a pause.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, addr) = self.inner.read_with(accept).await?;
        Ok((UnixStream::accepted(stream), addr))
    }

    /// [`accept`](UnixListener::accept) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`accept`](UnixListener::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let (stream, addr) = ready!(self.inner.poll_read_with(cx, accept))?;
        Poll::Ready(Ok((UnixStream::accepted(stream), addr)))
    }

    /// Connections as they come. The stream never ends; its errors are those of [`accept`](UnixListener::accept), and it goes on after them.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
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

/// For listeners of streams and of sequenced packets: in std both are `UnixListener`.
pub(super) fn accept(
    listener: &std::os::unix::net::UnixListener,
) -> io::Result<(std::os::unix::net::UnixStream, SocketAddr)> {
    let (socket, addr) = crate::accept::accept(listener)?;
    let stream = std::os::unix::net::UnixStream::from(socket);
    let addr = addr::to_std(addr, &stream)?;
    Ok((stream, addr))
}

/// The connections of a [`UnixListener`]; see [`UnixListener::incoming`].
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(cx).map(|result| Some(result.map(|(stream, _)| stream)))
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming({:?})", self.listener)
    }
}

conversions!(UnixListener, std::os::unix::net::UnixListener);
