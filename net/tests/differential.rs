//! Goal: the same operations give the same results and error kinds as async-net's.
//! Method: one body, compiled against both, writes down what it saw; the two lists must be equal.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsFd;
use std::path::PathBuf;

use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use smolkit_runtime::block_on;

/// What a call returned, without what differs from run to run.
fn kind<T>(result: io::Result<T>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn count(result: io::Result<usize>) -> String {
    result.map_or_else(|error| format!("{:?}", error.kind()), |count| count.to_string())
}

/// A fresh directory that is removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("smolkit-{name}-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

macro_rules! bodies {
    ($net:ident) => {
        mod $net {
            use super::*;
            use ::$net::unix::{UnixDatagram, UnixListener, UnixStream};
            use ::$net::{Shutdown, TcpListener, TcpStream, UdpSocket};

            pub(super) async fn tcp() -> io::Result<Vec<String>> {
                let mut seen = Vec::new();
                let none: &[SocketAddr] = &[];
                seen.push(kind(TcpListener::bind(none).await));
                seen.push(kind(TcpStream::connect(none).await));
                seen.push(kind(TcpStream::connect("no port").await));
                seen.push(kind(TcpListener::bind("192.0.2.1:0").await));
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let addr = listener.local_addr()?;
                seen.push(kind(TcpListener::bind(addr).await));
                listener.set_ttl(7)?;
                seen.push(format!("{:?}", listener.ttl()?));
                let (mut client, (mut server, _)) =
                    future::try_zip(TcpStream::connect(addr), listener.accept()).await?;
                seen.push((client.local_addr()? == server.peer_addr()?).to_string());
                client.set_nodelay(true)?;
                seen.push(format!("{:?} {:?}", client.nodelay()?, server.nodelay()?));
                seen.push(count(client.write(b"one").await));
                let buf = &mut [0; 8];
                seen.push(count(server.peek(buf).await));
                seen.push(count(server.read(buf).await));
                client.close().await?;
                seen.push(count(server.read(buf).await));
                seen.push(count(client.write(b"more").await));
                seen.push(count(server.write(b"late").await));
                seen.push(count(client.read(buf).await));
                client.shutdown(Shutdown::Read)?;
                seen.push(count(client.read(buf).await));
                seen.push(kind(client.shutdown(Shutdown::Both)));
                seen.push(kind(client.close().await));

                // Closed with unread bytes: the other end gets a reset.
                let (client, (mut server, _)) =
                    future::try_zip(TcpStream::connect(addr), listener.accept()).await?;
                server.write_all(b"unread").await?;
                client.peek(buf).await?;
                drop(client);
                seen.push(kind(server.read(buf).await));
                seen.push(count(server.read(buf).await));
                seen.push(count(server.write(b"x").await));
                seen.push(kind(server.peer_addr()));
                seen.push(kind(server.close().await));

                let (_client, next) = future::zip(TcpStream::connect(addr), async {
                    listener.incoming().next().await
                })
                .await;
                seen.push(next.map_or("end".into(), kind));
                drop(listener);
                seen.push(kind(TcpStream::connect(addr).await));
                seen.push(kind(TcpStream::connect(&[addr, addr][..]).await));
                Ok(seen)
            }

            pub(super) async fn names() -> io::Result<Vec<String>> {
                use ::$net::resolve;
                let told = |found: io::Result<Vec<SocketAddr>>| match found {
                    Ok(addrs) => format!("{addrs:?}"),
                    Err(error) => format!("{:?}", error.kind()),
                };
                let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
                let pair = (v4, 1);
                let mut seen = vec![
                    told(resolve(pair).await),
                    told(resolve(&pair).await),
                    told(resolve((v6, 2)).await),
                    told(resolve((IpAddr::V4(v4), 3)).await),
                    told(resolve((IpAddr::V6(v6), 4)).await),
                    told(resolve(SocketAddrV4::new(v4, 5)).await),
                    told(resolve(SocketAddrV6::new(v6, 6, 7, 8)).await),
                    told(resolve(("127.0.0.1", 9)).await),
                    told(resolve(("::1".to_owned(), 10)).await),
                    told(resolve("127.0.0.1:11".to_owned()).await),
                    told(resolve(&["127.0.0.1:12".parse().unwrap()][..]).await),
                ];
                for text in
                    ["127.0.0.1:13", "[::1]:14", "localhost:15", "127.0.0.1", "", ":16", "[::1]"]
                {
                    seen.push(told(resolve(text).await));
                }
                for text in ["127.0.0.1:65536", "127.0.0.1:-1", "a b:1", "localhost:http"] {
                    seen.push(told(resolve(text).await));
                }
                seen.push(told(resolve(("localhost", 17)).await));
                Ok(seen)
            }

            /// Clones, several buffers at once, and sockets of std.
            pub(super) async fn streams() -> io::Result<Vec<String>> {
                let mut seen = Vec::new();
                let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
                let addr = listener.local_addr()?;
                let (mut client, (mut server, _)) =
                    future::try_zip(TcpStream::connect(addr), listener.accept()).await?;
                client.set_ttl(9)?;
                seen.push(format!("{:?}", client.ttl()?));
                // async-net moves one buffer of several, the first that is not empty.
                let parts = [IoSlice::new(b""), IoSlice::new(b"onetwo"), IoSlice::new(b"")];
                seen.push(count(client.write_vectored(&parts).await));
                seen.push(kind(client.clone().flush().await));
                let (mut one, mut other) = ([0; 0], [0; 8]);
                while server.peek(&mut other).await? < 6 {}
                let mut parts = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut other)];
                seen.push(count(server.clone().read_vectored(&mut parts).await));
                seen.push(format!("{other:?}"));
                // One end of a clone is the end of all.
                client.clone().close().await?;
                seen.push(count(server.read(&mut other).await));
                seen.push(count(client.write(b"x").await));

                let std = std::net::TcpListener::bind("127.0.0.1:0")?;
                let addr = std.local_addr()?;
                let listener = TcpListener::try_from(std)?;
                let stream = TcpStream::try_from(std::net::TcpStream::connect(addr)?)?;
                let datagrams = UdpSocket::try_from(std::net::UdpSocket::bind("127.0.0.1:0")?)?;
                let fds = [listener.as_fd(), stream.as_fd(), datagrams.as_fd()];
                for fd in fds {
                    let flags = rustix::fs::fcntl_getfl(fd)?;
                    seen.push(flags.contains(rustix::fs::OFlags::NONBLOCK).to_string());
                }
                seen.push(kind(listener.accept().await));
                Ok(seen)
            }

            pub(super) async fn unix_pairs(dir: &Dir) -> io::Result<Vec<String>> {
                let mut seen = Vec::new();
                let (mut one, mut other) = UnixStream::pair()?;
                seen.push(format!("{:?} {:?}", one.local_addr()?, other.peer_addr()?));
                let parts = [IoSlice::new(b""), IoSlice::new(b"one")];
                seen.push(count(one.write_vectored(&parts).await));
                let (mut none, mut first) = ([0; 0], [0; 4]);
                let mut parts = [IoSliceMut::new(&mut none), IoSliceMut::new(&mut first)];
                seen.push(count(other.read_vectored(&mut parts).await));
                seen.push(format!("{first:?}"));
                seen.push(kind(one.shutdown(Shutdown::Write)));
                seen.push(count(other.read(&mut first).await));
                seen.push(count(one.write(b"x").await));
                seen.push(count(other.write(b"back").await));
                seen.push(count(one.read(&mut first).await));
                drop(other);
                seen.push(count(one.read(&mut first).await));

                let (one, other) = UnixDatagram::pair()?;
                seen.push(format!("{:?} {:?}", one.local_addr()?, other.peer_addr()?));
                seen.push(count(one.send(b"three").await));
                seen.push(count(other.recv(&mut first).await));
                let path = dir.0.join("incoming");
                let listener = UnixListener::bind(&path)?;
                let (_client, next) = future::zip(UnixStream::connect(&path), async {
                    listener.incoming().next().await
                })
                .await;
                seen.push(next.map_or("end".into(), kind));
                Ok(seen)
            }

            pub(super) async fn udp_groups() -> io::Result<Vec<String>> {
                let mut seen = Vec::new();
                let four = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let (group, own) = (Ipv4Addr::new(224, 0, 0, 251), Ipv4Addr::LOCALHOST);
                seen.push(kind(four.join_multicast_v4(group, own)));
                seen.push(kind(four.join_multicast_v4(group, own)));
                seen.push(kind(four.leave_multicast_v4(group, own)));
                seen.push(kind(four.leave_multicast_v4(group, own)));
                let nobody = Ipv6Addr::LOCALHOST;
                seen.push(kind(four.join_multicast_v6(&nobody, 0)));
                let Ok(six) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await else {
                    seen.push("no IPv6".to_owned());
                    return Ok(seen);
                };
                seen.push(kind(six.join_multicast_v6(&nobody, 0)));
                seen.push(kind(six.leave_multicast_v6(&nobody, 0)));
                let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
                // The loopback interface.
                seen.push(kind(six.join_multicast_v6(&group, 1)));
                seen.push(kind(six.leave_multicast_v6(&group, 1)));
                seen.push(kind(six.set_multicast_loop_v6(true)));
                seen.push(format!("{:?}", six.multicast_loop_v6()?));
                seen.push(count(six.send_to(b"self", six.local_addr()?).await));
                seen.push(count(six.recv_from(&mut [0; 2]).await.map(|(count, _)| count)));
                seen.push(count(six.send_to(b"four", four.local_addr()?).await));
                Ok(seen)
            }

            pub(super) async fn udp() -> io::Result<Vec<String>> {
                let mut seen = Vec::new();
                let none: &[SocketAddr] = &[];
                seen.push(kind(UdpSocket::bind(none).await));
                seen.push(kind(UdpSocket::bind("192.0.2.1:0").await));
                let one = UdpSocket::bind("127.0.0.1:0").await?;
                let other = UdpSocket::bind("127.0.0.1:0").await?;
                seen.push(kind(UdpSocket::bind(one.local_addr()?).await));
                seen.push(kind(one.peer_addr()));
                seen.push(count(one.send(b"x").await));
                seen.push(count(one.send_to(b"x", none).await));
                seen.push(kind(one.connect(none).await));
                seen.push(count(one.send_to(b"hello", other.local_addr()?).await));
                seen.push(count(one.send_to(b"", other.local_addr()?).await));
                seen.push(count(one.send_to(&[0; 70_000], other.local_addr()?).await));
                seen.push(kind(one.send_to(b"x", "255.255.255.255:9").await));
                let buf = &mut [0; 3];
                let (n, peer) = other.recv_from(buf).await?;
                seen.push(format!("{n} {}", peer == one.local_addr()?));
                seen.push(count(other.recv(buf).await));
                one.connect(other.local_addr()?).await?;
                seen.push((one.peer_addr()? == other.local_addr()?).to_string());
                seen.push(count(one.send(b"two").await));
                seen.push(count(other.peek(buf).await));
                seen.push(count(other.peek_from(buf).await.map(|(n, _)| n)));
                seen.push(count(other.recv(buf).await));
                // It hears nobody but itself from now on, and keeps the port from others.
                other.connect(other.local_addr()?).await?;
                seen.push(count(one.send(b"nobody").await));
                seen.push(count(one.recv(buf).await));
                one.set_broadcast(true)?;
                one.set_ttl(9)?;
                one.set_multicast_ttl_v4(3)?;
                one.set_multicast_loop_v4(false)?;
                let options = (one.broadcast()?, one.ttl()?, one.multicast_ttl_v4()?);
                seen.push(format!("{options:?} {}", one.multicast_loop_v4()?));
                seen.push(kind(one.multicast_loop_v6()));
                seen.push(kind(one.set_multicast_loop_v6(true)));
                let unspecified = [0, 0, 0, 0].into();
                seen.push(kind(one.join_multicast_v4([10, 0, 0, 1].into(), unspecified)));
                seen.push(kind(one.leave_multicast_v4([239, 1, 2, 3].into(), unspecified)));
                Ok(seen)
            }

            pub(super) async fn unix(dir: &Dir) -> io::Result<Vec<String>> {
                let mut seen = Vec::new();
                let path = dir.0.join("stream");
                let long = "x".repeat(200);
                seen.push(kind(UnixListener::bind(&long)));
                seen.push(kind(UnixListener::bind("nul\0inside")));
                seen.push(kind(UnixListener::bind(dir.0.join("none/below"))));
                seen.push(kind(UnixStream::connect(&long).await));
                seen.push(kind(UnixStream::connect("nul\0inside").await));
                seen.push(kind(UnixStream::connect("\0smolkit nobody").await));
                seen.push(kind(UnixStream::connect(&path).await));
                let listener = UnixListener::bind(&path)?;
                seen.push(kind(UnixListener::bind(&path)));
                seen.push(format!("{:?}", listener.local_addr()?.as_pathname() == Some(&path)));
                let mut client = UnixStream::connect(&path).await?;
                let (mut server, addr) = listener.accept().await?;
                seen.push(format!("{}", addr.is_unnamed()));
                seen.push(format!("{:?}", client.peer_addr()?.as_pathname() == Some(&path)));
                seen.push(format!("{}", server.peer_addr()?.is_unnamed()));
                seen.push(count(client.write(b"one").await));
                let buf = &mut [0; 8];
                seen.push(count(server.read(buf).await));
                client.close().await?;
                seen.push(count(server.read(buf).await));
                seen.push(count(client.write(b"x").await));
                seen.push(count(server.write(b"late").await));
                drop(client);
                seen.push(count(server.write(b"x").await));
                seen.push(kind(server.read(buf).await));
                seen.push(kind(server.close().await));
                drop(listener);
                seen.push(kind(UnixStream::connect(&path).await));

                let path = dir.0.join("datagram");
                let one = UnixDatagram::unbound()?;
                seen.push(kind(one.connect(&path)));
                seen.push(count(one.send_to(b"x", &path).await));
                seen.push(count(one.send_to(b"x", &long).await));
                seen.push(count(one.send(b"x").await));
                seen.push(kind(one.peer_addr()));
                let other = UnixDatagram::bind(&path)?;
                seen.push(kind(UnixDatagram::bind(&path)));
                seen.push(count(one.send_to(b"hello", &path).await));
                let (n, from) = other.recv_from(&mut buf[..3]).await?;
                seen.push(format!("{n} {}", from.is_unnamed()));
                one.connect(&path)?;
                seen.push(count(one.send(b"").await));
                seen.push(count(other.recv(buf).await));
                other.shutdown(Shutdown::Read)?;
                seen.push(count(one.send(b"x").await));
                drop(other);
                seen.push(count(one.send(b"x").await));
                seen.push(kind(UnixDatagram::unbound()?.shutdown(Shutdown::Both)));
                Ok(seen)
            }
        }
    };
}

