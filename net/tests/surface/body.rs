// Every public item of async-net 2.0.0, coerced to its signature. Included twice; `net` and `Async` are the including module's.

use std::fmt::Debug;
use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;
use std::sync::Arc;

use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use net::unix::{self, UnixDatagram, UnixListener, UnixStream};
use net::{AsyncToSocketAddrs, TcpListener, TcpStream, UdpSocket};

type Get<S, T> = fn(&S) -> io::Result<T>;
type Set<S, T> = fn(&S, T) -> io::Result<()>;

/// A future with this output that can move between threads.
fn output<T>(_: impl Future<Output = io::Result<T>> + Send) {}

fn everywhere<T: Send + Sync + Unpin>() {}
fn unwinds<T: UnwindSafe + RefUnwindSafe>() {}
fn clones<T: Clone + Debug>() {}
fn descriptor<T: AsFd + AsRawFd + TryFrom<OwnedFd, Error = io::Error>>() {}
fn converts<T, Std>()
where
    T: From<Async<Std>> + TryFrom<Std, Error = io::Error>,
    Arc<Async<Std>>: From<T>,
{
}
fn bytes<T: AsyncRead + AsyncWrite>() {}
fn stream<T: Stream<Item = I> + Debug, I>() {}
fn addrs<T: AsyncToSocketAddrs + ?Sized>() {}

