//! From what users write as an address to socket addresses.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use smolkit_runtime::{Task, unblock};

#[cfg(feature = "dns")]
use crate::dns::Resolver;

/// The error with what was tried. One that has no kind of its own stays what it is: its number, all there is to tell it by, would be lost.
pub(crate) fn failed(what: &str, addr: impl fmt::Display, error: io::Error) -> io::Error {
    // What std calls the kind of all those has no stable name.
    let nameless = io::Error::from_raw_os_error(libc::EMFILE).kind();
    if error.raw_os_error().is_some() && error.kind() == nameless {
        return error;
    }
    io::Error::new(error.kind(), format!("cannot {what} {addr}: {error}"))
}

/// What can be turned into socket addresses without blocking.
///
/// Addresses and literals such as `"127.0.0.1:80"` are ready at once; a host name is looked up by the system's resolver, on a
/// thread that may block, or by the one that the program has installed (`dns::Resolver::install`, feature `dns`).
///
/// It cannot be implemented outside of this crate.
///
/// # Panics
///
/// Whoever awaits a look-up by the system's resolver panics after [`blocking::shutdown`](smolkit_runtime::blocking::shutdown): no thread is there for it any more.
///
/// # Examples
///
/// ```
/// use std::io;
/// use smolkit_net::{AsyncToSocketAddrs, Ipv4Addr, TcpListener};
/// # use smolkit_runtime as smolkit;
///
/// async fn port_of(addr: impl AsyncToSocketAddrs) -> io::Result<u16> {
///     Ok(TcpListener::bind(addr).await?.local_addr()?.port())
/// }
///
/// smolkit::block_on(async {
///     assert_ne!(port_of("127.0.0.1:0").await?, 0);
///     assert_ne!(port_of(("localhost", 0)).await?, 0);
///     assert_ne!(port_of((Ipv4Addr::LOCALHOST, 0)).await?, 0);
///     io::Result::Ok(())
/// })?;
/// # io::Result::Ok(())
/// ```
pub trait AsyncToSocketAddrs: Sealed {}

/// Keeps the trait's methods out of the public interface.
pub trait Sealed {
    /// The addresses.
    type Iter: Iterator<Item = SocketAddr> + Unpin;

    /// Starts the look-up.
    fn to_addrs(&self) -> ToSocketAddrsFuture<Self::Iter>;

    /// Starts the look-up of a name with this resolver. What is no name needs none.
    #[cfg(feature = "dns")]
    fn to_addrs_with(&self, _resolver: &Resolver) -> ToSocketAddrsFuture<Self::Iter> {
        self.to_addrs()
    }
}

/// Looks up the addresses that `addr` stands for.
///
/// # Cancel safety
///
/// When it is dropped the system's resolver may go on for a while, on its thread; its answer is dropped.
///
/// # Errors
///
/// `InvalidInput` for what is no `host:port`; the resolver's error if the name is unknown or no server
/// answers. The message has the name.
///
/// # Panics
///
/// As [`AsyncToSocketAddrs`](AsyncToSocketAddrs#panics).
///
/// # Examples
///
/// ```
/// # smolkit_runtime::block_on(async {
/// let addrs = smolkit_net::resolve("localhost:80").await?;
/// assert!(addrs.iter().all(|addr| addr.port() == 80));
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub async fn resolve<A: AsyncToSocketAddrs>(addr: A) -> io::Result<Vec<SocketAddr>> {
    Ok(addr.to_addrs().await?.collect())
}

/// A look-up in progress.
pub enum ToSocketAddrsFuture<I> {
    /// On a thread that may block.
    Resolving(Task<io::Result<I>>),
    /// By a resolver of ours.
    #[cfg(feature = "dns")]
    Asking(Pin<Box<dyn Future<Output = io::Result<I>> + Send>>),
    /// Known at once.
    Ready(Ready<io::Result<I>>),
}

impl<I: Iterator<Item = SocketAddr> + Unpin> Future for ToSocketAddrsFuture<I> {
    type Output = io::Result<I>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<I>> {
        match self.get_mut() {
            ToSocketAddrsFuture::Resolving(task) => Pin::new(task).poll(cx),
            #[cfg(feature = "dns")]
            ToSocketAddrsFuture::Asking(lookup) => lookup.as_mut().poll(cx),
            ToSocketAddrsFuture::Ready(addrs) => Pin::new(addrs).poll(cx),
        }
    }
}

impl<I> fmt::Debug for ToSocketAddrsFuture<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToSocketAddrsFuture").finish_non_exhaustive()
    }
}

fn known<I>(addrs: I) -> ToSocketAddrsFuture<I> {
    ToSocketAddrsFuture::Ready(ready(Ok(addrs)))
}

