//! Goal: what needs interfaces and routes, or ports that are nobody else's: addresses with a scope, multicasts, broadcasts, sockets bound to a device, families of which one leads nowhere,
//! listeners for one family or both (FAULTS E15).
//! Method: each test in a child, in a network namespace of its own (`unshare`) with two interfaces that are connected to each other (`ip`).

#![cfg(target_os = "linux")]

mod child;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use smolkit_net::udp::{RecvBatch, Transmit};
use smolkit_net::{ConnectError, TcpConnector, TcpListener, TcpSocket, TcpStream, UdpSocket};
use smolkit_runtime::{Timer, block_on};

use self::child::{is_child, run_child};

/// `one` has addresses, and `other` is the wire's other end, where nobody is 2001:db8::99; the kernel takes it for somebody, or it would say soon that there is no way. The kernel notices that both are there in its own time, and only then do their routes
/// lead anywhere.
const INTERFACES: &str = "ip link set lo up && ip link add one type veth peer other \
    && ip address add 10.0.0.1/24 broadcast 10.0.0.255 dev one && ip address add 2001:db8::1/64 dev one nodad \
    && ip link set one addrgenmode none && ip address add fe80::1/64 dev one nodad \
    && ip link set one up && ip link set other up \
    && ip neighbour add 2001:db8::99 lladdr 02:00:00:00:00:99 nud permanent dev one || exit 1
    looks=0
    until routes=$(ip -6 route show table all dev one) && echo \"$routes\" | grep -q '^multicast ff00::/8' \
        && echo \"$routes\" | grep -q '^local fe80::1' && echo \"$routes\" | grep -q '^local 2001:db8::1'
    do
        looks=$((looks + 1))
        if [ $looks -ge 1500 ]; then echo \"no routes: $routes\" >&2; exit 1; fi
        sleep 0.02
    done
    exec \"$@\"";

/// Runs `test` in a child that has the interfaces, and `body` there. Fails if that takes longer than 60 s.
fn with_interfaces(test: &str, body: impl Future<Output = ()>) {
    if !is_child("network") {
        let before = ["unshare", "--map-root-user", "--net", "sh", "-c", INTERFACES, "sh"];
        return run_child(&before, test, "network");
    }
    let late = async {
        Timer::after(Duration::from_secs(60)).await;
        panic!("not finished after 60 s")
    };
    block_on(future::or(body, late));
}

/// The number of the interface `one`.
fn one() -> u32 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    rustix::net::netdevice::name_to_index(socket, "one").unwrap()
}

#[test]
fn scopes_go_there_and_back() {
    with_interfaces("scopes_go_there_and_back", async {
        let scoped =
            |port| SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), port, 0, one()));
        let (one, other) = (UdpSocket::bind(scoped(0)), UdpSocket::bind(scoped(0)));
        let (one, other) = future::try_zip(one, other).await.unwrap();
        let (addr, peer) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        assert_eq!(addr, scoped(addr.port()));
        other.send_to(b"single", addr).await.unwrap();
        assert_eq!(one.recv_from(&mut [0; 8]).await.unwrap(), (6, peer));
        other.send_batch(&mut [Transmit::new(b"batch", addr)]).await.unwrap();
        let mut batch = RecvBatch::new(4, 64).unwrap();
        assert_eq!(one.recv_batch(&mut batch).await.unwrap(), 1);
        assert_eq!(batch.iter().next().unwrap().from, peer);

        let listener = TcpListener::bind(scoped(0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (client, accepted) =
            future::try_zip(TcpStream::connect(addr), listener.accept()).await.unwrap();
        assert_eq!(client.peer_addr().unwrap(), addr);
        assert_eq!(accepted.1, client.local_addr().unwrap());
        assert_eq!(accepted.1, scoped(accepted.1.port()));
    });
}

