//! From what users write as an address to socket addresses.

use std::future::{Future, Ready, ready};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use smolkit_runtime::{Task, unblock};

/// What can be turned into socket addresses without blocking.
///
/// Addresses and literals such as `"127.0.0.1:80"` are ready at once; a host name is looked up by the system's resolver, on a
/// thread that may block.
pub trait AsyncToSocketAddrs: Sealed {}

/// Keeps the trait's methods out of the public interface.
pub trait Sealed {
    /// The addresses.
    type Iter: Iterator<Item = SocketAddr> + Unpin;

    /// Starts the look-up.
    fn to_addrs(&self) -> ToSocketAddrsFuture<Self::Iter>;
}

/// Looks up the addresses that `addr` stands for.
///
/// # Errors
///
/// `InvalidInput` for what is no `host:port`; the resolver's error if the name is unknown or no server
/// answers.
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
#[derive(Debug)]
pub enum ToSocketAddrsFuture<I> {
    /// On a thread that may block.
    Resolving(Task<io::Result<I>>),
    /// Known at once.
    Ready(Ready<io::Result<I>>),
}

impl<I: Iterator<Item = SocketAddr> + Unpin> Future for ToSocketAddrsFuture<I> {
    type Output = io::Result<I>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<I>> {
        match self.get_mut() {
            ToSocketAddrsFuture::Resolving(task) => Pin::new(task).poll(cx),
            ToSocketAddrsFuture::Ready(addrs) => Pin::new(addrs).poll(cx),
        }
    }
}

fn known<I>(addrs: I) -> ToSocketAddrsFuture<I> {
    ToSocketAddrsFuture::Ready(ready(Ok(addrs)))
}

fn lookup<F>(f: F) -> ToSocketAddrsFuture<vec::IntoIter<SocketAddr>>
where
    F: FnOnce() -> io::Result<vec::IntoIter<SocketAddr>> + Send + 'static,
{
    ToSocketAddrsFuture::Resolving(unblock(f))
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
        let host = host.to_owned();
        lookup(move || (host.as_str(), port).to_socket_addrs())
    }
}

impl AsyncToSocketAddrs for (String, u16) {}

impl Sealed for (String, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_addrs(&self) -> ToSocketAddrsFuture<Self::Iter> {
        Sealed::to_addrs(&(self.0.as_str(), self.1))
    }
}

impl AsyncToSocketAddrs for str {}

impl Sealed for str {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_addrs(&self) -> ToSocketAddrsFuture<Self::Iter> {
        if let Ok(addr) = self.parse::<SocketAddr>() {
            return known(vec![addr].into_iter());
        }
        let addr = self.to_owned();
        lookup(move || addr.as_str().to_socket_addrs())
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
}

impl AsyncToSocketAddrs for String {}

impl Sealed for String {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_addrs(&self) -> ToSocketAddrsFuture<Self::Iter> {
        Sealed::to_addrs(self.as_str())
    }
}