/// By the system's resolver, which does not say in its errors what it was asked for.
fn lookup<F>(name: &str, f: F) -> ToSocketAddrsFuture<vec::IntoIter<SocketAddr>>
where
    F: FnOnce(&str) -> io::Result<vec::IntoIter<SocketAddr>> + Send + 'static,
{
    let name = name.to_owned();
    ToSocketAddrsFuture::Resolving(unblock(move || {
        f(&name).map_err(|error| failed("look up", format_args!("{name:?}"), error))
    }))
}

fn from_text(addr: &str) -> ToSocketAddrsFuture<vec::IntoIter<SocketAddr>> {
    lookup(addr, |addr| addr.to_socket_addrs())
}

#[cfg(feature = "dns")]
fn ask(
    resolver: &Resolver,
    host: &str,
    port: u16,
) -> ToSocketAddrsFuture<vec::IntoIter<SocketAddr>> {
    let (resolver, host) = (resolver.clone(), host.to_owned());
    let lookup = async move { resolver.socket_addrs(&host, port).await };
    ToSocketAddrsFuture::Asking(Box::pin(async move { Ok(lookup.await?.into_iter()) }))
}

macro_rules! one_address {
    ($($type:ty),*) => {
        $(
            impl AsyncToSocketAddrs for $type {}

            impl Sealed for $type {
                type Iter = std::option::IntoIter<SocketAddr>;

                fn to_addrs(&self) -> ToSocketAddrsFuture<Self::Iter> {
                    known(Some(SocketAddr::from(*self)).into_iter())
                }
            }
        )*
    };
}

one_address!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16)
);

impl AsyncToSocketAddrs for (&str, u16) {}

impl Sealed for (&str, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_addrs(&self) -> ToSocketAddrsFuture<Self::Iter> {
        let (host, port) = *self;
        if let Ok(ip) = host.parse::<IpAddr>() {
            return known(vec![SocketAddr::new(ip, port)].into_iter());
        }
        #[cfg(feature = "dns")]
        if let Some(resolver) = Resolver::installed() {
            return ask(&resolver, host, port);
        }
        lookup(host, move |host| (host, port).to_socket_addrs())
    }

    #[cfg(feature = "dns")]
    fn to_addrs_with(&self, resolver: &Resolver) -> ToSocketAddrsFuture<Self::Iter> {
        ask(resolver, self.0, self.1)
    }
}

impl AsyncToSocketAddrs for (String, u16) {}

impl Sealed for (String, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_addrs(&self) -> ToSocketAddrsFuture<Self::Iter> {
        Sealed::to_addrs(&(self.0.as_str(), self.1))
    }

    #[cfg(feature = "dns")]
    fn to_addrs_with(&self, resolver: &Resolver) -> ToSocketAddrsFuture<Self::Iter> {
        ask(resolver, &self.0, self.1)
    }
}

impl AsyncToSocketAddrs for str {}

impl Sealed for str {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_addrs(&self) -> ToSocketAddrsFuture<Self::Iter> {
        if let Ok(addr) = self.parse::<SocketAddr>() {
            return known(vec![addr].into_iter());
        }
        #[cfg(feature = "dns")]
        if let Some(resolver) = Resolver::installed() {
            return Sealed::to_addrs_with(self, &resolver);
        }
        from_text(self)
    }

    #[cfg(feature = "dns")]
    fn to_addrs_with(&self, resolver: &Resolver) -> ToSocketAddrsFuture<Self::Iter> {
        if let Ok(addr) = self.parse::<SocketAddr>() {
            return known(vec![addr].into_iter());
        }
        match self.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
            Some((host, Ok(port))) => ask(resolver, host, port),
            // std says what is wrong with it.
            _ => from_text(self),
        }
    }
}

impl AsyncToSocketAddrs for &[SocketAddr] {}

impl<'a> Sealed for &'a [SocketAddr] {
    type Iter = std::iter::Copied<std::slice::Iter<'a, SocketAddr>>;

    fn to_addrs(&self) -> ToSocketAddrsFuture<Self::Iter> {
        let addrs: &'a [SocketAddr] = self;
        known(addrs.iter().copied())
    }
}

impl<T: AsyncToSocketAddrs + ?Sized> AsyncToSocketAddrs for &T {}

impl<T: AsyncToSocketAddrs + ?Sized> Sealed for &T {
    type Iter = T::Iter;

    fn to_addrs(&self) -> ToSocketAddrsFuture<Self::Iter> {
        (**self).to_addrs()
    }

    #[cfg(feature = "dns")]
    fn to_addrs_with(&self, resolver: &Resolver) -> ToSocketAddrsFuture<Self::Iter> {
        (**self).to_addrs_with(resolver)
    }
}

impl AsyncToSocketAddrs for String {}

impl Sealed for String {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_addrs(&self) -> ToSocketAddrsFuture<Self::Iter> {
        Sealed::to_addrs(self.as_str())
    }

    #[cfg(feature = "dns")]
    fn to_addrs_with(&self, resolver: &Resolver) -> ToSocketAddrsFuture<Self::Iter> {
        Sealed::to_addrs_with(self.as_str(), resolver)
    }
}