bodies!(async_net);
bodies!(smolkit_net);

#[test]
fn tcp() {
    let (theirs, ours) = (block_on(async_net::tcp()), block_on(smolkit_net::tcp()));
    assert_eq!(ours.unwrap(), theirs.unwrap());
}

#[test]
fn udp() {
    let (theirs, ours) = (block_on(async_net::udp()), block_on(smolkit_net::udp()));
    assert_eq!(ours.unwrap(), theirs.unwrap());
}

#[test]
fn unix() {
    let theirs = block_on(async_net::unix(&Dir::new("theirs")));
    let ours = block_on(smolkit_net::unix(&Dir::new("ours")));
    assert_eq!(ours.unwrap(), theirs.unwrap());
}

#[test]
fn names() {
    let (theirs, ours) = (block_on(async_net::names()), block_on(smolkit_net::names()));
    assert_eq!(ours.unwrap(), theirs.unwrap());
}

#[test]
fn streams() {
    let (theirs, ours) = (block_on(async_net::streams()), block_on(smolkit_net::streams()));
    assert_eq!(ours.unwrap(), theirs.unwrap());
}

#[test]
fn unix_pairs() {
    let theirs = block_on(async_net::unix_pairs(&Dir::new("their-pairs")));
    let ours = block_on(smolkit_net::unix_pairs(&Dir::new("our-pairs")));
    assert_eq!(ours.unwrap(), theirs.unwrap());
}

#[test]
fn udp_groups() {
    let (theirs, ours) = (block_on(async_net::udp_groups()), block_on(smolkit_net::udp_groups()));
    assert_eq!(ours.unwrap(), theirs.unwrap());
}