#[allow(clippy::type_complexity)]
fn items() {
    everywhere::<TcpListener>();
    everywhere::<TcpStream>();
    everywhere::<UdpSocket>();
    everywhere::<UnixListener>();
    everywhere::<UnixStream>();
    everywhere::<UnixDatagram>();
    everywhere::<net::Incoming<'static>>();
    everywhere::<unix::Incoming<'static>>();
    unwinds::<TcpStream>();
    unwinds::<UnixStream>();
    clones::<TcpListener>();
    clones::<TcpStream>();
    clones::<UdpSocket>();
    clones::<UnixListener>();
    clones::<UnixStream>();
    clones::<UnixDatagram>();
    descriptor::<TcpListener>();
    descriptor::<TcpStream>();
    descriptor::<UdpSocket>();
    descriptor::<UnixListener>();
    descriptor::<UnixStream>();
    let _: fn(&UnixDatagram) -> i32 = UnixDatagram::as_raw_fd;
    converts::<TcpListener, std::net::TcpListener>();
    converts::<TcpStream, std::net::TcpStream>();
    converts::<UdpSocket, std::net::UdpSocket>();
    converts::<UnixListener, std::os::unix::net::UnixListener>();
    converts::<UnixStream, std::os::unix::net::UnixStream>();
    converts::<UnixDatagram, std::os::unix::net::UnixDatagram>();
    bytes::<TcpStream>();
    bytes::<UnixStream>();
    stream::<net::Incoming<'static>, io::Result<TcpStream>>();
    stream::<unix::Incoming<'static>, io::Result<UnixStream>>();

    addrs::<SocketAddr>();
    addrs::<net::SocketAddrV4>();
    addrs::<net::SocketAddrV6>();
    addrs::<(net::IpAddr, u16)>();
    addrs::<(Ipv4Addr, u16)>();
    addrs::<(Ipv6Addr, u16)>();
    addrs::<(&str, u16)>();
    addrs::<(String, u16)>();
    addrs::<str>();
    addrs::<&[SocketAddr]>();
    addrs::<&&str>();
    addrs::<String>();
    let _: Result<net::IpAddr, net::AddrParseError> = "::1".parse();
    let _: (net::Ipv4Addr, net::Ipv6Addr) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);

    let _: Get<TcpListener, SocketAddr> = TcpListener::local_addr;
    let _: for<'a> fn(&'a TcpListener) -> net::Incoming<'a> = TcpListener::incoming;
    let _: Get<TcpListener, u32> = TcpListener::ttl;
    let _: Set<TcpListener, u32> = TcpListener::set_ttl;
    let _: Get<TcpStream, SocketAddr> = TcpStream::local_addr;
    let _: Get<TcpStream, SocketAddr> = TcpStream::peer_addr;
    let _: Set<TcpStream, net::Shutdown> = TcpStream::shutdown;
    let _: Get<TcpStream, bool> = TcpStream::nodelay;
    let _: Set<TcpStream, bool> = TcpStream::set_nodelay;
    let _: Get<TcpStream, u32> = TcpStream::ttl;
    let _: Set<TcpStream, u32> = TcpStream::set_ttl;

    let _: Get<UdpSocket, SocketAddr> = UdpSocket::local_addr;
    let _: Get<UdpSocket, SocketAddr> = UdpSocket::peer_addr;
    let _: Get<UdpSocket, bool> = UdpSocket::broadcast;
    let _: Set<UdpSocket, bool> = UdpSocket::set_broadcast;
    let _: Get<UdpSocket, bool> = UdpSocket::multicast_loop_v4;
    let _: Set<UdpSocket, bool> = UdpSocket::set_multicast_loop_v4;
    let _: Get<UdpSocket, u32> = UdpSocket::multicast_ttl_v4;
    let _: Set<UdpSocket, u32> = UdpSocket::set_multicast_ttl_v4;
    let _: Get<UdpSocket, bool> = UdpSocket::multicast_loop_v6;
    let _: Set<UdpSocket, bool> = UdpSocket::set_multicast_loop_v6;
    let _: Get<UdpSocket, u32> = UdpSocket::ttl;
    let _: Set<UdpSocket, u32> = UdpSocket::set_ttl;
    let _: fn(&UdpSocket, Ipv4Addr, Ipv4Addr) -> io::Result<()> = UdpSocket::join_multicast_v4;
    let _: fn(&UdpSocket, Ipv4Addr, Ipv4Addr) -> io::Result<()> = UdpSocket::leave_multicast_v4;
    let _: fn(&UdpSocket, &Ipv6Addr, u32) -> io::Result<()> = UdpSocket::join_multicast_v6;
    let _: fn(&UdpSocket, &Ipv6Addr, u32) -> io::Result<()> = UdpSocket::leave_multicast_v6;

    let _: fn(&'static Path) -> io::Result<UnixListener> = UnixListener::bind;
    let _: for<'a> fn(&'a UnixListener) -> unix::Incoming<'a> = UnixListener::incoming;
    let _: Get<UnixListener, unix::SocketAddr> = UnixListener::local_addr;
    let _: fn() -> io::Result<(UnixStream, UnixStream)> = UnixStream::pair;
    let _: Get<UnixStream, unix::SocketAddr> = UnixStream::local_addr;
    let _: Get<UnixStream, unix::SocketAddr> = UnixStream::peer_addr;
    let _: Set<UnixStream, net::Shutdown> = UnixStream::shutdown;
    let _: fn(&'static str) -> io::Result<UnixDatagram> = UnixDatagram::bind;
    let _: fn() -> io::Result<UnixDatagram> = UnixDatagram::unbound;
    let _: fn() -> io::Result<(UnixDatagram, UnixDatagram)> = UnixDatagram::pair;
    let _: fn(&UnixDatagram, &'static str) -> io::Result<()> = UnixDatagram::connect;
    let _: Get<UnixDatagram, unix::SocketAddr> = UnixDatagram::local_addr;
    let _: Get<UnixDatagram, unix::SocketAddr> = UnixDatagram::peer_addr;
    let _: Set<UnixDatagram, net::Shutdown> = UnixDatagram::shutdown;
}

/// The async functions; the futures are made, and dropped before they do anything.
fn futures(tcp: (&TcpListener, &TcpStream), udp: &UdpSocket, dgram: &UnixDatagram, local: &UnixListener) {
    let buf = &mut [0; 8];
    output::<Vec<SocketAddr>>(net::resolve("localhost:0"));
    output::<TcpListener>(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    output::<(TcpStream, SocketAddr)>(TcpListener::accept(tcp.0));
    output::<TcpStream>(TcpStream::connect("localhost:0"));
    output::<usize>(TcpStream::peek(tcp.1, buf));
    output::<UdpSocket>(UdpSocket::bind("localhost:0"));
    output::<()>(UdpSocket::connect(udp, "localhost:0"));
    output::<(usize, SocketAddr)>(UdpSocket::recv_from(udp, buf));
    output::<(usize, SocketAddr)>(UdpSocket::peek_from(udp, buf));
    output::<usize>(UdpSocket::send_to(udp, b"", "localhost:0"));
    output::<usize>(UdpSocket::recv(udp, buf));
    output::<usize>(UdpSocket::peek(udp, buf));
    output::<usize>(UdpSocket::send(udp, b""));
    output::<(UnixStream, unix::SocketAddr)>(UnixListener::accept(local));
    output::<UnixStream>(UnixStream::connect("/nowhere"));
    output::<(usize, unix::SocketAddr)>(UnixDatagram::recv_from(dgram, buf));
    output::<usize>(UnixDatagram::send_to(dgram, b"", Path::new("/nowhere")));
    output::<usize>(UnixDatagram::recv(dgram, buf));
    output::<usize>(UnixDatagram::send(dgram, b""));
}

pub(super) fn check() -> io::Result<()> {
    items();
    let std = std::net::TcpListener::bind("127.0.0.1:0")?;
    let stream = std::net::TcpStream::connect(std.local_addr()?)?;
    let (one, _) = UnixDatagram::pair()?;
    let dir = std::env::temp_dir().join(format!("smolkit-surface-{}-{}", std::process::id(), module_path!().contains("ours")));
    let local = UnixListener::bind(&dir)?;
    std::fs::remove_file(&dir)?;
    let udp = UdpSocket::try_from(std::net::UdpSocket::bind("127.0.0.1:0")?)?;
    futures((&TcpListener::try_from(std)?, &TcpStream::try_from(stream)?), &udp, &one, &local);
    Ok(())
}

/// For each type whether it has the traits that no `impl` tells.
pub(super) fn auto_traits() -> Vec<(&'static str, &'static str, bool)> {
    auto_traits!(
        TcpListener,
        TcpStream,
        UdpSocket,
        UnixListener,
        UnixStream,
        UnixDatagram,
        net::Incoming<'static>,
        unix::Incoming<'static>
    )
}