#[test]
fn multicasts_of_ipv6() {
    with_interfaces("multicasts_of_ipv6", async {
        let group: Ipv6Addr = "ff02::7:7".parse().unwrap();
        let receiver = UdpSocket::bind("[::]:0").await.unwrap();
        let port = receiver.local_addr().unwrap().port();
        receiver.join_multicast_v6(&group, one()).unwrap();
        let again = receiver.join_multicast_v6(&group, one()).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AddrInUse);
        let sender = UdpSocket::bind("[::]:0").await.unwrap();
        let to = SocketAddrV6::new(group, port, 0, one());
        // The first one leaves the host, and so does not come.
        for (is_for_us, text) in [(false, b"them"), (true, b"us  ")] {
            sender.set_multicast_loop_v6(is_for_us).unwrap();
            assert_eq!(sender.multicast_loop_v6().unwrap(), is_for_us);
            sender.send_to(text, to).await.unwrap();
        }
        let mut buf = [0; 8];
        let (count, _) = receiver.recv_from(&mut buf).await.unwrap();
        assert_eq!(&buf[..count], b"us  ");
        receiver.leave_multicast_v6(&group, one()).unwrap();
        let again = receiver.leave_multicast_v6(&group, one()).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn broadcasts() {
    with_interfaces("broadcasts", async {
        let receiver = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let to = SocketAddr::from(([10, 0, 0, 255], receiver.local_addr().unwrap().port()));
        let sender = UdpSocket::bind("10.0.0.1:0").await.unwrap();
        assert_eq!(
            sender.send_to(b"all", to).await.unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
        sender.set_broadcast(true).unwrap();
        assert!(sender.broadcast().unwrap());
        sender.send_to(b"all", to).await.unwrap();
        sender.send_batch(&mut [Transmit::new(b"all", to)]).await.unwrap();
        for _ in 0..2 {
            let received = receiver.recv_from(&mut [0; 8]).await.unwrap();
            assert_eq!(received, (3, sender.local_addr().unwrap()));
        }
    });
}

#[test]
fn sockets_bound_to_a_device() {
    with_interfaces("sockets_bound_to_a_device", async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let through = |device: &'static str| {
            TcpConnector::new().configure(move |socket| socket.bind_device(Some(device)))
        };
        through("lo").connect(addr).await.unwrap();
        // From there nobody answers, or there is no way.
        let soon = Duration::from_millis(300);
        through("one").timeout(soon).connect(addr).await.unwrap_err();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind_device(Some("one")).unwrap();
        assert_eq!(socket.device().unwrap().as_deref(), Some("one"));
        socket.bind_device(None).unwrap();
        assert_eq!(socket.device().unwrap(), None);
        socket.connect(addr).await.unwrap();
    });
}

/// RFC 8305, with its own delay: the name has an address of each family, and that of IPv6 is nobody's.
#[test]
fn a_family_that_leads_nowhere() {
    with_interfaces("a_family_that_leads_nowhere", async {
        let listener = TcpListener::bind("10.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let nobody = SocketAddr::new("2001:db8::99".parse::<IpAddr>().unwrap(), good.port());
        for addrs in [[nobody, good], [good, nobody]] {
            let (client, accepted) =
                future::try_zip(TcpStream::connect(&addrs[..]), listener.accept()).await.unwrap();
            let (mut client, mut server) = (client, accepted.0);
            client.write_all(b"x").await.unwrap();
            server.read_exact(&mut [0]).await.unwrap();
        }
        // Alone it says so, and whom it was looking for.
        let connector = TcpConnector::new().timeout(Duration::from_millis(300));
        let error: io::Error = connector.connect(nobody).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let inner = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
        let attempts: Vec<_> = inner.attempts().map(|(addr, error)| (addr, error.kind())).collect();
        assert_eq!(attempts, [(nobody, ErrorKind::TimedOut)]);
    });
}

/// The families share their ports, but for a socket that says that it takes one alone.
#[test]
fn one_listener_for_both_families() {
    with_interfaces("one_listener_for_both_families", async {
        let v4 = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let v6 = |port| SocketAddr::new("2001:db8::1".parse().unwrap(), port);
        let listen = |only_v6| {
            let socket = TcpSocket::new_v6().unwrap();
            socket.set_only_v6(only_v6).unwrap();
            socket.bind("[::]:0".parse().unwrap()).unwrap();
            socket.listen_default().unwrap()
        };
        for both in [TcpListener::bind("[::]:0").await.unwrap(), listen(false)] {
            let port = both.local_addr().unwrap().port();
            for addr in [v4(port), v6(port)] {
                let (client, (_server, peer)) =
                    future::try_zip(TcpStream::connect(addr), both.accept()).await.unwrap();
                let own = client.local_addr().unwrap();
                assert_eq!(SocketAddr::new(peer.ip().to_canonical(), peer.port()), own);
                assert!(peer.is_ipv6());
            }
            let other = TcpListener::bind(("0.0.0.0", port)).await.unwrap_err();
            assert_eq!(other.kind(), ErrorKind::AddrInUse);
        }

        let one = listen(true);
        let port = one.local_addr().unwrap().port();
        let refused = TcpStream::connect(v4(port)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let other = TcpListener::bind(("0.0.0.0", port)).await.unwrap();
        for (listener, addr) in [(&one, v6(port)), (&other, v4(port))] {
            let (client, accepted) =
                future::try_zip(TcpStream::connect(addr), listener.accept()).await.unwrap();
            assert_eq!(accepted.1, client.local_addr().unwrap());
        }
    });
}
