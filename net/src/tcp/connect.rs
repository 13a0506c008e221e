//! Connecting to a name with several addresses: happy eyeballs.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smolkit_runtime::Timer;

use super::{TcpSocket, TcpStream};
use crate::addr::{AsyncToSocketAddrs, ToSocketAddrsFuture};
#[cfg(feature = "dns")]
use crate::dns::Resolver;

/// How long an attempt has the line for itself (RFC 8305 §5, the recommended value).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How to connect: a deadline, the pace of the attempts, options of the socket.
///
/// All addresses are tried as RFC 8305 asks: in the resolver's order but with the families in turn, each attempt starting when the one before has failed or
/// has taken [`attempt_delay`](TcpConnector::attempt_delay). The first connection wins; the other attempts are dropped. The look-up of the name comes first, and is not
/// waited for beside the attempts: what is gained by that is small where answers come together, as they mostly do.
///
/// # Limits
///
/// | what | default |
/// |---|---|
/// | deadline | none: the system gives up after about two minutes |
/// | delay between attempts | 250 ms |
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use smolkit_net::{TcpConnector, TcpListener};
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let connector = TcpConnector::new()
///         .timeout(Duration::from_secs(5))
///         .configure(|socket| socket.set_nodelay(true));
///     let stream = connector.connect(("localhost", listener.local_addr()?.port())).await?;
///     assert!(stream.nodelay()?);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct TcpConnector {
    timeout: Option<Duration>,
    attempt_delay: Duration,
    configure: Option<Box<Configure>>,
    #[cfg(feature = "dns")]
    resolver: Option<Resolver>,
}

type Configure = dyn Fn(&TcpSocket) -> io::Result<()> + Send + Sync;

impl TcpConnector {
    /// One with the defaults.
    pub fn new() -> TcpConnector {
        TcpConnector {
            timeout: None,
            attempt_delay: ATTEMPT_DELAY,
            configure: None,
            #[cfg(feature = "dns")]
            resolver: None,
        }
    }

    /// Gives up after this time, the look-up of the name included. One that overflows the clock means "never".
    pub fn timeout(mut self, timeout: Duration) -> TcpConnector {
        self.timeout = Some(timeout);
        self
    }

    /// How long an attempt runs before the next one starts beside it.
    pub fn attempt_delay(mut self, delay: Duration) -> TcpConnector {
        self.attempt_delay = delay;
        self
    }

    /// Called with each socket before it connects. An error fails this attempt, and the next address is tried.
    ///
    /// [`set_fast_open_connect`](TcpSocket::set_fast_open_connect) takes effect only if there is no more than one address: such a connection is made with the first
    /// write, too late to try another address.
    pub fn configure(
        mut self,
        configure: impl Fn(&TcpSocket) -> io::Result<()> + Send + Sync + 'static,
    ) -> TcpConnector {
        self.configure = Some(Box::new(configure));
        self
    }

    /// Looks names up with this resolver, whichever one the process has.
    #[cfg(feature = "dns")]
    pub fn resolver(mut self, resolver: &Resolver) -> TcpConnector {
        self.resolver = Some(resolver.clone());
        self
    }

    /// Connects to the first of the addresses that answers.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends all attempts.
    ///
    /// # Errors
    ///
    /// If all addresses fail, a [`ConnectError`] inside, with the kind of the last one's error: `ConnectionRefused`, `TimedOut`,
    /// `NetworkUnreachable`, `HostUnreachable` and the others of `connect(2)`. `TimedOut` after the deadline. The errors of the look-up of a name;
    /// `InvalidInput` if there is no address.
    ///
    /// # Panics
    ///
    /// As [`AsyncToSocketAddrs`](AsyncToSocketAddrs#panics).
    pub async fn connect<A: AsyncToSocketAddrs>(&self, addr: A) -> io::Result<TcpStream> {
        // A deadline that overflows means "never".
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut late = deadline.map_or_else(Timer::never, Timer::at);
        let mut addrs = self.look_up(&addr);
        let found = or_late(&mut addrs, &mut late).await;
        let Some(found) = found else {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "cannot connect: the look-up of the name took longer than the deadline",
            ));
        };
        let addrs: Vec<SocketAddr> = found?.collect();
        if addrs.is_empty() {
            let message = "cannot connect: the name has no address";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Race::new(self, addrs, late).await
    }

    fn look_up<A: AsyncToSocketAddrs>(&self, addr: &A) -> ToSocketAddrsFuture<A::Iter> {
        #[cfg(feature = "dns")]
        if let Some(resolver) = self.resolver.clone().or_else(Resolver::installed) {
            return addr.to_addrs_with(&resolver.for_connections());
        }
        addr.to_addrs()
    }

    async fn attempt(&self, addr: SocketAddr, is_only: bool) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_for(addr)?;
        if let Some(configure) = &self.configure {
            configure(&socket)?;
            if !is_only {
                // One that is put off would win at once, whether anybody is there or not.
                socket.connect_at_once()?;
            }
        }
        socket.connect(addr).await
    }
}

impl Default for TcpConnector {
    fn default() -> TcpConnector {
        TcpConnector::new()
    }
}

impl fmt::Debug for TcpConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpConnector")
            .field("timeout", &self.timeout)
            .field("attempt_delay", &self.attempt_delay)
            .finish_non_exhaustive()
    }
}

/// `None` if `late` comes first.
async fn or_late<F: Future + Unpin>(future: &mut F, late: &mut Timer) -> Option<F::Output> {
    futures_lite::future::or(async { Some(future.await) }, async {
        late.await;
        None
    })
    .await
}

