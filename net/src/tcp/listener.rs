//! A TCP socket that accepts connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use smolkit_runtime::Async;

use super::TcpStream;
use crate::addr::{AsyncToSocketAddrs, failed};
use crate::conversions::conversions;
use crate::options::options;
use crate::sockets::BACKLOG;

/// A TCP socket that accepts connections.
///
/// # Cancel safety
///
/// Dropping `accept` loses no connection: it stays in the kernel's queue.
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncWriteExt;
/// use smolkit_net::TcpListener;
/// # use smolkit_net::TcpStream;
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
/// #   let client = TcpStream::connect(listener.local_addr()?).await?;
///     loop {
///         let (mut stream, peer) = listener.accept().await?;
///         let greeting = async move { stream.write_all(format!("hello, {peer}").as_bytes()).await };
///         smolkit::spawn(greeting).detach();
/// #       assert!(client.peek(&mut [0]).await? == 1);
/// #       break std::io::Result::Ok(());
///     }
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct TcpListener {
    inner: Arc<Async<std::net::TcpListener>>,
}

impl TcpListener {
    /// Listens on the first of the addresses that can be had; port 0 lets the system choose. `SO_REUSEADDR` is set.
    ///
    /// # Limits
    ///
    /// 4,096 connections, or as many as the system allows (`net.core.somaxconn`), may wait to be accepted.
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
    pub async fn bind<A: AsyncToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        let mut last = None;
        for addr in addr.to_addrs().await? {
            match listen(addr) {
                Ok(listener) => return Ok(TcpListener::from(listener)),
                Err(error) => last = Some(failed("listen on", addr, error)),
            }
        }
        Err(last.unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "cannot listen: the name has no address")
        }))
    }

    /// The address it listens on.
    ///
    /// # Errors
    ///
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get_ref().local_addr()
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// Those of `accept(2)`. Many concern one connection (`ConnectionAborted`) or pass by (EMFILE, ENFILE, ENOBUFS, ENOMEM): a server
    /// goes on, after a pause where resources are short.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, addr) = self.inner.read_with(accept).await?;
        Ok((TcpStream::accepted(stream), addr))
    }

    /// [`accept`](TcpListener::accept) as a poll function, for one task at a time.
    ///
    /// # Errors
    ///
    /// As [`accept`](TcpListener::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (stream, addr) = ready!(self.inner.poll_read_with(cx, accept))?;
        Poll::Ready(Ok((TcpStream::accepted(stream), addr)))
    }

    /// Connections as they come. The stream never ends; its errors are those of [`accept`](TcpListener::accept), and a loop that goes on after EMFILE without a pause
    /// turns as fast as it can until a descriptor is free.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use smolkit_net::TcpListener;
    /// # use smolkit_net::TcpStream;
    /// # use smolkit_runtime as smolkit;
    ///
    /// smolkit::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// #   let _client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let mut incoming = listener.incoming();
    ///     while let Some(stream) = incoming.next().await {
    ///         println!("{} is there", stream?.peer_addr()?);
    /// #       break;
    ///     }
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }
}

options!(TcpListener: ttl);

fn listen(addr: SocketAddr) -> io::Result<Async<std::net::TcpListener>> {
    let listener = std::net::TcpListener::bind(addr)?;
    // On a socket that listens already this changes the length of the queue (`listen(2)`).
    rustix::net::listen(&listener, BACKLOG)?;
    Async::new(listener)
}

fn accept(listener: &std::net::TcpListener) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    let (socket, addr) = crate::accept::accept(listener)?;
    let stream = std::net::TcpStream::from(socket);
    let addr = match addr.and_then(|addr| SocketAddr::try_from(addr).ok()) {
        Some(addr) => addr,
        None => stream.peer_addr()?,
    };
    Ok((stream, addr))
}

/// The connections of a [`TcpListener`]; see [`TcpListener::incoming`].
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(cx).map(|result| Some(result.map(|(stream, _)| stream)))
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming({:?})", self.listener)
    }
}

conversions!(TcpListener, std::net::TcpListener);
