//! Goal: marks of congestion and destinations come with datagrams, and can be chosen for them (FAULTS E15).
//! Method: real sockets on loopback, whose hosts are all of 127.0.0.0/8.

#![cfg(target_os = "linux")]

mod udp_support;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use smolkit_net::UdpSocket;
use smolkit_net::udp::{Ecn, RecvBatch, Transmit};

use self::udp_support::{hosts, in_order, receive, within};

/// Marks and addresses arrive, and go with an answer, also in segments and from a socket of both families.
#[test]
fn marks_and_destinations() {
    let case = async |bind: &str, to: &str, from: &str| {
        let server = UdpSocket::bind((bind, 0)).await.unwrap();
        server.set_recv_ecn(true).unwrap();
        server.set_recv_to(true).unwrap();
        let ip: IpAddr = to.parse().unwrap();
        let client = UdpSocket::bind((from, 0)).await.unwrap();
        client.set_recv_ecn(true).unwrap();
        let addr = SocketAddr::new(ip, server.local_addr().unwrap().port());
        let mut batch = RecvBatch::new(8, 64).unwrap();
        let message = Transmit::new(b"12345", addr);
        let marks = [None, Some(Ecn::Ect0), Some(Ecn::Ect1), Some(Ecn::Ce)];
        for mark in marks {
            let message = mark.map_or(message, |mark| message.with_ecn(mark)).in_segments(3);
            client.send_batch(&mut [message]).await.unwrap();
            for _ in receive(&server, &mut batch, 2).await {
                let message = batch.iter().next().unwrap();
                assert_eq!(message.ecn, mark);
                let both = [message.local, message.to].map(|ip| ip.unwrap().to_canonical());
                assert_eq!(both, [ip; 2]);
                assert_eq!(message.interface, Some(1), "the loopback interface");
            }
            let message = batch.iter().next().unwrap();
            let answer = Transmit::new(b"back", message.from).from_ip(message.to.unwrap());
            let answer = mark.map_or(answer, |mark| answer.with_ecn(mark));
            server.send_batch(&mut [answer]).await.unwrap();
            client.recv_batch(&mut batch).await.unwrap();
            let message = batch.iter().next().unwrap();
            assert_eq!((message.from, message.ecn, message.to), (addr, mark, None));
        }
    };
    // An address of this host that the system would not choose.
    within(case("0.0.0.0", "127.0.0.2", "127.0.0.1"));
    if hosts().contains(&"::1") {
        within(case("::", "::1", "::1"));
        within(case("::", "127.0.0.2", "127.0.0.1"));
    }
}

/// The kernel would choose the sender by itself, and say nothing.
#[test]
fn a_sender_of_another_family_is_refused() {
    if !hosts().contains(&"::1") {
        return;
    }
    in_order(async {
        let socket = UdpSocket::bind("[::]:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let ip = |ip: &str| ip.parse::<IpAddr>().unwrap();
        for (to, from, is_good) in [
            ("127.0.0.1", "::1", false),
            ("::ffff:127.0.0.1", "::1", false),
            ("::1", "127.0.0.1", false),
            ("::1", "::ffff:127.0.0.1", false),
            ("::1", "::1", true),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.2", true),
            ("::ffff:127.0.0.1", "127.0.0.2", true),
        ] {
            let message = Transmit::new(b"x", SocketAddr::new(ip(to), port)).from_ip(ip(from));
            let result = socket.send_batch(&mut [message]).await;
            let kind = result.map_err(|error| error.kind());
            let expected = if is_good { Ok(1) } else { Err(std::io::ErrorKind::InvalidInput) };
            assert_eq!(kind, expected, "to {to} from {from}");
        }
        // The same for one that is connected, whose messages do not say where they go.
        let connected = UdpSocket::bind("[::]:0").await.unwrap();
        connected.connect((ip("::1"), port)).await.unwrap();
        let mut batch = [Transmit::connected(b"x").from_ip(ip("127.0.0.2"))];
        let error = connected.send_batch(&mut batch).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        // Each that was sent came from where it should.
        for from in ["::1", "127.0.0.2", "127.0.0.2"] {
            let (_, peer) = socket.recv_from(&mut [0; 8]).await.unwrap();
            assert_eq!(peer.ip().to_canonical(), ip(from));
        }
    });
}

/// An IPv4 address that is written as one of IPv6 is one, for an IPv4 socket too.
#[test]
fn a_mapped_sender() {
    within(async {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let message = Transmit::new(b"x", server.local_addr().unwrap());
        let mapped = "::ffff:127.0.0.2".parse().unwrap();
        client.send_batch(&mut [message.from_ip(mapped)]).await.unwrap();
        let (_, peer) = server.recv_from(&mut [0; 8]).await.unwrap();
        assert_eq!(peer.ip().to_string(), "127.0.0.2");
    });
}

/// What came to all is answered from one's own address, also on a socket of both families.
#[test]
fn an_answer_to_a_broadcast() {
    let case = async |bind: &str| {
        let server = UdpSocket::bind((bind, 0)).await.unwrap();
        server.set_recv_to(true).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.set_broadcast(true).unwrap();
        let all: IpAddr = "127.255.255.255".parse().unwrap();
        client.send_to(b"who?", (all, server.local_addr().unwrap().port())).await.unwrap();
        let mut batch = RecvBatch::new(8, 64).unwrap();
        server.recv_batch(&mut batch).await.unwrap();
        let message = batch.iter().next().unwrap();
        let (to, local) = (message.to.unwrap(), message.local.unwrap().to_canonical());
        assert_eq!((to.to_canonical(), message.interface), (all, Some(1)));
        assert!(local.is_loopback() && local != all, "{local}");
        let answer = Transmit::new(b"I", message.from).from_ip(local);
        server.send_batch(&mut [answer]).await.unwrap();
        assert_eq!(client.recv_from(&mut [0; 8]).await.unwrap().1.ip(), local);
    };
    within(case("0.0.0.0"));
    if hosts().contains(&"::1") {
        within(case("::"));
    }
}

/// Options that the program has set by itself take no room from ours, within reason.
#[test]
fn other_options_beside_ours() {
    within(async {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let ip = server.local_addr().unwrap().ip();
        if server.set_gro(true).is_err() {
            // A kernel without: then nothing is joined.
            return;
        }
        server.set_recv_to(true).unwrap();
        let stamps = libc::SOF_TIMESTAMPING_RX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;
        for (name, value) in [(libc::SO_TIMESTAMPNS, 1), (libc::SO_TIMESTAMPING, stamps as i32)] {
            let value: libc::c_int = value;
            let (fd, len) = (server.as_raw_fd(), size_of_val(&value) as libc::socklen_t);
            let at = (&raw const value).cast();
            // SAFETY: it points to a number of this length.
            assert_eq!(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, name, at, len) }, 0);
        }
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let message = Transmit::new(&[5; 5_000], server.local_addr().unwrap()).in_segments(1_000);
        client.send_batch(&mut [message]).await.unwrap();
        let mut batch = RecvBatch::new(8, 65_536).unwrap();
        let mut lens = Vec::new();
        while lens.len() < 5 {
            server.recv_batch(&mut batch).await.unwrap();
            assert!(batch.iter().all(|message| message.to == Some(ip) && !message.is_truncated));
            lens.extend(batch.datagrams().map(|(datagram, _)| datagram.len()));
        }
        assert_eq!(lens, [1_000; 5]);
    });
}