/// The order of the attempts: the families in turn, beginning with that of the first address (RFC 8305 §4).
fn interleave(addrs: &[SocketAddr]) -> Vec<SocketAddr> {
    let first = addrs.first().is_some_and(SocketAddr::is_ipv6);
    let mut same = addrs.iter().filter(|addr| addr.is_ipv6() == first);
    let mut other = addrs.iter().filter(|addr| addr.is_ipv6() != first);
    let mut order = Vec::with_capacity(addrs.len());
    while order.len() < addrs.len() {
        order.extend(same.next());
        order.extend(other.next());
    }
    order
}

type Attempt<'a> = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + 'a>>;

/// The attempts that run beside each other.
struct Race<'a> {
    connector: &'a TcpConnector,
    /// In the resolver's order; the last one's error gives the kind.
    addrs: Vec<SocketAddr>,
    waiting: std::vec::IntoIter<SocketAddr>,
    running: Vec<(SocketAddr, Attempt<'a>)>,
    failed: Vec<(SocketAddr, io::Error)>,
    next: Timer,
    late: Timer,
}

impl<'a> Race<'a> {
    fn new(connector: &'a TcpConnector, addrs: Vec<SocketAddr>, late: Timer) -> Race<'a> {
        let waiting = interleave(&addrs).into_iter();
        let (running, failed) = (Vec::new(), Vec::new());
        Race { connector, addrs, waiting, running, failed, next: Timer::never(), late }
    }

    fn start_next(&mut self) -> bool {
        let Some(addr) = self.waiting.next() else { return false };
        self.running.push((addr, Box::pin(self.connector.attempt(addr, self.addrs.len() == 1))));
        if self.waiting.len() > 0 {
            self.next.set_after(self.connector.attempt_delay);
        }
        true
    }

    fn error(&mut self, is_late: bool) -> io::Error {
        let last = self.addrs.last();
        let found = self.failed.iter().rfind(|(addr, _)| Some(addr) == last);
        let kind = match found {
            _ if is_late => io::ErrorKind::TimedOut,
            Some((_, error)) => error.kind(),
            None => io::ErrorKind::Other,
        };
        let mut attempts = std::mem::take(&mut self.failed);
        for (addr, _) in self.running.drain(..) {
            let message = "no answer until the deadline";
            attempts.push((addr, io::Error::new(io::ErrorKind::TimedOut, message)));
        }
        io::Error::new(kind, ConnectError { attempts })
    }
}

impl Future for Race<'_> {
    type Output = io::Result<TcpStream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let this = &mut *self;
        loop {
            let mut index = 0;
            let mut has_failed = false;
            while index < this.running.len() {
                match this.running[index].1.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        let (addr, _) = this.running.remove(index);
                        this.failed.push((addr, error));
                        has_failed = true;
                    }
                    Poll::Pending => index += 1,
                }
            }
            let is_time = Pin::new(&mut this.next).poll(cx).is_ready();
            if is_time {
                this.next = Timer::never();
            }
            if (has_failed || is_time || this.running.is_empty()) && this.start_next() {
                continue;
            }
            if this.running.is_empty() {
                return Poll::Ready(Err(this.error(false)));
            }
            if Pin::new(&mut this.late).poll(cx).is_ready() {
                return Poll::Ready(Err(this.error(true)));
            }
            if !is_time {
                return Poll::Pending;
            }
        }
    }
}

/// No address answered: which were tried, and how each of them failed. It is inside the `io::Error` that `connect` returns.
///
/// # Examples
///
/// ```
/// use smolkit_net::{ConnectError, TcpSocket, TcpStream};
/// # use smolkit_runtime as smolkit;
///
/// smolkit::block_on(async {
///     // Bound, but nobody listens.
///     let (one, other) = (TcpSocket::new_v4()?, TcpSocket::new_v4()?);
///     one.bind(([127, 0, 0, 1], 0).into())?;
///     other.bind(([127, 0, 0, 1], 0).into())?;
///     let addrs = [one.local_addr()?, other.local_addr()?];
///     let error = TcpStream::connect(&addrs[..]).await.unwrap_err();
///     assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
///     let failed = error.get_ref().and_then(|inner| inner.downcast_ref::<ConnectError>());
///     for (addr, error) in failed.into_iter().flat_map(ConnectError::attempts) {
///         println!("{addr}: {error}");
///     }
/// #   assert_eq!(failed.unwrap().attempts().count(), 2);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct ConnectError {
    attempts: Vec<(SocketAddr, io::Error)>,
}

impl ConnectError {
    /// The addresses that were tried, with their errors.
    pub fn attempts(&self) -> impl Iterator<Item = (SocketAddr, &io::Error)> {
        self.attempts.iter().map(|(addr, error)| (*addr, error))
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot connect")?;
        for (index, (addr, error)) in self.attempts.iter().enumerate() {
            let comma = if index == 0 { "" } else { ";" };
            write!(f, "{comma} to {addr}: {error}")?;
        }
        Ok(())
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.attempts.last().map(|(_, error)| error as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the order of RFC 8305 §4. Method: two families, one longer than the other.
    #[test]
    fn families_take_turns() {
        let parse = |addr: &str| addr.parse::<SocketAddr>().unwrap();
        let addrs = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"].map(parse);
        let order = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"].map(parse);
        assert_eq!(interleave(&addrs), order);
        assert_eq!(interleave(&addrs[3..]), addrs[3..]);
        assert!(interleave(&[]).is_empty());
    }
}
