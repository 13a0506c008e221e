//! hickory's runtime traits on smolkit's sockets, timers and tasks.

use std::error::Error;
use std::fmt;
use std::future::{Future, ready};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use hickory_resolver::net::runtime::{DnsTcpStream, DnsUdpSocket, RuntimeProvider, Spawn, Time};
use hickory_resolver::proto::op::ResponseCode;
use smolkit_runtime::Async;
use smolkit_runtime::time::{sleep, timeout};

use super::skim::HEADER_BYTES;
use crate::tcp::{TcpSocket, TcpStream};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Gives hickory what it needs of a runtime. It holds nothing: sockets and timers find their reactor themselves, so that one resolver
/// serves any number of runtimes.
#[derive(Clone, Debug)]
pub(super) struct Provider;

impl RuntimeProvider for Provider {
    type Handle = Background;
    type Timer = Clock;
    type Udp = Udp;
    type Tcp = Transport<TcpStream>;

    fn create_handle(&self) -> Background {
        Background
    }

    /// Not called: see [`connect`].
    fn connect_tcp(
        &self,
        server: SocketAddr,
        _local: Option<SocketAddr>,
        _wait: Option<Duration>,
    ) -> Boxed<'static, io::Result<Self::Tcp>> {
        Box::pin(async move { connect(server).await.map(Transport) })
    }

    /// hickory chooses `local`'s port at random and comes again if it is taken.
    fn bind_udp(
        &self,
        local: SocketAddr,
        server: SocketAddr,
    ) -> Boxed<'static, io::Result<Self::Udp>> {
        Box::pin(ready(Udp::connect(local, server)))
    }
}

/// Starts hickory's background tasks. None of what the resolver uses has one.
#[derive(Clone, Debug)]
pub(super) struct Background;

impl Spawn for Background {
    fn spawn_bg(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        smolkit_runtime::spawn(future).detach();
    }
}

/// A socket for one question.
///
/// It is connected, which hickory does not ask for: so the kernel drops what comes from another address or port before it can fill the
/// socket's buffer, and a server where nobody listens is a refusal at once instead of a wait for the deadline.
#[derive(Debug)]
pub(super) struct Udp {
    socket: Async<UdpSocket>,
    server: SocketAddr,
    /// The number of the question, once it was sent.
    asked: OnceLock<[u8; 2]>,
}

/// A server has refused a question without repeating it. hickory would drop that as nobody's reply, and wait on.
#[derive(Debug)]
pub(super) struct Refused(pub(super) ResponseCode);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it answers: {}", self.0)
    }
}

impl Error for Refused {}

impl Udp {
    fn connect(local: SocketAddr, server: SocketAddr) -> io::Result<Udp> {
        let socket = UdpSocket::bind(local)?;
        socket.connect(server)?;
        Ok(Udp { socket: Async::new(socket)?, server, asked: OnceLock::new() })
    }

    /// Whether this is how a server older than EDNS refuses our question: a header and nothing else.
    fn refusal(&self, message: &[u8]) -> Option<ResponseCode> {
        const IS_REPLY: u8 = 0x80;
        let header: &[u8; HEADER_BYTES] = message.try_into().ok()?;
        let [first, second, flags, low, counts @ ..] = header;
        let code = ResponseCode::from_low(low & 0x0f);
        let is_refusal = self.asked.get() == Some(&[*first, *second])
            && flags & IS_REPLY != 0
            && counts.iter().all(|count| *count == 0)
            && matches!(code, ResponseCode::FormErr | ResponseCode::NotImp);
        is_refusal.then_some(code)
    }
}

impl DnsUdpSocket for Udp {
    type Time = Clock;

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let count = ready!(self.socket.poll_read_with(cx, |socket| socket.recv(buf)))?;
        Poll::Ready(match self.refusal(&buf[..count]) {
            Some(code) => Err(io::Error::other(Refused(code))),
            None => Ok((count, self.server)),
        })
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        _target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        if let Some(number) = buf.first_chunk() {
            // One socket, one question.
            self.asked.get_or_init(|| *number);
        }
        self.socket.poll_write_with(cx, |socket| socket.send(buf))
    }
}

/// A connection to a server.
pub(super) async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_for(server)?;
    socket.set_nodelay(true)?;
    socket.connect(server).await
}

/// A stream that hickory takes.
#[derive(Debug)]
pub(super) struct Transport<T>(pub(super) T);

impl<T> DnsTcpStream for Transport<T>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
{
    type Time = Clock;
}

impl<T: AsyncRead + Unpin> AsyncRead for Transport<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read_vectored(cx, bufs)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Transport<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

/// smolkit's timers.
#[derive(Debug)]
pub(super) struct Clock;

impl Time for Clock {
    fn delay_for<'a>(duration: Duration) -> Boxed<'a, ()> {
        Box::pin(sleep(duration))
    }

    fn timeout<'a, F>(duration: Duration, future: F) -> Boxed<'a, io::Result<F::Output>>
    where
        F: 'static + Future + Send + 'a,
    {
        Box::pin(async move { timeout(duration, future).await.map_err(io::Error::from) })
    }
}
