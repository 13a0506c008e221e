//! Goal: UDP as the documentation says, on any executor (FAULTS E9, E15).
//! Method: real sockets on loopback, python3 as a peer of another making; multicast where the machine has an interface for it.

mod udp_support;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use futures_lite::future;
use smolkit_net::UdpSocket;
use smolkit_net::udp::Unbound;
use smolkit_runtime::{spawn, unblock};

use self::udp_support::{in_order, within};

async fn echo_once() -> io::Result<()> {
    let server = UdpSocket::bind("127.0.0.1:0").await?;
    let client = UdpSocket::bind("127.0.0.1:0").await?;
    client.connect(server.local_addr()?).await?;
    let mut buf = [0; 64];
    // It waits before anything comes.
    assert!(future::poll_once(server.peek_from(&mut buf)).await.is_none());
    client.send(b"ping").await?;
    assert_eq!(server.peek_from(&mut buf).await?, (4, client.local_addr()?));
    let (count, peer) = server.recv_from(&mut buf).await?;
    server.send_to(&buf[..count], peer).await?;
    assert_eq!(client.peek(&mut buf).await?, 4);
    assert_eq!(client.recv(&mut buf).await?, 4);
    Ok(())
}

#[test]
fn on_our_own_block_on() {
    within(echo_once()).unwrap();
}

#[test]
fn on_a_foreign_executor() {
    futures_executor::block_on(echo_once()).unwrap();
}

/// A datagram that is shorter than the buffer says nothing about the next one: all of a burst are received.
#[test]
fn a_burst_of_short_datagrams() {
    in_order(async {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = server.local_addr().unwrap();
        let mut buf = [0; 512];
        for round in 0..200u8 {
            assert!(future::poll_once(server.recv(&mut buf)).await.is_none());
            for i in 0..20 {
                client.send_to(&[round, i], addr).await.unwrap();
            }
            for i in 0..20 {
                assert_eq!(server.recv(&mut buf).await.unwrap(), 2);
                assert_eq!(&buf[..2], [round, i]);
            }
        }
    });
}

/// The refusal of one datagram is one error; the socket goes on.
#[test]
fn a_refusal_is_reported_once() {
    within(async {
        let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = gone.local_addr().unwrap();
        // It hears nobody but itself, and keeps the port from others.
        gone.connect(addr).await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(addr).await.unwrap();
        let mut buf = [0; 8];
        assert!(future::poll_once(socket.recv(&mut buf)).await.is_none());
        socket.send(b"x").await.unwrap();
        let error = socket.recv(&mut buf).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(socket.take_error().unwrap().is_none());
        let back = gone;
        back.connect(socket.local_addr().unwrap()).await.unwrap();
        socket.send(b"again").await.unwrap();
        assert_eq!(back.recv(&mut buf).await.unwrap(), 5);
    });
}

#[test]
fn a_peer_of_another_making() {
    within(async {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port().to_string();
        let script = r#"
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.connect(("127.0.0.1", int(sys.argv[1])))
for size in [0, 1, 64, 1472, 9000, 65507]:
    s.send(bytes(size)); assert len(s.recv(65536)) == size, size
"#;
        let mut child = Command::new("python3").args(["-c", script, &port]).spawn().unwrap();
        let echo = spawn(async move {
            let mut buf = vec![0; 65_536];
            for _ in 0..6 {
                let (count, peer) = server.recv_from(&mut buf).await.unwrap();
                server.send_to(&buf[..count], peer).await.unwrap();
            }
        });
        assert!(unblock(move || child.wait()).await.unwrap().success());
        echo.await;
    });
}

#[test]
fn multicast_on_loopback() {
    within(async {
        let group = Ipv4Addr::new(239, 255, 77, 1);
        let receiver = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        receiver.join_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
        let error = receiver.join_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert_eq!(sender.multicast_if_v4().unwrap(), Ipv4Addr::UNSPECIFIED);
        sender.set_multicast_if_v4(Ipv4Addr::LOCALHOST).unwrap();
        assert_eq!(sender.multicast_if_v4().unwrap(), Ipv4Addr::LOCALHOST);
        let port = receiver.local_addr().unwrap().port();
        sender.send_to(b"all", (group, port)).await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(receiver.recv_from(&mut buf).await.unwrap(), (3, sender.local_addr().unwrap()));
        receiver.leave_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
    });
}

/// Two sockets at one port, and a third one that is not allowed to.
#[test]
fn options_before_there_is_an_address() {
    within(async {
        let unbound = || {
            let socket = Unbound::new_v4().unwrap();
            socket.set_reuse_addr(true).unwrap();
            socket.set_recv_buffer_size(20_000).unwrap();
            socket.set_send_buffer_size(20_000).unwrap();
            socket.set_tos_v4(0x10).unwrap();
            socket
        };
        let one = unbound().bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = one.local_addr().unwrap();
        let other = unbound().bind(addr).unwrap();
        assert_eq!(other.local_addr().unwrap(), addr);
        assert!(other.recv_buffer_size().unwrap() >= 20_000);
        assert!(other.send_buffer_size().unwrap() >= 20_000);
        assert_eq!(other.tos_v4().unwrap(), 0x10);
        let error = Unbound::new_v4().unwrap().bind(addr).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
        // Some kernels have no IPv6.
        if let Ok(socket) = Unbound::new_v6() {
            socket.set_only_v6(true).unwrap();
            assert!(socket.only_v6().unwrap());
            let socket = socket.bind("[::1]:0".parse().unwrap()).unwrap();
            socket.set_multicast_hops_v6(3).unwrap();
            assert_eq!(socket.multicast_hops_v6().unwrap(), 3);
            socket.set_multicast_if_v6(1).unwrap();
            assert_eq!(socket.multicast_if_v6().unwrap(), 1);
            socket.set_tos_v6(0x20).unwrap();
            assert_eq!(socket.tos_v6().unwrap(), 0x20);
        }
        for set in [true, false] {
            one.set_recv_ecn(set).unwrap();
            one.set_recv_to(set).unwrap();
            assert_eq!((one.recv_ecn().unwrap(), one.recv_to().unwrap()), (set, set));
        }
    });
}

#[test]
fn ipv6_addresses_go_there_and_back() {
    within(async {
        let Ok(server) = UdpSocket::bind("[::1]:0").await else {
            // A machine without IPv6: the IPv4 tests say what there is to say.
            return;
        };
        let client = UdpSocket::bind("[::1]:0").await.unwrap();
        let addr: SocketAddr = server.local_addr().unwrap();
        client.send_to(b"x", addr).await.unwrap();
        let (_, peer) = server.recv_from(&mut [0; 4]).await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    });
}
