//! Goal: the same operations give the same results and error kinds as async-net's.
//! Method: one body, compiled against both, writes down what it saw; the two lists must be equal.

use std::io;
use std::net::SocketAddr;
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
